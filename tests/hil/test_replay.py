"""A recorded session goes through today's supervisor: no difference by itself, one for each limit that was changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from drivers.contract import Array, StopCategory, TorqueCommand
from hil.cell import Cell, load_cell
from hil.cli.every import app
from hil.flight.file import Excerpt, write_excerpt
from hil.motion import JointSinusoids
from hil.replay import Replay, ReplayError, replay, replay_file, write_test
from hil.replay.inputs import NEEDED
from hil.telemetry.log import Log, read_log
from hil.telemetry.row import FIELDS
from safety.faults import FaultCode
from safety.states import State
from tests.hil.flying import Flying
from tests.hil.running import Running, short_cell
from tests.hil.synthetic_run import write_run

SPEED = 0.5
"""rad/s; the speed limit of the recorded cell, which a fast swing passes."""


class Broken:
    """A controller that raises."""

    kind = "joint"

    def reset(self, *args: object) -> None: ...

    def torque(self, *args: object) -> Array:
        raise ZeroDivisionError("division by zero")


def limited(folder: Path, speed: float) -> Cell:
    """The short cell with another speed limit."""
    folder.mkdir(exist_ok=True)
    content = yaml.safe_load(short_cell(folder).dump())
    content["robot"]["limits"]["overrides"]["qd_max"] = [speed] * 7
    (folder / "limited.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_cell(folder / "limited.yaml")


def swing(amplitude: float) -> JointSinusoids:
    return JointSinusoids(np.full(7, amplitude), np.full(7, 1.5), 3.0, 0.3)


def _session(running: Running) -> None:
    """Hold, a stop of category 2 and on from there, a refused command, an exception, a lost sensor, too fast."""
    supervisor = running.supervisor

    def again() -> None:
        running.until(lambda: supervisor.state is State.FAULTED, 400)
        running.until(lambda: supervisor.healthy, 200)
        assert supervisor.acknowledge().accepted
        running.steps(20)
        running.hold(40)

    running.hold(60)
    supervisor.start(swing(0.02))
    running.steps(200)
    supervisor.stop(StopCategory.STOP_AND_HOLD)
    running.until(lambda: supervisor.standing, 300)
    assert supervisor.resume().accepted
    running.steps(50)
    supervisor.command(TorqueCommand(np.full(7, np.nan), running.mock.world.q.copy()))
    again()
    assert supervisor.sample is not None
    supervisor.command(TorqueCommand(np.full(7, 60.0), supervisor.sample.q + 0.02))
    running.steps(3)
    supervisor.start(swing(0.02), Broken())
    again()
    running.inject("nan", "ft", 5, field="wrench")
    again()
    supervisor.start(swing(0.12))
    running.until(lambda: supervisor.state is State.FAULTED, 900)
    running.steps(150)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """One session with everything in it."""
    folder = tmp_path_factory.mktemp("replay")
    running = Running(limited(folder, SPEED))
    flying = Flying(running, folder)
    _session(running)
    taken = flying.ring.take()
    assert taken.missed == 0
    excerpt = Excerpt(taken.rows, flying.ring.phases(), taken.events, 0)
    write_excerpt(folder / "run.mcap", flying.meta, flying.ring.layout, excerpt, {})
    flying.close()
    running.close()
    os.close(flying.ring.fd)
    return read_log(folder / "run.mcap")


@pytest.fixture(scope="module")
def replayed(log: Log) -> Replay:
    return replay(log)


def test_a_session_replays_to_the_last_bit(log: Log, replayed: Replay) -> None:
    assert replayed.differences == []
    assert replayed.judged == replayed.rows == len(log.cycle)
    assert replayed.notes == []
    codes = [code for _, code, _ in replayed.tripped_then]
    assert replayed.tripped_now == replayed.tripped_then
    assert {"command_not_finite", "internal_error", "sensor_invalid", "velocity"} <= set(codes)
    # It is no replay of nothing: commands were limited, sent, and stops were made.
    assert (log.cycle["limited"] != 0).any()
    assert np.isfinite(log.cycle["tau_cmd"]).all(axis=1).sum() > 800
    assert {1, 2} <= set(log.cycle["stop_category"].tolist())


def test_any_other_decision_is_seen(log: Log) -> None:
    """Recorded decisions are changed, one of each kind: each is found where it was changed, and nothing else."""
    rows = np.flatnonzero(np.isfinite(log.cycle["tau_cmd"]).all(axis=1))
    table = log.cycle.copy()
    changed = []
    for number, name in enumerate(("tau_cmd", "q_ref_cmd", "tau_wanted", "limited")):
        k = int(rows[100 + 10 * number])
        table[name][k, 2] = np.nextafter(table[name][k, 2], 9.0) if name != "limited" else 64
        changed.append((name, int(table["tick"][k]), 1))
    assert [(d.check, d.tick, d.count) for d in replay(_with(log, table)).differences] == changed


def test_a_tighter_limit_shows_what_it_would_have_done(log: Log, tmp_path: Path) -> None:
    changed = replay(log, limited(tmp_path / "tight", 0.08))
    assert "the cell, or its robot description, is another than that of the log" in changed.notes
    first = changed.differences[0]
    assert first.check == "fault"
    assert first.then == "nothing"
    assert first.now.startswith("joint speed on A")
    assert "limit 0.08" in first.now
    assert first.count > 1  # many cycles, one line
    moved = int(np.argmax(np.abs(log.cycle["qd"]).max(axis=1) > 0.08))
    assert first.tick == int(log.cycle["tick"][moved]) or first.tick > moved
    # What it took over does not hide the faults that came later.
    assert {code for _, code, _ in changed.tripped_then} <= {code for _, code, _ in changed.tripped_now}


def test_a_looser_limit_shows_what_it_would_have_missed(log: Log, tmp_path: Path) -> None:
    changed = replay(log, limited(tmp_path / "loose", 0.9))
    faults = [d for d in changed.differences if d.check == "fault"]
    assert any(d.then.startswith("joint speed") and d.now == "nothing" for d in faults)


def test_a_log_that_begins_in_the_middle_warms_up(log: Log) -> None:
    begin = int(np.argmax(log.cycle["safety_state"] == 2)) + 150
    part = replay(_with(log, log.cycle[begin:]))
    assert part.differences == []
    assert 0 < part.rows - part.judged <= 102


def test_missing_rows_are_told(log: Log) -> None:
    table = np.delete(log.cycle, slice(400, 450))
    part = replay(_with(log, table))
    assert part.notes == ["rows are missing before tick 450"]


def _with(log: Log, table: np.ndarray[Any, Any]) -> Log:
    return Log(log.path, {**log.channels, "/cycle": table}, log.units, log.events, log.metadata, log.attachments)


def test_every_input_is_a_field_of_the_row() -> None:
    assert set(NEEDED) <= {field.name for field in FIELDS}


# --- what cannot be replayed -----------------------------------------------------------------------------------------


def test_an_older_log_is_told(log: Log) -> None:
    names = [name for name in log.cycle.dtype.names or () if name not in ("asked", "q_ref_accepted")]
    with pytest.raises(ReplayError, match="does not hold what the checks were given: q_ref_accepted, asked"):
        replay(_with(log, log.cycle[names]))


def test_a_log_of_another_arm_is_told(log: Log) -> None:
    with pytest.raises(ReplayError, match=r"has 6 joints, the log .* has 7"):
        replay(log, "cobot")


def test_a_log_without_its_cell_and_thinned_rows_are_told(log: Log) -> None:
    bare = Log(log.path, log.channels, log.units, log.events, log.metadata, {})
    with pytest.raises(ReplayError, match=r"--cell"):
        replay(bare)
    with pytest.raises(ReplayError, match="each 2th row"):
        replay(read_log(log.path, every=2))
    with pytest.raises(ReplayError, match="no rows"):
        replay(_with(log, log.cycle[:0]))


# --- regression tests ------------------------------------------------------------------------------------------------


def test_a_fault_becomes_a_test_that_fails_when_the_limit_is_loosened(log: Log, tmp_path: Path) -> None:
    cell = limited(tmp_path / "lab", SPEED)
    number = 4  # the speed is the last one
    made = write_test(log, tmp_path / "regressions", cell, number)
    assert made.rows < 500
    assert sorted(p.suffix for p in (tmp_path / "regressions").iterdir()) == [".mcap", ".py"]
    arguments = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path), str(made.test)]
    assert pytest.main(arguments) == pytest.ExitCode.OK
    limited(tmp_path / "lab", 0.9)
    assert pytest.main(arguments) == pytest.ExitCode.TESTS_FAILED
    # One that trips earlier is another supervisor, too.
    limited(tmp_path / "lab", 0.3)
    assert pytest.main(arguments) == pytest.ExitCode.TESTS_FAILED


def test_a_fault_that_does_not_replay_becomes_no_test(log: Log, tmp_path: Path) -> None:
    number = 4  # the speed is the last one
    with pytest.raises(ReplayError, match="would fail from the start"):
        write_test(log, tmp_path / "none", limited(tmp_path / "loose", 0.9), number)
    assert list((tmp_path / "none").iterdir()) == []
    with pytest.raises(ReplayError, match="holds 4 fault"):
        write_test(log, tmp_path / "none", None, 9)


def test_hil_replay(log: Log, tmp_path: Path) -> None:
    run = CliRunner().invoke
    result = run(app, ["replay", str(log.path)])
    assert result.exit_code == 0, result.output
    assert "to the last bit" in result.output
    cell = limited(tmp_path / "tight", 0.08)
    result = run(app, ["replay", str(log.path), "--cell", str(cell.path), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.output)["differences"][0]["check"] == "fault"
    result = run(app, ["replay", str(log.path), "--to-test", str(tmp_path / "made")])
    assert result.exit_code == 0
    assert len(list((tmp_path / "made").glob("test_*.py"))) == 1
    for bad in (str(tmp_path / "none.mcap"), str(write_run(tmp_path / "old.mcap", 50))):
        assert run(app, ["replay", bad]).exit_code == 2
    assert FaultCode.VELOCITY.value in {code for _, code, _ in replay_file(log.path).tripped_now}
