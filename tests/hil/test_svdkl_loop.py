"""The learnt feed-forward in closed loop through the mock's wire, from its recording to unseen motion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil.campaigns import svdkl_loop, svdkl_record
from hil.campaigns.svdkl_loop import KP_MAX, KP_MIN, Effort, follow, loaded, rnea, samples_of, trial
from hil.cell import load_cell
from hil.learning.segments import Segment


def pieces() -> list[Segment]:
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(700, 7)) for _ in svdkl_record.KEPT]
    q, qd, tau, *others = parts
    return [Segment(name, q + k, qd, tau, 1e-3, None, *others) for k, name in enumerate(("first", "second"))]


def test_recorded_pieces_come_back_as_they_were(tmp_path: Path) -> None:
    made = pieces()
    svdkl_record.save(made, tmp_path / "train.npz")
    again = svdkl_record.load(tmp_path / "train.npz")
    assert [each.name for each in again] == ["first", "second"]
    for name in svdkl_record.KEPT:
        np.testing.assert_array_equal(getattr(again[1], name), getattr(made[1], name))
    samples = samples_of(again)
    assert samples.trajectories.tolist() == [0, 1]


def test_what_was_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every file there, a trial reads them and starts no world."""

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("done again")

    svdkl_record.save(pieces(), tmp_path / "train.npz")
    (tmp_path / "trained.json").write_text(json.dumps({"held_out": [0]}), encoding="utf-8")
    (tmp_path / "gains.json").write_text(json.dumps({"known": [0.1]}), encoding="utf-8")
    for name in ("learnt", "paper", "rnea", "computed-torque"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"rmse": 1.0}), encoding="utf-8")
    for name in ("record", "train_dynamics", "calibrate", "follow"):
        monkeypatch.setattr(svdkl_loop, name, forbidden)
    monkeypatch.setattr(svdkl_loop, "_paper", lambda *_: {})
    found = trial(7, tmp_path, tell=lambda what: None)
    assert found["seed"] == 7
    assert found["known"] == [0.1]
    assert set(found["followed"]) == {"learnt", "paper", "rnea", "computed-torque"}


@pytest.mark.accept
def test_unseen_motion_is_followed_to_a_milliradian_at_a_seventh_of_the_stiffness(tmp_path: Path) -> None:
    """Seed 0, 20 motions of 8 s recorded: the bounds that the five seeds of the campaign are held to."""
    found = trial(0, tmp_path, Effort(recorded=20, followed=2))
    learnt, stiff = found["followed"]["learnt"], found["followed"]["rnea"]
    assert learnt["rmse"] <= 1e-3
    assert learnt["gain"] <= 0.15
    assert max(learnt["gain_joints"]) < 0.3
    assert learnt["rmse"] < stiff["rmse"]
    assert learnt["rmse"] < found["followed"]["computed-torque"]["rmse"]
    assert min(min(share) for share in found["unknown"].values()) >= 0.5 - 1e-6
    assert max(found["known"]) < 0.3
    # 3 kg that nobody announced, then: known within two seconds, and the gains down again.
    carried = loaded(0, tmp_path, runs=("load", "load-paper"))
    settled = carried["load"]["windows"][-2:]
    assert max(each["rmse"] for each in settled) <= 1.5e-3
    assert max(each["gain"] for each in settled) < 0.25
    assert settled[-1]["mass"] == pytest.approx(3.0, abs=0.2)
    assert carried["load-paper"]["windows"][-1]["rmse"] > 10.0 * settled[-1]["rmse"]


@pytest.mark.accept
def test_rigid_body_torque_at_full_gains_is_what_it_is_compared_with() -> None:
    cell = load_cell("iiwa14_free")
    found = follow(cell, 0, 1, rnea(cell))
    assert found["rmse"] > 1e-3
    assert (np.array(found["gain_joints"]) <= 1.0).all()
    assert (KP_MIN < KP_MAX).all()
