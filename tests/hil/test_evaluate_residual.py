"""Scoring of residual models: figures that are known beforehand, verdicts, warnings, the page and the command."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import residual_rig as rig
import yaml
from typer.testing import CliRunner

from estimators.kvark.artefact import save
from estimators.kvark.injection import FORCE
from estimators.residual.memory import MemoryParams
from estimators.residual.remembering import MemoryResidual
from estimators.residual.velocity import VelocityResidual
from hil.build import build_model
from hil.cell import Cell, load_cell
from hil.cli import app
from hil.learning.chosen import Chosen
from hil.learning.evaluate import Evaluation, EvaluationError, evaluate_residual
from hil.learning.free import score_free
from hil.learning.judge import to_json, verdict
from hil.learning.page import write_page
from hil.learning.score import score
from hil.learning.segments import segments_of
from hil.telemetry.log import Log


def make_cell(folder: Path) -> Cell:
    content = yaml.safe_load(load_cell("cobot").dump())
    content["observer"] |= {"kind": "kvark"}
    content["name"] = "lab"
    path = folder / "lab.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_cell(path)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    return make_cell(tmp_path_factory.mktemp("cell"))


def evaluate(
    cell: Cell, folder: Path, monkeypatch: pytest.MonkeyPatch, logs: list[Log], data: list[dict[str, object]] | None
) -> Evaluation:
    by_name = {log.path.name: log for log in logs}
    monkeypatch.setattr("hil.learning.evaluate.read_log", lambda path: by_name[path.name])
    paths = [folder / name for name in by_name]
    for path in paths:
        path.write_bytes(path.name.encode())
    model = Chosen(rig.right_model(cell, data), folder / "kvark.npz", "kvark.npz")
    told: list[tuple[str, float]] = []
    found = evaluate_residual(cell, paths, model, lambda what, share: told.append((what, share)))
    assert all(0.0 <= share <= 1.0 for _, share in told)
    return found


def test_scores_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    sd = np.exp(rng.uniform(-2.0, 1.0, (20000, 2)))
    error = sd * rng.standard_normal(sd.shape) + np.array([0.0, 0.5])
    error[7], sd[8] = np.nan, np.nan
    found = score(error, sd)
    assert found.samples == 19998
    assert found.coverage[0] == pytest.approx(0.95, abs=0.005)
    assert found.coverage[1] < 0.85
    assert found.bias == pytest.approx([0.0, 0.5], abs=0.03)
    # Entropy of the normal distribution: ½ log(2πe σ²), averaged over the log-uniform σ.
    assert found.nll[0] == pytest.approx(0.5 * np.log(2 * np.pi * np.e) - 0.5, abs=0.02)
    constant = 0.5 * np.log(2 * np.pi * np.e * found.rms**2)
    assert found.nll_constant == pytest.approx(constant)
    assert found.nll[0] < found.nll_constant[0]
    nothing = score(np.full((3, 2), np.nan), np.ones((3, 2)))
    assert nothing.samples == 0
    assert np.isnan(nothing.rms).all()


def test_a_model_that_is_right_is_found_right(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = [rig.swing(cell, 5.0, 1, name="free.mcap"), rig.swing(cell, 6.0, 2, force=20.0, name="touch.mcap")]
    found = evaluate(cell, tmp_path, monkeypatch, logs, data=[])
    free, force = found.free, found.force
    assert free is not None
    assert force is not None
    assert len(free.pieces) == 2, "the half of the second run before the contact is free motion as well"
    assert (free.before > 0.8 * rig.COULOMB).all()
    assert (free.after < 0.05 * free.before).all()
    assert (np.abs(free.bias) < 0.1).all()
    assert (free.estimate.rms < 0.6).all()
    assert 0.9 < free.estimate.coverage.mean() <= 1.0
    # The filter needs a moment to follow a contact, but far less is left than what was added.
    assert (free.contacts.rms < 0.35 * free.momentum).all()
    assert free.momentum[:3].min() > 0.1 * FORCE[0], "the momentum observer has the friction in its estimate"
    assert force.seconds == pytest.approx(3.0, abs=0.4)
    assert np.linalg.norm(force.point.rms) < 4.0
    assert np.linalg.norm(force.momentum.rms[:3]) > 15.0
    (trace,) = force.traces
    assert trace.sensor[-1, 2] == pytest.approx(20.0)
    assert trace.estimate[-1, 2] == pytest.approx(20.0, abs=5.0), "the same sign as the sensor"
    assert not found.seen
    assert found.unknown_training
    fit, sentence = verdict(found)
    assert fit, sentence
    assert "Fit for use: the learnt mean takes 9" in sentence
    content = to_json(found)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["fit"] is fit
    assert content["free"]["after"] == pytest.approx(free.after.tolist())
    assert "traces" not in content["force"]
    write_page(found, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert sentence.split(":")[0].lower() in page
    assert "does not say what it was trained on" in page
    assert not re.search(r'(src|href)="http', page), "readable without a network"


def test_a_model_of_another_friction_is_not_fit_for_use(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluate(cell, tmp_path, monkeypatch, [rig.swing(cell, 6.0, 1, level=-1.0)], data=None)
    assert found.free is not None
    assert found.force is None
    assert (found.free.after > 1.5 * found.free.before).all()
    fit, sentence = verdict(found)
    assert not fit
    assert "train anew" in sentence
    assert "A1, A2, A3, A4, A5, A6" in sentence
    assert found.free.estimate.coverage.mean() < 0.5


def test_a_model_that_is_right_but_too_sure_is_told_apart(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluate(cell, tmp_path, monkeypatch, [rig.swing(cell, 3.0, 1)], data=[])
    assert found.free is not None
    assert verdict(found)[0]
    contacts = replace(found.free.contacts, coverage=np.full(6, 0.7))
    fit, sentence = verdict(replace(found, free=replace(found.free, contacts=contacts)))
    assert not fit
    assert sentence.startswith("Only the estimate is fit for use, its uncertainty is not: under virtual contacts")
    assert "only 70%" in sentence


def test_a_model_with_inertial_parameters_of_its_own_is_scored_with_them(cell: Cell) -> None:
    piece = segments_of(rig.swing(cell, 3.0, 1))
    known = rig.right_model(cell)
    assert isinstance(known.residual, VelocityResidual)
    found = []
    for heavier in (0.0, 0.3):
        parameters = build_model(cell).inertial_parameters()
        parameters[-1] += heavier  # armature of A6, kg·m²
        memory = MemoryParams()
        residual = MemoryResidual(memory, np.zeros((6, memory.count)), parameters, known.residual.tables)
        trained = replace(known, residual=residual)
        model = Chosen(trained, Path("kvark.npz"), "kvark.npz")
        found.append(score_free(cell, build_model(cell), model, piece, lambda what, share: None, 0))
    plain = Chosen(known, Path("kvark.npz"), "kvark.npz")
    velocity = score_free(cell, build_model(cell), plain, piece, lambda what, share: None, 0)
    np.testing.assert_allclose(found[0].after, velocity.after)
    np.testing.assert_allclose(found[0].contacts.rms, velocity.contacts.rms)
    np.testing.assert_allclose(found[1].before, velocity.before, err_msg="the rigid body alone is the nominal one")
    np.testing.assert_allclose(found[1].after[:5], velocity.after[:5])
    assert found[1].after[5] > 2.0 * velocity.after[5]


def test_runs_of_the_training_are_named(cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = [rig.swing(cell, 4.0, k, name=f"{name}.mcap") for k, name in enumerate(("old", "new"))]
    data: list[dict[str, object]] = [
        {"name": "anything", "sha256": hashlib.sha256(b"old.mcap").hexdigest(), "size": 8}
    ]
    found = evaluate(cell, tmp_path, monkeypatch, logs, data)
    assert found.seen == (f"{tmp_path.name}/old.mcap",)
    assert not found.unknown_training


def test_recordings_without_motion_or_of_another_arm_are_refused(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = rig.swing(cell, 3.0, 1)
    still.cycle["arm_state"] = 0
    with pytest.raises(EvaluationError, match="neither free motion"):
        evaluate(cell, tmp_path, monkeypatch, [still], data=None)
    seven = make_cell_of_seven()
    with pytest.raises(EvaluationError, match="of another arm: the cell's robot has 7 joints"):
        evaluate(seven, tmp_path, monkeypatch, [rig.swing(cell, 3.0, 1)], data=None)


def make_cell_of_seven() -> Cell:
    return load_cell("iiwa7_bench")


def test_the_command_scores_file_and_version_and_says_so_by_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_cell(tmp_path)
    logs = {"good.mcap": rig.swing(cell, 4.0, 1), "bad.mcap": rig.swing(cell, 4.0, 1, level=-1.0)}
    monkeypatch.setattr("hil.learning.evaluate.read_log", lambda path: logs[path.name])
    for name in logs:
        (tmp_path / name).write_bytes(name.encode())
    trained = [{"name": "bad.mcap", "sha256": hashlib.sha256(b"bad.mcap").hexdigest(), "size": 8}]
    save(rig.right_model(cell, trained, sd=1.0), tmp_path / "kvark.npz")
    monkeypatch.setenv("COLUMNS", "80")

    def run(log: str, *more: str) -> tuple[int, str, str]:
        arguments = ["evaluate", "residual", str(tmp_path / log), "--cell", str(cell.path), *more]
        result = CliRunner().invoke(app, arguments)
        assert "Traceback" not in result.output
        return result.exit_code, result.stdout, result.stderr

    code, out, err = run("bad.mcap", "--model", str(tmp_path / "kvark.npz"))
    assert code == 1
    assert "Not fit for use" in out
    assert "was trained on" in err
    assert max(len(line) for line in out.splitlines() if "│" in line or "─" in line) <= 80
    code, out, err = run("good.mcap", "--model", str(tmp_path / "kvark.npz"), "--json")
    assert json.loads(out)["fit"] is (code == 0)
    assert json.loads(out)["free"]["seconds"] == pytest.approx(3.7, abs=0.1)
    for arguments, reason in (
        ((), "hil train residual"),
        (("--model", "7"), "no version 7"),
        (("--model", "none.npz"), "cannot be read"),
    ):
        code, out, err = run("good.mcap", *arguments)
        assert code == 2
        assert reason in err
        assert ("observer.model" in err) is (arguments == ())  # where --model names it, the cell file has no part in it
