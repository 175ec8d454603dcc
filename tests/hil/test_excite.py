"""``hil excite``: its motions, a short slice of it on both arms in lockstep, the command, and what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import hil
from estimators.excitation import Budget, Fourier, Plan, Points, save
from estimators.excitation.fourier import null_bases
from hil import exciting
from hil.cell import Cell, CellError, load_cell
from hil.cli.every import app
from hil.job import Job
from hil.learning.residual import train_residual
from hil.learning.segments import segments_of
from hil.motion import JointReference, MotionError
from hil.motion.excitation import Excitation, FourierMotion, PointsMotion
from hil.surroundings import GROWN, boxes, build_collision
from hil.telemetry.log import read_log
from hil.worker import _motions

SHORT = Budget(
    runs=1, period=2.2, harmonics=4, population=8, generations=2, points=0, hub_reach=0.02, around=0.02
)
"""So little that a lockstep run of it takes seconds, ways included."""
MID = np.array([0.3, -1.4, -1.8, -1.3, 1.5, 0.3])


def fourier(n: int = 6, period: float = 4.0) -> Fourier:
    rng = np.random.default_rng(0)
    A, B = null_bases(10)
    return Fourier(MID[:n], 0.1 * rng.normal(size=(n, 9)) @ A.T, 0.1 * rng.normal(size=(n, 8)) @ B.T, period)


@cache
def short_plan(name: str) -> tuple[Cell, Plan]:
    cell = load_cell(name)
    plan = exciting.make_plan(cell, exciting.build_arena(cell), SHORT)
    moves = Points(np.array([plan.hub, plan.hub + 0.03, plan.hub]), np.array([0.6, 0.8]), 0.5)
    return cell, replace(plan, points=(moves,))


# --- motions --------------------------------------------------------------------------------------------------------


def test_the_reference_is_the_trajectory() -> None:
    motion = FourierMotion(fourier())
    motion.start(MID + 0.01, np.zeros(3), np.eye(3))
    for t in (-1.0, 0.0, 0.37, 2.2, 3.999, 4.0, 9.0):
        reference, expected = motion.at(t), motion.fourier.at(t)
        np.testing.assert_allclose(reference.q, expected[0], atol=1e-13)
        np.testing.assert_allclose(reference.qd, expected[1], atol=1e-13)
        np.testing.assert_allclose(reference.qdd, expected[2], atol=1e-12)
    assert (motion.phase(1.0), motion.phase(4.0)) == ("excite", "hold")
    with pytest.raises(MotionError, match="lead it there first"):
        motion.start(MID + 0.1, np.zeros(3), np.eye(3))


def test_moves_with_dwells() -> None:
    points = Points(np.array([MID, MID + 0.1, MID]), np.array([1.0, 2.0]), 0.5)
    motion = PointsMotion(points)
    motion.start(MID, np.zeros(3), np.eye(3))
    assert motion.duration == points.seconds == 4.0
    np.testing.assert_allclose(motion.at(0.5).q, MID + 0.05)
    assert motion.phase(0.5) == "move"
    assert motion.phase(1.2) == "dwell"
    np.testing.assert_allclose(motion.at(1.2).q, MID + 0.1)
    assert not motion.at(1.2).qd.any()
    np.testing.assert_allclose(motion.at(2.5).q, MID + 0.05)
    np.testing.assert_allclose(motion.at(99.0).q, MID)
    with pytest.raises(MotionError, match="lead it there first"):
        motion.start(np.full(6, np.nan), np.zeros(3), np.eye(3))


def test_the_way_to_it_is_the_one_that_was_proven_or_a_free_one_or_none() -> None:
    home, hub = MID - 0.3, MID - 0.1
    asked: list[Any] = []

    def blocked(start: np.ndarray, end: np.ndarray) -> str | None:
        asked.append((start, end))
        return None if start[0] < 1.0 else "the table"

    def made() -> Excitation:
        way = np.array([home, hub, MID])
        return Excitation(FourierMotion(fourier()), way, np.full(6, 0.3), np.full(6, 2.0), blocked, "fourier-1")

    motion = made()
    motion.start(home + 0.001, np.zeros(3), np.eye(3))
    assert not asked  # as proven
    np.testing.assert_allclose(motion.at(0.0).q, home + 0.001)
    assert motion.phase(0.1) == "approach"
    by_hub = min(float(np.abs(motion.at(t).q - hub).max()) for t in np.linspace(0.0, 3.0, 600))
    assert by_hub < 1e-3
    end = motion.at(motion.duration)
    np.testing.assert_allclose(end.q, MID)
    assert not end.qd.any()
    assert motion.phase(motion.duration - 1.0) == "excite"
    # Nothing jumps, from the start to the end
    references = [motion.at(t) for t in np.arange(0.0, motion.duration, 0.002)]
    assert all(isinstance(each, JointReference) for each in references)
    assert np.abs(np.diff([each.q for each in references], axis=0)).max() < 0.005
    assert np.abs(np.diff([each.qd for each in references], axis=0)).max() < 0.03

    elsewhere = made()
    elsewhere.start(home + 0.2, np.zeros(3), np.eye(3))
    assert len(asked) == 1
    nowhere = made()
    with pytest.raises(MotionError, match=r"not free \(the table\): lead the arm home first"):
        nowhere.start(home + 2.0, np.zeros(3), np.eye(3))
    with pytest.raises(MotionError, match="position reads"):
        made().start(np.full(6, np.nan), np.zeros(3), np.eye(3))


def test_what_stands_around_is_grown_and_the_plate_is_in_it() -> None:
    cell = load_cell("iiwa14_polish")
    assert cell.mock is not None
    assert cell.mock.plate is not None
    (plate,) = boxes(cell)
    np.testing.assert_allclose(plate.size, np.array(cell.mock.plate.size) + 2 * GROWN)
    top = plate.position[2] + plate.size[2] / 2
    assert top == pytest.approx(cell.mock.plate.xyz[2] + GROWN)
    assert ("tool", "floor") in build_collision(cell).pairs


# --- under supervision ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["iiwa14_polish", "cobot"])
def test_both_arms_make_them_in_lockstep_and_each_is_a_trajectory_of_its_log(name: str, tmp_path: Path) -> None:
    cell, plan = short_plan(name)
    motions = exciting.plan_motions(plan, cell, exciting.build_arena(cell))
    assert [motion.name for motion in motions] == ["fourier-1", "points-1"]
    log = tmp_path / "run.mcap"
    with hil.open(cell) as session:
        if name == "cobot":  # at half the rate: recording takes as long as all the rest
            session.record(log)
        else:
            motions = motions[:1]
        session.bring_up()
        session.enable()
        for motion in motions:
            trace = session.run(motion)
            assert {"approach", "excite"} <= set(trace.phases()) or "dwell" in trace.phases()
            assert np.nanmax(np.abs(trace["q"] - trace["q_ref"])) < 0.1
        assert not session.supervisor.machine.faults
        np.testing.assert_allclose(session.sample.q, motions[-1].at(np.inf).q, atol=0.02)
        session.stop()
    if not log.exists():
        return
    found = segments_of(read_log(log))
    assert len(found) == 2
    for segment, motion in zip(found, motions, strict=True):
        assert segment.seconds > motion.core.duration - 0.5


def test_the_supervisors_process_makes_the_motions_of_the_plan(tmp_path: Path) -> None:
    cell, plan = short_plan("cobot")
    save(plan, tmp_path / "plan.npz")
    job = Job("cobot", ("points-1",), "", "", cell.digest(), 0, plan=str(tmp_path / "plan.npz"))
    assert Job.from_json(job.to_json()) == job
    assert [motion.name for motion in _motions(job, cell)] == ["points-1"]


# --- the command ----------------------------------------------------------------------------------------------------

QUICK = ("--runs", "1", "--seconds", "5", "--moves", "3", "--generations", "2")


def command(*arguments: str, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    monkeypatch.chdir(cwd)
    done = CliRunner().invoke(app, ["excite", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_a_search_leaves_plan_picture_and_the_next_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = command("cobot", *QUICK, "--optimise-only", cwd=tmp_path, monkeypatch=monkeypatch)
    assert code == 0, err
    (folder,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in folder.iterdir()} == {"plan.npz", "excitation.png"}
    assert (folder / "excitation.png").read_bytes().startswith(b"\x89PNG")
    assert "fourier-1" in out
    assert "points-2" in out
    assert "least distance" in out
    assert f"next: hil excite cobot --plan {folder.relative_to(tmp_path)}/plan.npz" in out
    # A plan that does not fit the cell any more is refused; nothing is left behind.
    content = yaml.safe_load(load_cell("cobot").dump())
    content["workspace"]["obstacles"] = [{"name": "post", "xyz": [0.3, 0.0, 0.3], "size": [0.2, 0.2, 0.4]}]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    plan = str(folder / "plan.npz")
    code, out, err = command("mine.yaml", "--plan", plan, cwd=tmp_path, monkeypatch=monkeypatch)
    assert code == 2
    assert "post" in err
    assert "does not fit this cell" in err
    assert list((tmp_path / "runs").iterdir()) == [folder]


def test_an_interrupted_search_keeps_the_best_so_far_and_moves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = exciting.make_plan

    def interrupted(*arguments: Any) -> Plan:
        stop: Callable[[], bool] = arguments[5]

        def once() -> bool:
            if not stop():
                os.kill(os.getpid(), signal.SIGINT)
            return stop()

        return real(*arguments[:5], once)

    monkeypatch.setattr(exciting, "make_plan", interrupted)
    before = signal.getsignal(signal.SIGINT)
    arguments = ("cobot", "--runs", "1", "--seconds", "5", "--moves", "0", "--generations", "500")
    code, out, _ = command(*arguments, cwd=tmp_path, monkeypatch=monkeypatch)
    assert code == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert "interrupted" in out
    assert "next: hil excite cobot --plan" in out
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "plan.npz").exists()
    assert not (folder / "run.mcap").exists()


@pytest.mark.parametrize(
    ("change", "arguments", "says"),
    [
        ({"margin": 0.2}, QUICK, "no motion found that keeps all limits; in the way for home"),
        ({"tcp_box": {"min": [0.0, 0.0, 0.5], "max": [0.2, 0.2, 0.6]}}, QUICK, "workspace box"),
        ({"floor": 0.2}, QUICK, "floor"),
        ({}, ("--plan", "absent.npz"), "absent.npz: No such file"),
    ],
)
def test_refusals(
    change: dict[str, Any],
    arguments: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = yaml.safe_load(load_cell("cobot").dump())
    content["workspace"].update(change)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    code, _, err = command("mine.yaml", *arguments, cwd=tmp_path, monkeypatch=monkeypatch)
    assert code == 2
    assert says in err.replace("\n", " ")
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"obstacles": [{"name": "tool", "size": [1.0, 1.0, 1.0]}]}, "workspace.obstacles"),
        ({"obstacles": [{"name": "a", "size": [1.0, 0.0, 1.0]}]}, "workspace.obstacles[0].size"),
        ({"tcp_box": {"min": [0.0, 0.0, 1.0], "max": [1.0, 1.0, 1.0]}}, "workspace.tcp_box"),
    ],
)
def test_a_workspace_that_is_none_is_told_by_its_key(change: dict[str, Any], key: str, tmp_path: Path) -> None:
    content = yaml.safe_load(load_cell("cobot").dump())
    content["workspace"].update(change)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(CellError) as refused:
        load_cell(tmp_path / "mine.yaml")
    assert key in {fault.key for fault in refused.value.faults}


@pytest.mark.accept
@pytest.mark.parametrize("name", ["iiwa14_polish", "cobot"])
def test_the_whole_command_makes_what_a_model_can_be_trained_on(name: str, tmp_path: Path) -> None:
    """Three runs and two motions with dwells, every process for itself; then the residual model of it."""
    arguments = ["excite", name, "--runs", "3", "--seconds", "10", "--moves", "12", "--generations", "20", "--fast"]
    done = hil_command(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert "next: hil train residual" in done.stdout
    trained = train_residual(load_cell(name), [folder / "run.mcap"])
    assert (trained.after <= trained.before * 1.05).all()
    assert trained.after.mean() < trained.before.mean()


@pytest.mark.accept
def test_ctrl_c_while_it_moves_stops_in_order_and_keeps_the_log(tmp_path: Path) -> None:
    arguments = ["excite", "cobot", "--runs", "1", "--seconds", "8", "--moves", "0", "--generations", "1", "--fast"]
    with subprocess.Popen(
        [sys.executable, "-c", "from hil.cli import main; main()", *arguments],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2])),
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        log = None
        for _ in range(600):
            log = next((tmp_path / "runs").glob("*/run.mcap"), None) if (tmp_path / "runs").exists() else None
            if log is not None and log.stat().st_size > 300_000:
                break
            with pytest.raises(subprocess.TimeoutExpired):
                running.wait(0.2)
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=120)
    assert running.returncode == 1
    assert log is not None
    assert "stopped by the operator" in out
    assert "braked and at rest" in out
    assert len(read_log(log).cycle) > 100


def hil_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from hil.cli import main; main()", *arguments],
        cwd=cwd,
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2])),
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
