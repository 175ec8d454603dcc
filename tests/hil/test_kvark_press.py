"""K-VARK against the force sensor while the arm presses, everything through the wire: trained, loaded, run, scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from estimators.kvark.artefact import load
from hil.cell import Cell, load_cell
from hil.cli import app
from hil.launch import launch
from hil.report.summary import WrenchAgreement, summarise
from hil.telemetry.log import read_log

SHARES = ((1.0, 0.15), (0.5, 0.2), (0.25, 0.3), (0.1, 0.25), (1.0, 0.1), (0.4, 0.1), (0.6, 0.4), (0.15, 0.1))
"""Of the amplitudes, and frequency in Hz, of each training motion: fast and slow, far and hardly at all."""
AMPLITUDE = np.array([0.35, 0.15, 0.2, 0.3, 0.3, 0.5])


def free_motion(folder: Path) -> Cell:
    """The cobot's cell with motions to learn from: swings about home, high enough to touch nothing, and moves."""
    content = yaml.safe_load(load_cell("cobot").dump())
    home = np.array(content["robot"]["home"]) + np.array([0.0, -0.15, 0.1, 0.0, 0.0, 0.0])
    rng = np.random.default_rng(1)
    motions: dict[str, object] = {"up": {"kind": "move", "target": home.tolist(), "speed": 0.2}}
    for k, (share, frequency) in enumerate(SHARES):
        motions[f"swing{k}"] = {
            "kind": "sinusoid",
            "amplitude": (share * AMPLITUDE * rng.uniform(0.6, 1.0, 6)).tolist(),
            "frequency": (frequency * rng.uniform(0.6, 1.4, 6)).tolist(),
            "duration": 8.0,
        }
    motions["back"] = {"kind": "move", "target": content["robot"]["home"], "speed": 0.1}
    content["motions"] = motions
    return written(content, folder / "free.yaml")


def with_model(folder: Path, model: str) -> Cell:
    content = yaml.safe_load(load_cell("cobot").dump())
    sigma = content["observer"]["tau_sigma"]
    content["observer"] = {"kind": "kvark", "model": model, "tau_sigma": sigma, "delay_ticks": 1}
    return written(content, folder / f"{model}.yaml")


def written(content: object, path: Path) -> Cell:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)


def pressed(cell: Cell, folder: Path) -> WrenchAgreement:
    ended = launch(cell, ["polish"], folder, paced=False, pictures=False)
    assert ended.ok, ended.outcome
    found = summarise(read_log(ended.folder / "run.mcap")).wrench
    assert found is not None
    assert found.rms_pressing is not None
    return found


@pytest.mark.accept
def test_on_the_cobot_it_is_nearer_to_the_sensor_than_the_momentum_observer(tmp_path: Path) -> None:
    """By more than a quarter, whichever the method; with memory by more than half."""
    free = free_motion(tmp_path)
    ended = launch(free, list(free.motions), tmp_path / "free", paced=False, pictures=False)
    assert ended.ok, ended.outcome
    log = ended.folder / "run.mcap"
    momentum = pressed(load_cell("cobot"), tmp_path / "momentum")
    assert momentum.observer == "momentum observer, 30 1/s"
    assert momentum.nis is None
    limits = {"kvark": 0.75, "semi": 0.5}
    for method, share in limits.items():
        out = tmp_path / f"{method}.npz"
        arguments = ["train", "residual", str(log), "--cell", "cobot", "--method", method, "--out", str(out)]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert load(out).method == method
        found = pressed(with_model(tmp_path, f"{method}.npz"), tmp_path / method)
        assert found.observer == f"K-VARK, method {method}"
        assert found.known == 1.0
        assert found.nis is not None
        assert found.rms_pressing < share * momentum.rms_pressing, f"{found} {momentum}"
        assert found.in_band_pressing is not None
        assert found.in_band_pressing > 0.85
