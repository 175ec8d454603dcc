"""A trained model as a file: whole or not at all, exact, and refused with a reason where it does not fit."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from estimators.errors import ModelError
from estimators.kvark.artefact import CONTACT, TrainedKvark, load, require_fit, save
from estimators.kvark.band import BandParams
from estimators.kvark.recursion import RecursionParams
from estimators.residual.base import ResidualModel
from estimators.residual.kmp import Tables
from estimators.residual.memory import MemoryParams
from estimators.residual.packing import unpack
from estimators.residual.remembering import MemoryResidual
from estimators.residual.velocity import VelocityResidual

KINDS = ("velocity", "semiparametric")


def tables(n: int = 2) -> Tables:
    rng = np.random.default_rng(0)
    return Tables(-rng.random(n), 0.01 + rng.random(n), rng.standard_normal((n, 50)), 0.1 + rng.random((n, 50)))


def residual(kind: str = "velocity", n: int = 2) -> ResidualModel:
    if kind == "velocity":
        return VelocityResidual(tables(n))
    rng = np.random.default_rng(1)
    memory = MemoryParams(travel=(1e-3, 1e-2), harmonics=1, ripple=(202.0,))
    return MemoryResidual(memory, rng.standard_normal((n, memory.count)), rng.standard_normal(11 * n), tables(n))


def trained(n: int = 2, kind: str = "velocity") -> TrainedKvark:
    rng = np.random.default_rng(2)
    params = RecursionParams(1.0 + rng.random(n), 0.1 + rng.random(n), colour=30.0, adapt_r="off", q_clip=(0.01, 50.0))
    return TrainedKvark(
        residual(kind, n),
        params,
        "ab" * 32,
        "mine",
        1.3,
        0.08,
        1,
        np.linspace(0.9, 1.1, n),
        {"pulse": 3.5},
        {"logs": ["run.mcap"], "cell": "iiwa14_polish"},
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_holds_every_bit(tmp_path: Path, kind: str) -> None:
    before = trained(kind=kind)
    save(before, tmp_path / "deeper" / "model.npz")
    after = load(tmp_path / "deeper" / "model.npz")
    assert type(after.residual) is type(before.residual)
    (options, arrays), (options_before, arrays_before) = after.residual.pack(), before.residual.pack()
    assert options == options_before
    assert set(arrays) == set(arrays_before)
    assert all((arrays[name] == arrays_before[name]).all() for name in arrays)
    rng = np.random.default_rng(3)
    q, qd, tau = (np.cumsum(rng.standard_normal((30, 2)), axis=0) for _ in range(3))
    for mine, theirs in zip(after.residual.run(q, qd, tau, 1e-3), before.residual.run(q, qd, tau, 1e-3), strict=True):
        assert (mine == theirs).all()
    assert (after.params.q_rate == before.params.q_rate).all()
    assert (after.friction_scale == before.friction_scale).all()
    assert (after.method, after.thresholds) == ("mine", {"pulse": 3.5})
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
    save(good, tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        content = {name: file[name] for name in file.files}
    if bad == "nan":
        content["residual.mean"][0, 3] = math.nan
    elif bad == "negative":
        content["residual.variance"][1, 2] = -1.0
    else:
        content["residual.mean"] = content["residual.mean"][:, :-1]
    np.savez(tmp_path / "m.npz", **content)
    with pytest.raises(ModelError, match="do not fit each other"):
        load(tmp_path / "m.npz")


def test_parts_of_a_residual_model_that_do_not_fit_are_refused_in_words(tmp_path: Path) -> None:
    options, arrays = residual("semiparametric").pack()
    for kind in ("pickle", None, 3):
        with pytest.raises(ModelError, match=r"known are .*velocity"):
            unpack({"kind": kind}, {})
    for name in arrays:
        with pytest.raises(ModelError, match="train it anew"):
            unpack(options, {key: value for key, value in arrays.items() if key != name})
    for change in ({"weights": np.zeros((2, 3))}, {"parameters": np.full(22, math.nan)}, {"low": np.zeros(3)}):
        with pytest.raises(ModelError, match="train the model anew"):
            unpack(options, {**arrays, **change})
    for memory in ({"travel": "no"}, {"unknown": 1.0}, {"travel": [-1.0]}, None):
        with pytest.raises(ModelError, match="train it anew"):
            unpack({**options, "memory": memory}, arrays)
    with pytest.raises(ModelError, match="residual model of 3 joints, filter of 2"):
        TrainedKvark(residual(n=3), trained().params, "ab" * 32)
    for change in ({"friction_scale": np.zeros(2)}, {"friction_scale": np.ones(3)}, {"scale": math.nan}, {"lag": 2}):
        with pytest.raises(ModelError, match="expected"):
            TrainedKvark(residual(), trained().params, "ab" * 32, **change)


def banded() -> TrainedKvark:
    band = BandParams(np.array([3.0, 4.0]), np.array([0.5, math.inf]), (0.1, 1.0, 2.0, 0.3, 4.0, 0.16), 1.1, 0.08, 0.05)
    return replace(trained(), band=band, thresholds={CONTACT: 4.5})


def test_a_band_and_its_threshold_are_kept(tmp_path: Path) -> None:
    before = banded()
    save(before, tmp_path / "m.npz")
    after = load(tmp_path / "m.npz")
    assert after.band is not None
    assert before.band is not None
    assert (after.band.friction == before.band.friction).all()
    assert (after.band.speed == before.band.speed).all()
    for name in ("weights", "scale", "load", "drift"):
        assert getattr(after.band, name) == getattr(before.band, name)
    assert after.detect == 4.5
    assert trained().detect is None
    with pytest.raises(ModelError, match="band of 3 joints"):
        replace(before, band=BandParams(np.ones(3), np.ones(3)))
    with pytest.raises(ModelError, match="above 0"):
        replace(before, thresholds={CONTACT: 0.0})


def test_a_file_of_format_2_is_read_and_has_no_band(tmp_path: Path) -> None:
    save(trained(), tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        content = dict(file)
    about = json.loads(bytes(content["about"]).decode()) | {"format": 2}
    content["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    np.savez(tmp_path / "old.npz", **content)
    old = load(tmp_path / "old.npz")
    assert old.band is None
    assert old.detect is None
    assert (old.scale, old.level) == (1.3, 0.08)


@pytest.mark.parametrize("change", [{"weights": [1.0] * 5}, {"scale": -1.0}, {"drift": "much"}, {"load": None}])
def test_a_damaged_band_is_refused_in_words(tmp_path: Path, change: dict[str, object]) -> None:
    save(banded(), tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        content = dict(file)
    about = json.loads(bytes(content["about"]).decode())
    about["band"] |= change
    content["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    np.savez(tmp_path / "bad.npz", **content)
    with pytest.raises(ModelError, match="train it anew"):
        load(tmp_path / "bad.npz")


def test_a_file_of_the_format_before_is_refused_in_words(tmp_path: Path) -> None:
    about = json.dumps({"format": 1, "kind": "kvark"}).encode()
    np.savez(tmp_path / "m.npz", about=np.frombuffer(about, dtype=np.uint8))
    with pytest.raises(ModelError, match="format 1 of kind 'kvark'; expected 3"):
        load(tmp_path / "m.npz")
