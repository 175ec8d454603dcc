"""A trained model as a file: whole or not at all, exact, and refused with a reason where it does not fit."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from estimators.errors import ModelError
from estimators.kvark.artefact import TrainedKvark, load, require_fit, save
from estimators.kvark.recursion import RecursionParams
from estimators.residual.kmp import Tables


def trained(n: int = 2) -> TrainedKvark:
    rng = np.random.default_rng(0)
    tables = Tables(-rng.random(n), 0.01 + rng.random(n), rng.standard_normal((n, 50)), 0.1 + rng.random((n, 50)))
    params = RecursionParams(1.0 + rng.random(n), 0.1 + rng.random(n), colour=30.0, adapt_r="off", q_clip=(0.01, 50.0))
    return TrainedKvark(tables, params, "ab" * 32, 1.3, 0.08, 1, {"logs": ["run.mcap"], "cell": "iiwa14_polish"})


def test_a_file_holds_every_bit(tmp_path: Path) -> None:
    before = trained()
    save(before, tmp_path / "deeper" / "model.npz")
    after = load(tmp_path / "deeper" / "model.npz")
    for name in ("low", "step", "mean", "variance"):
        assert (getattr(after.tables, name) == getattr(before.tables, name)).all()
    assert (after.params.q_rate == before.params.q_rate).all()
    assert (after.params.r_empirical == before.params.r_empirical).all()
    for name in ("colour", "adapt_q", "adapt_r", "q_clip", "r_clip", "window_q"):
        assert getattr(after.params, name) == getattr(before.params, name)
    assert (after.robot, after.scale, after.level, after.lag) == ("ab" * 32, 1.3, 0.08, 1)
    assert after.provenance == before.provenance
    assert [entry.name for entry in (tmp_path / "deeper").iterdir()] == ["model.npz"], "nothing half-written stays"


def test_a_failed_write_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.npz"
    save(trained(), path)
    old = path.read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(trained(), path)
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.npz"]


def test_another_robot_is_refused_in_words(tmp_path: Path) -> None:
    model = trained()
    require_fit(model, 2, "ab" * 32, tmp_path / "m.npz")
    with pytest.raises(ModelError, match="for 2 joints, the cell's robot has 7"):
        require_fit(model, 7, "ab" * 32, tmp_path / "m.npz")
    with pytest.raises(ModelError, match="another rigid-body model"):
        require_fit(model, 2, "cd" * 32, tmp_path / "m.npz")


def test_what_is_no_model_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    for content in (b"", b"PK\x03\x04 cut", b"hello"):
        path.write_bytes(content)
        with pytest.raises((ModelError, OSError)):
            load(path)
    np.savez(path, about=np.frombuffer(json.dumps({"format": 99, "kind": "kvark"}).encode(), dtype=np.uint8))
    with pytest.raises(ModelError, match="format 99"):
        load(path)
    np.savez(path, something=np.zeros(3))
    with pytest.raises(ModelError, match="train it anew"):
        load(path)
    np.savez(path, about=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ModelError, match="train it anew"):
        load(path)
    save(trained(), path)
    cut = path.read_bytes()
    path.write_bytes(cut[: len(cut) // 2])
    with pytest.raises(ModelError):
        load(path)


@pytest.mark.parametrize("bad", ["nan", "negative", "shape"])
def test_tables_that_cannot_be_are_refused(tmp_path: Path, bad: str) -> None:
    good = trained()
    t = good.tables
    mean, variance = t.mean.copy(), t.variance.copy()
    if bad == "nan":
        mean[0, 3] = math.nan
    elif bad == "negative":
        variance[1, 2] = -1.0
    else:
        mean = mean[:, :-1]
    save(TrainedKvark(Tables(t.low, t.step, mean, variance), good.params, good.robot), tmp_path / "m.npz")
    with pytest.raises(ModelError, match="do not fit each other"):
        load(tmp_path / "m.npz")
