"""Training a residual model from logs: what is taken from them, what comes out, and refusals in words."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from drivers.contract import ArmState
from estimators.errors import ModelError
from estimators.kvark.artefact import load
from hil.build import build_model, build_observer
from hil.cell import Cell, CellError, load_cell
from hil.cli import app
from hil.learning.residual import Trained, TrainingError, train_residual
from hil.learning.segments import AROUND, FREE_FORCE, LEAD, SETTLE, Segment, segments_of, split, touched
from hil.telemetry.log import Log
from hil.telemetry.row import row_layout
from hil.telemetry.schema import Event

N, DT = 6, 2e-3
COULOMB, VISCOUS = np.array([7.0, 9.0, 6.0, 2.0, 1.8, 1.5]), np.array([9.0, 10.0, 7.0, 2.5, 2.2, 1.8])


@pytest.fixture(scope="module")
def cell() -> Cell:
    return load_cell("cobot")


def table(cell: Cell, seconds: float, seed: int) -> np.ndarray:
    """Rows of an arm that swings against a friction that is known, its torque lagging by one tick, with noise."""
    rng = np.random.default_rng(seed)
    model, rows = build_model(cell), round(seconds / DT)
    layout = row_layout(N)
    made = np.frombuffer(bytearray(layout.blank * rows), dtype=layout.dtype)
    t = np.arange(rows)[:, None] * DT
    amplitude, omega = rng.uniform(0.1, 0.4, N), 2.0 * np.pi * rng.uniform(0.15, 0.5, N)
    q = np.array(cell.robot.home) + amplitude * np.sin(omega * t)
    qd, qdd = amplitude * omega * np.cos(omega * t), -amplitude * omega**2 * np.sin(omega * t)
    friction = COULOMB * np.tanh(qd / 0.02) + VISCOUS * qd
    tau = np.array([model.rnea(*row) for row in zip(q, qd, qdd, strict=True)]) + friction
    tau = np.vstack((tau[:1], tau[:-1])) + 0.1 * rng.standard_normal((rows, N))
    made["tick"], made["t_ns"] = np.arange(rows), np.arange(rows) * round(DT * 1e9)
    made["arm_valid"], made["arm_fresh"], made["arm_state"] = 1, 1, int(ArmState.COMMANDED)
    made["q"], made["qd"], made["tau"], made["tau_cmd"] = q, qd + 1e-3 * rng.standard_normal((rows, N)), tau, tau
    made["wrench_ft"] = 0.1
    return made


def log(rows: np.ndarray, events: list[Event] | None = None, name: str = "run.mcap") -> Log:
    return Log(Path(name), {"/cycle": rows}, {}, events or [])


def motion(tick: int) -> Event:
    return Event(tick, 0, "motion", "swing begins", {})


def test_pieces_are_free_commanded_and_without_gaps(cell: Cell) -> None:
    rows = table(cell, 30.0, 1)
    rows["arm_state"][:1000] = int(ArmState.READY)  # 0 to 2 s
    rows["wrench_ft"][5000:5500, 2] = 2.0 * FREE_FORCE  # 10 to 11 s
    rows["t_ns"][10000:] += 50_000_000  # a gap at 20 s
    rows["tau"][12000, 3] = np.nan  # 24 s
    found = segments_of(log(rows, [motion(7500)]))  # and a motion at 15 s
    bounds = [(round(piece.seconds, 1)) for piece in found]
    assert bounds == pytest.approx([8 - 0.25 - SETTLE, 4 - 0.25 - SETTLE, 5 - SETTLE, 4 - SETTLE, 6 - SETTLE], abs=0.11)
    assert all(np.isfinite(piece.tau).all() for piece in found)
    assert segments_of(log(rows[:1])) == []


@pytest.mark.parametrize("length", [2, 100, 251, 252])
def test_a_log_cut_short_has_no_pieces_instead_of_an_error(cell: Cell, length: int) -> None:
    # Shorter than twice the time around a contact: what is left of a run whose first second was cut.
    assert segments_of(log(table(cell, 3.0, 1)[:length])) == []


def test_what_surrounds_a_contact_is_left_out_on_both_sides_of_a_short_run() -> None:
    wrench = np.zeros((200, 6))
    wrench[150, 2] = 2.0 * FREE_FORCE
    expected = np.abs(np.arange(200) - 150) <= round(AROUND / DT)
    assert np.array_equal(touched(wrench, DT), expected)


def test_whole_pieces_are_held_out() -> None:
    pieces = [Segment(str(k), np.zeros((1000, N)), np.zeros((1000, N)), np.zeros((1000, N)), DT) for k in range(8)]
    train, judge = split(pieces)
    assert {piece.name for piece in train} | {piece.name for piece in judge} == {str(k) for k in range(8)}
    assert not {piece.name for piece in train} & {piece.name for piece in judge}
    assert 2 <= len(judge) <= 3

def test_a_piece_knows_what_came_before_it_up_to_the_last_gap(cell: Cell) -> None:
    rows = table(cell, 16.0, 1)
    rows["t_ns"][1000:] += 50_000_000  # a gap at 2 s
    rows["tau"][1500, 0] = np.nan  # not known at 3 s
    rows["wrench_ft"][4000:4500, 2] = 2.0 * FREE_FORCE  # touched from 8 to 9 s
    found = segments_of(log(rows, [motion(6000)]))  # and a motion at 12 s
    for piece in found:
        start = int(np.flatnonzero((rows["q"] == piece.q[0]).all(axis=1))[0])
        first = start - piece.lead
        q, qd, tau = piece.with_lead()
        assert (q == rows["q"][first : start + len(piece.q)]).all()
        assert (qd == rows["qd"][first : start + len(piece.q)]).all()
        assert np.isfinite(tau).all()
        assert piece.lead <= round(LEAD / DT)
    leads = [round(piece.lead * DT, 1) for piece in found]
    # From 3 s on all hangs together, contact or not; before the gap there is too little for a piece.
    assert leads == pytest.approx([SETTLE, 9.25 + SETTLE - 3.0, 9.0 + SETTLE], abs=0.11), leads


def serve(monkeypatch: pytest.MonkeyPatch, folder: Path, logs: dict[str, Log]) -> list[Path]:
    """Files of these names in ``folder``, which is the working folder now; what is read from them is ``logs``."""
    monkeypatch.chdir(folder)
    for name in logs:
        Path(name).write_bytes(name.encode())
    monkeypatch.setattr("hil.learning.residual.read_log", lambda path: logs[path.name])
    return [Path(name) for name in logs]


def train_on(monkeypatch: pytest.MonkeyPatch, folder: Path, logs: dict[str, Log], cell: Cell) -> Trained:
    return train_residual(cell, serve(monkeypatch, folder, logs))


def test_the_learnt_friction_is_the_true_one_and_the_file_makes_an_observer(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logs = {f"run{k}.mcap": log(table(cell, 12.0, k), name=f"run{k}.mcap") for k in range(5)}
    told: list[tuple[str, float]] = []
    paths = serve(monkeypatch, tmp_path, logs)
    trained = train_residual(
        cell, paths, lambda what, share: told.append((what, share)), methods=("kvark",)
    )
    assert {what for what, _ in told} >= {"reading", "kvark: residual", "kvark: filter"}
    assert all(0.0 <= share <= 1.0 for _, share in told)
    assert (trained.after < 0.25 * trained.before).all(), f"{trained.before} {trained.after}"
    for speed in (-0.3, -0.1, 0.1, 0.3):
        mean, _ = trained.model.residual.step(np.zeros(N), np.full(N, speed), np.zeros(N), DT)
        expected = COULOMB * np.tanh(speed / 0.02) + VISCOUS * speed
        np.testing.assert_allclose(mean, expected, rtol=0.15)
    assert trained.coverage == pytest.approx(0.95, abs=0.01)
    expected = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert [each["sha256"] for each in trained.model.provenance["data"]] == expected
    assert trained.model.provenance["versions"]["numpy"] == np.__version__
    assert set(trained.model.provenance["held_out"]).isdisjoint(trained.model.provenance["pieces"])

    from estimators.kvark.artefact import save

    save(trained.model, tmp_path / "kvark.npz")
    content = yaml.safe_load(cell.dump())
    content["observer"] = {"kind": "kvark", "model": "kvark.npz", "tau_sigma": [0.2] * N, "delay_ticks": 1}
    path = tmp_path / "cell.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    own = load_cell(path)
    observer, model = build_observer(own, 0.0), build_model(own)
    rows = table(cell, 3.0, 9)
    found = [observer.step(row["tau"], model.update(row["q"].copy(), row["qd"].copy()), DT) for row in rows]
    tau_ext = np.array([each.tau_ext for each in found[300:]])
    sigma = np.array([np.sqrt(each.covariance.diagonal()) for each in found[300:]])
    assert (np.sqrt(np.mean(tau_ext**2, axis=0)) < 0.3 * COULOMB).all(), "free motion: next to nothing"
    assert np.mean(np.abs(tau_ext) < 1.96 * sigma) > 0.85

    (tmp_path / "kvark.npz").unlink()
    with pytest.raises(ModelError, match="hil train residual"):
        build_observer(own, 0.0)
    save(trained.model, tmp_path / "kvark.npz")
    content["observer"]["delay_ticks"] = 0
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ModelError, match="lag by 1 ticks"):
        build_observer(load_cell(path), 0.0)


def test_too_little_motion_is_refused_in_words(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="at least 20 s and two pieces"):
        train_on(monkeypatch, tmp_path, {"run.mcap": log(table(cell, 6.0, 1))}, cell)
    still = [table(cell, 12.0, k) for k in range(4)]
    for rows in still:
        rows["qd"][:, 2] = 0.0
        rows["q"][:, 2] = 0.3
    logs = {f"run{k}.mcap": log(rows, name=f"run{k}.mcap") for k, rows in enumerate(still)}
    with pytest.raises(TrainingError, match="every joint in both directions"):
        train_on(monkeypatch, tmp_path, logs, cell)


def test_a_cell_names_a_model_with_kvark_only(tmp_path: Path, cell: Cell) -> None:
    path = tmp_path / "cell.yaml"
    content = yaml.safe_load(cell.dump())
    content["observer"] = {"kind": "momentum", "model": "kvark.npz", "tau_sigma": [0.2] * N}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(CellError, match="model with kind: kvark"):
        load_cell(path)


def test_the_command_says_what_is_wrong_and_leaves_no_file(tmp_path: Path) -> None:
    out = tmp_path / "model.npz"
    nothing = tmp_path / "nothing.mcap"
    nothing.write_bytes(b"")
    for arguments in (
        [str(nothing), "--cell", "cobot"],
        [str(tmp_path / "missing.mcap"), "--cell", "cobot"],
        [str(nothing), "--cell", "no_such_cell"],
    ):
        result = CliRunner().invoke(app, ["train", "residual", *arguments, "--out", str(out)])
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        assert not out.exists()


def test_the_file_can_be_read_back(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        load(tmp_path / "none.npz")


def test_a_run_whose_model_is_missing_is_refused_before_anything_starts(tmp_path: Path, cell: Cell) -> None:
    content = yaml.safe_load(cell.dump())
    content["observer"] = {"kind": "kvark", "model": "none.npz", "tau_sigma": [0.2] * N, "delay_ticks": 1}
    content["recording"]["dir"] = str(tmp_path / "runs")
    path = tmp_path / "cell.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    result = CliRunner().invoke(app, ["run", str(path), "--motion", "warmup"])
    assert result.exit_code == 2, result.output
    assert "hil train residual" in result.output
    assert not (tmp_path / "runs").exists()
