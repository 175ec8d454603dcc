"""``hil train dynamics`` and ``hil evaluate dynamics`` from end to end on a little data, and refusals in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from estimators.dynamics import predictor, store
from estimators.errors import ModelError
from hil.build import build_model
from hil.cell import load_cell
from hil.cli import app
from hil.store import store_of

CELL = "iiwa14_polish"


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(part) for part in arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine short trajectories of the cell's arm with viscous friction."""
    rng = np.random.default_rng(0)
    model = build_model(load_cell(CELL))
    t = np.arange(60)[:, None] * 0.05
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("q", "qd", "qdd", "tau", "traj")}
    for k in range(9):
        a, w, p = rng.uniform(0.1, 0.4, 7), rng.uniform(0.5, 3.0, 7), rng.uniform(0.0, 6.0, 7)
        q, qd, qdd = a * np.sin(w * t + p), a * w * np.cos(w * t + p), -a * w**2 * np.sin(w * t + p)
        tau = np.array([model.rnea(*row) for row in zip(q, qd, qdd, strict=True)]) + 2.0 * qd
        tau += 0.05 * rng.standard_normal(tau.shape)
        for name, part in zip(parts, (q, qd, qdd, tau, np.full(60, k)), strict=True):
            parts[name].append(part)
    path = tmp_path_factory.mktemp("data") / "motion.npz"
    np.savez(path, **{name: np.concatenate(part) for name, part in parts.items()})
    return path


@pytest.fixture(scope="module")
def model(data: Path) -> Path:
    out = data.parent / "dynamics.npz"
    code, said = invoke(
        "train", "dynamics", data, "--cell", CELL, "--physics", "regressed", "--model", "svgp", "--validate", "3,8",
        "--test", "4,5", "--epochs", 2, "--out", out, "--checkpoint", data.parent / "checkpoint.npz",
    )  # fmt: skip
    assert code == 0, said
    assert "2 trajectories that nothing has seen" in said
    assert "physics" in said  # the heading has several lines at 80 columns
    assert (data.parent / "checkpoint.npz").exists()
    return out


def test_the_file_runs_in_a_cell_and_says_where_it_is_from(model: Path) -> None:
    rigid_body = build_model(load_cell(CELL))
    found = predictor.load(model, rigid_body)
    # Samples of the test trajectories go with it, for what may be learnt online.
    assert found.probe is not None
    assert found.probe[0].shape[1] == 3 * found.n
    about = found.provenance
    assert about["cell"] == CELL
    assert about["split"] == {"train": [0, 1, 2, 6, 7], "validate": [3, 8], "test": [4, 5], "leaking": False}
    zero = np.zeros(7)
    mean, sigma = found.step(zero, np.full(7, 0.5), zero)
    expected = rigid_body.rnea(zero, np.full(7, 0.5), zero) + 1.0
    np.testing.assert_allclose(mean, expected, atol=0.3)
    assert (sigma > 0.0).all()
    with pytest.raises(ModelError, match="another rigid-body model"):
        predictor.load(model, build_model(load_cell("iiwa7_bench")))


def test_evaluation_takes_the_trajectories_that_were_held_out(model: Path, data: Path) -> None:
    code, said = invoke("evaluate", "dynamics", model, data, "--cell", CELL, "--json")
    assert code == 0, said
    scores = json.loads(said)
    assert scores["trajectories"] == [4, 5]
    assert max(scores["rmse"]) < 0.2
    code, said = invoke("evaluate", "dynamics", model, data, "--cell", CELL, "--trajectories", "all")
    assert code == 0
    assert "9 trajectories" in said
    for trajectories, match in (("99", "no trajectory 99"), ("a", "expected numbers")):
        code, said = invoke("evaluate", "dynamics", model, data, "--cell", CELL, "--trajectories", trajectories)
        assert code == 2
        assert match in said
    other = data.with_name("other.npz")
    other.write_bytes(data.read_bytes())
    code, said = invoke("evaluate", "dynamics", model, other, "--cell", CELL)
    assert code == 2
    assert "trained on other data" in said
    code, said = invoke("evaluate", "dynamics", model, data)
    assert code == 2
    assert "give it the rigid-body model" in said


def test_a_random_split_is_marked_and_not_held_out(data: Path) -> None:
    out = data.parent / "leaking.npz"
    code, said = invoke("train", "dynamics", data, "--random-split", "--epochs", 1, "--model", "lstm", "--out", out)
    assert code == 2
    assert "whole trajectories" in said
    code, said = invoke("train", "dynamics", data, "--random-split", "--epochs", 1, "--model", "svgp", "--out", out)
    assert code == 0, said
    assert "These scores flatter" in said
    assert predictor.load(out).provenance["split"]["leaking"] is True
    code, said = invoke("evaluate", "dynamics", out, data)
    assert code == 2
    assert "--trajectories all" in said


def test_a_family_without_predictor_is_saved_as_it_is(data: Path) -> None:
    out = data.parent / "lstm.npz"
    code, said = invoke("train", "dynamics", data, "--model", "lstm", "--epochs", 1, "--out", out)
    assert code == 0, said
    with pytest.raises(ModelError, match="of kind 'lstm'; expected format 1 of dynamics-predictor"):
        predictor.load(out)
    code, said = invoke("evaluate", "dynamics", out, data)
    assert code == 0, said
    about, arrays = store.read(out, ("lstm",))
    arrays.pop("net/mu.0")
    store.write(out, about, arrays)
    code, said = invoke("evaluate", "dynamics", out, data)
    assert code == 2
    assert "not whole" in said


def test_what_is_wrong_is_said_before_anything_is_trained(data: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", **{name: np.zeros((9, 2)) for name in ("q", "qd", "qdd", "tau")}, traj=np.arange(9))
    for arguments, match in (
        ([data, "--model", "tree"], "expected one of svdkl"),
        ([data, "--physics", "nominal"], "--cell"),
        ([data, "--cell", "no_such_cell"], "no_such_cell"),
        ([data, "--random-split", "--test", "1"], "one or the other"),
        ([data, "--test", "77"], "no trajectory 77"),
        ([data, "--test", "x"], "expected numbers"),
        ([tmp_path / "none.npz"], "cannot be read"),
        ([tmp_path / "two.npz", "--cell", CELL], "2 joints"),
        ([data, "--layout", "imperial"], "kuka-sim"),
    ):
        code, said = invoke("train", "dynamics", *arguments, "--out", tmp_path / "x.npz")
        assert code == 2, said
        assert match in said
        assert not (tmp_path / "x.npz").exists()


def test_damaged_and_foreign_predictors_are_refused_with_the_reason(model: Path, tmp_path: Path) -> None:
    rigid_body = build_model(load_cell(CELL))
    about, arrays = store.read(model, (predictor.KIND,))

    def refused(match: str, page: dict[str, object] | None = None, **changed: np.ndarray) -> None:
        store.write(tmp_path / "x.npz", {**about, **(page or {})}, {**arrays, **changed})
        with pytest.raises(ModelError, match=match):
            predictor.load(tmp_path / "x.npz", rigid_body)

    refused("its inputs are 'qd q qdd'", {"layout": "qd q qdd"})
    refused("for 6 joints, the arm has 7", {"joints": 6})
    refused("do not fit each other", alpha=arrays["alpha"][:, :-1])
    bad = arrays["B"].copy()
    bad[0, 0, 0] = np.nan
    refused("B of the learned model is not finite", B=bad)
    refused("not finite float64", B=arrays["B"].astype(np.float32))
    refused("not above 0", s2=-arrays["s2"])
    store.write(tmp_path / "y.npz", about, {name: part for name, part in arrays.items() if name != "s2"})
    with pytest.raises(ModelError, match="lacks 's2'"):
        predictor.load(tmp_path / "y.npz", rigid_body)
    (tmp_path / "z.npz").write_bytes(model.read_bytes()[:500])
    with pytest.raises(ModelError, match="no learned model"):
        predictor.load(tmp_path / "z.npz", rigid_body)


def test_nan_goes_through_the_predictor(model: Path) -> None:
    for kernel in ("compiled", "numpy"):
        found = predictor.load(model, build_model(load_cell(CELL)), kernel=kernel)
        bad = np.zeros(7)
        bad[2] = np.nan
        mean, sigma = found.step(np.zeros(7), bad, np.zeros(7))
        assert np.isnan(mean).any()
        assert np.isnan(sigma).all()
        mean, sigma = found.step(np.zeros(7), np.zeros(7), np.zeros(7))
        assert np.isfinite(mean).all()
        assert np.isfinite(sigma).all(), "nothing is left of it at the next call"


def test_with_a_cell_the_model_becomes_a_version_in_its_store(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    content = yaml.safe_load(load_cell(CELL).dump())
    content["controller"]["joint"]["learned"] = {"kp_min": 10.0, "kp_max": 100.0}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    how = ("train", "dynamics", data, "--cell", path, "--model", "svgp", "--epochs", 1)
    code, said = invoke(*how, "--torque", "commanded", "--use", "--by", "somebody")
    assert code == 0, said
    assert "stored as dynamics version 1" in said
    assert invoke("check", path)[0] == 0
    page = store_of(load_cell(path)).load("dynamics").page
    assert page.figures["torque learnt"] == "commanded"
    assert [each.name.rpartition("/")[2] for each in page.data] == [data.name]
    for arguments, match in (
        ((*how, "--use", "--out", tmp_path / "x.npz"), "without --out"),
        (("train", "dynamics", data, "--torque", "commanded"), "needs the cell"),
        ((*how, "--torque", "wished"), "expected one of commanded, measured"),
    ):
        code, said = invoke(*arguments)
        assert code == 2
        assert match in " ".join(said.split())


def test_friction_that_remembers_is_regressed_and_needs_whole_trajectories(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "slip.npz"
    asked = ("train", "dynamics", data, "--cell", CELL, "--physics", "maxwell-slip", "--model", "svgp", "--out", out)
    code, said = invoke(*asked, "--validate", "3,8", "--test", "4,5", "--epochs", 1)
    assert code == 0, said
    assert "on the regressed physics" in said
    rigid_body = build_model(load_cell(CELL))
    found = predictor.load(out, rigid_body)
    assert found.prior is not None
    assert found.prior.remembers
    assert found.prior.correction is not None
    zero, fast = np.zeros(7), np.full(7, 0.5)
    # Viscous friction is all that these data have; what is regressed for the elements is next to nothing.
    mean, _ = found.step(zero, fast, zero)
    np.testing.assert_allclose(mean, rigid_body.rnea(zero, fast, zero) + 1.0, atol=0.4)
    code, said = invoke(*asked, "--random-split")
    assert code == 2
    assert "needs whole trajectories" in said
