"""``hil train warmup``: today's friction from a free run, as a new version or a file; refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import residual_rig as rig
import yaml
from typer.testing import CliRunner

from estimators.kvark.artefact import load, save
from hil.cell import Cell, load_cell
from hil.cli import app
from hil.learning.chosen import FILE, KIND
from hil.store import store_of
from hil.telemetry.log import Log


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cell:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load(load_cell("cobot").dump())
    content["observer"] |= {"kind": "kvark", "model": "kvark.npz", "delay_ticks": 1}
    content["name"] = "lab"
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    made = load_cell(str(tmp_path / "lab.yaml"))
    save(rig.right_model(made, [{"name": "a/run.mcap", "sha256": "0" * 64, "size": 3}]), tmp_path / "kvark.npz")
    return made


def warmup(monkeypatch: pytest.MonkeyPatch, log: Log, *more: str) -> tuple[int, str]:
    Path("today.mcap").write_bytes(b"today")
    monkeypatch.setattr("hil.learning.warmup.read_log", lambda path: log)
    result = CliRunner().invoke(app, ["train", "warmup", "today.mcap", "--cell", "lab.yaml", *more])
    assert "Traceback" not in result.output
    return result.exit_code, " ".join(result.output.split())


def test_factors_are_found_and_kept_as_a_new_version(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = warmup(monkeypatch, rig.swing(cell, 20.0, 4, level=1.1))
    assert code == 0, said
    assert f"lab.yaml {KIND} 1` takes it" in said
    stored = store_of(cell).check(KIND, 1)
    model = load(stored.folder / FILE)
    assert model.friction_scale == pytest.approx(np.full(rig.N, 1.1), abs=0.05)
    assert [each.name.split("/")[-1] for each in stored.page.data] == ["run.mcap", "today.mcap"]
    assert model.provenance["warmup"]["of"].startswith("kvark.npz")
    assert model.residual.n == rig.N
    assert load(Path("kvark.npz")).friction_scale == pytest.approx(np.ones(rig.N))
    # Once more from the new version: factors are of the model as it was trained, and do not pile up.
    code, said = warmup(monkeypatch, rig.swing(cell, 20.0, 5, level=1.1), "--model", "1", "--out", "again.npz")
    assert code == 0, said
    assert load(Path("again.npz")).friction_scale == pytest.approx(np.full(rig.N, 1.1), abs=0.05)
    with pytest.raises(Exception, match="2"):
        store_of(cell).check(KIND, 2)


def test_a_joint_that_stood_keeps_its_factor(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    log = rig.swing(cell, 20.0, 4, level=1.1)
    rows = log.cycle
    rows["qd"][:, 5] = 0.0
    code, said = warmup(monkeypatch, log, "--out", "new.npz")
    assert code == 0, said
    assert "A6" in said
    assert "to and fro" in said
    factors = load(Path("new.npz")).friction_scale
    assert factors is not None
    assert factors[5] == 1.0
    assert factors[0] == pytest.approx(1.1, abs=0.05)


def test_runs_that_say_nothing_are_refused_and_change_nothing(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    still = rig.swing(cell, 20.0, 4)
    still.cycle["qd"][:] = 0.0
    idle = rig.swing(cell, 12.0, 4)
    idle.cycle["arm_state"] = 0
    for log, word in (
        (rig.swing(cell, 6.0, 4), "at least 10 s"),
        (still, "does not fit the model on any joint"),
        (rig.swing(cell, 20.0, 4, level=3.0), "does not fit the model on any joint"),
        (idle, "no free motion"),
    ):
        code, said = warmup(monkeypatch, log)
        assert code == 2, said
        assert word in said
    assert not store_of(cell).folder.exists() or not store_of(cell).versions(KIND)
    code, said = warmup(monkeypatch, still, "--use", "--out", "new.npz")
    assert (code, Path("new.npz").exists()) == (2, False)
    Path("kvark.npz").unlink()
    code, said = warmup(monkeypatch, still)
    assert code == 2
    assert "kvark.npz cannot be read" in said
