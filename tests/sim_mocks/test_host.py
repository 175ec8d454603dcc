"""The whole cell in one process: faults on the wires, truth, repeatability, run-out, configuration."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.contract import Ticks
from sim_mocks.config import IiwaConfig, MockConfig, MockConfigError
from sim_mocks.control_plane import ControlError
from sim_mocks.errors import MockError
from sim_mocks.faults import Fault
from sim_mocks.host import CooperativeHost
from sim_mocks.operations import LocalControl
from sim_mocks.truth import TruthLog
from tests.sim_mocks.cells import mock_config
from tests.sim_mocks.raw_fri import Packet, RawClient


class Run:
    """A cell with a client that answers everything, and what both saw."""

    def __init__(self, config: MockConfig) -> None:
        self.cell = CooperativeHost(config)
        self.control = LocalControl(self.cell)
        self.client = RawClient()
        self.control.fri_peer(*self.client.address)
        self.seen: list[Packet | None] = []

    def run(self, ticks: int, tau: Callable[[int], float] = lambda k: 0.0) -> None:
        for k in range(ticks):
            self.cell.wait(self.client.fileno(), 0)
            seen = self.client.read()
            self.seen.append(seen)
            if seen is not None:
                self.client.answer(self.cell.fri_address, seen, (tau(k), *(0.0,) * 6))

    def activate(self) -> None:
        self.run(120)
        self.control.start_overlay()
        self.run(120)
        assert self.control.state()["session"] == "COMMANDING_ACTIVE"

    def close(self) -> None:
        self.client.close()
        self.cell.close()


@pytest.fixture
def make() -> Any:
    made: list[Run] = []

    def build(config: MockConfig) -> Run:
        made.append(Run(config))
        return made[-1]

    yield build
    for run in made:
        run.close()


def test_host_is_the_drivers_time(make: Any) -> None:
    cell = make(mock_config()).cell
    assert isinstance(cell, Ticks)
    assert cell.now_ns() == 0
    assert not cell.wait(make(mock_config()).client.fileno(), 10**9)
    assert cell.now_ns() == 1_000_000


def test_two_runs_are_identical_and_another_seed_is_not(make: Any) -> None:
    def run(seed: int) -> tuple[dict[str, Any], list[Any]]:
        cell = make(
            mock_config("standard", seed=seed, ft=True, faults=(Fault("drop", "iiwa", 300, 50, probability=0.04),))
        )
        cell.activate()
        cell.run(300, lambda k: min(4.0, 0.05 * k))
        return cell.cell.log.truth(), [
            None if p is None else (p.state, p.joints(3, 1), p.joints(3, 2)) for p in cell.seen
        ]

    (truth, seen), (again, seen_again), (other, _) = run(3), run(3), run(4)
    assert all(np.array_equal(truth[name], again[name]) for name in truth)
    assert seen == seen_again
    assert not np.array_equal(truth["q"], other["q"])


def test_drop_and_stall_on_the_wire(make: Any) -> None:
    cell = make(mock_config(faults=(Fault("drop", "iiwa", 150, ticks=2), Fault("stall", "iiwa", 160, ticks=3))))
    cell.run(170)
    got = [p is not None for p in cell.seen]
    assert [k for k, there in enumerate(got) if not there] == [150, 151, 160, 161, 162]
    assert cell.seen[163].seq == 163
    log = cell.control.faults_list()["log"]
    assert [entry[0] for entry in log] == [150, 151, 160, 161, 162]


def test_lost_commands_reach_nobody(make: Any) -> None:
    cell = make(mock_config())
    cell.run(150)
    cell.control.faults_add([{"kind": "drop", "device": "iiwa", "at_tick": 155, "ticks": 3, "field": "in"}])
    cell.run(20)
    assert cell.control.state()["answers"]["missed"] == 3


def test_nan_is_on_the_wire_and_nowhere_else(make: Any) -> None:
    cell = make(mock_config(faults=(Fault("nan", "iiwa", 130, field="q", joint=3),)))
    cell.run(140)
    values = np.array([p.joints(3, 1) for p in cell.seen])
    assert [tuple(index) for index in np.argwhere(np.isnan(values))] == [(130, 3)]
    assert np.isfinite(cell.cell.log.truth()["q"]).all()


def test_ft_frames_arrive_before_the_datagram_and_can_be_lost(make: Any) -> None:
    def read(run: Run) -> bytes:
        fd = os.open(run.cell.ft_path or "", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        out = b""
        for _ in range(100):
            run.run(1)
            try:
                out += os.read(fd, 4096)
            except BlockingIOError:
                continue
        os.close(fd)
        return out

    # The device starts with 100 Hz: ten frames of 37 bytes in 0.1 s.
    assert len(read(make(mock_config("standard", ft=True)))) == 370
    assert len(read(make(mock_config("standard", ft=True, faults=(Fault("drop", "ft", 0, ticks=50),))))) == 185
    late = make(mock_config("standard", ft=True, faults=(Fault("stall", "ft", 0, ticks=95),)))
    assert len(read(late)) == 370


def test_kill_faults_kill_who_is_registered(make: Any) -> None:
    cell = make(mock_config(faults=(Fault("kill", "recorder", 5), Fault("kill", "nobody", 6))))
    victim = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    cell.control.register("recorder", victim.pid)
    cell.run(5)
    assert victim.poll() is None
    cell.run(2)
    assert victim.wait(10) == -signal.SIGKILL
    assert victim.stdin is not None
    victim.stdin.close()
    assert "nobody" in cell.control.state()["problems"][0]


@pytest.mark.parametrize("pid", [0, 1, -5])
def test_dangerous_pids_are_refused(make: Any, pid: int) -> None:
    with pytest.raises(ControlError, match="cannot be registered"):
        make(mock_config()).control.register("supervisor", pid)


def test_run_out_ends_when_the_arm_stands_braked(make: Any) -> None:
    ticks = []
    for _ in range(2):
        cell = make(mock_config("standard"))
        cell.activate()
        cell.run(100, lambda k: min(8.0, 0.1 * k))
        assert abs(cell.cell.world.qd[0]) > 0.05
        ticks.append(cell.control.run_out())
        truth = cell.cell.log.truth()
        assert truth["braked"][-1]
        assert np.abs(truth["qd"][-1]).max() < 1e-3
        assert cell.control.state()["standing"]
    assert ticks[0] == ticks[1]
    assert 60 <= ticks[0] <= 80  # 10 ms of bridging, 50 ms until the brakes have closed, and coming to rest
    assert cell.control.run_out() == 0


def test_summary_agrees_with_the_full_truth(make: Any) -> None:
    full, short = make(mock_config("standard")), make(mock_config("standard", truth="summary"))
    for cell in (full, short):
        cell.activate()
        cell.run(60)
    truth, summary = full.cell.log.truth(), short.control.truth()
    assert summary == full.control.truth()
    assert summary["ticks"] == len(truth["t_ns"]) == 300
    assert summary["braked_since"] is None
    travel = full.control.truth(since=200)["travel"]
    assert np.allclose(travel, np.abs(truth["q"][200:] - truth["q"][200]).max(axis=0))
    with pytest.raises(MockError, match="summary"):
        short.cell.log.truth()
    with pytest.raises(ControlError, match="tick 9999"):
        full.control.truth(since=9999)


def test_long_truth_loses_nothing_at_the_seams() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((10_000, 41))
    logs = [TruthLog(1e-3), TruthLog(1e-3, full=False)]
    for k, row in enumerate(rows):
        for log in logs:
            log.append(row[:7], row[7:14], row[14:21], row[21:28], row[28:35], row[35:], k % 5000 > 3, k % 5)
        if k == 7000:
            logs[0].summary()  # asked in between, it must not count anything twice
    truth = logs[0].truth()
    names = ("tau_motor", "overlay", "q", "qd", "tau_ext", "wrench_contact")
    assert np.array_equal(np.hstack([truth[name] for name in names]), rows)
    summary = logs[0].summary()
    assert summary == logs[1].summary()
    assert summary["max_tau"] == np.abs(rows[:, :7]).max(axis=0).tolist()
    rate = np.abs(np.diff(rows[:, :7], axis=0, prepend=np.zeros((1, 7)))).max(axis=0) / 1e-3
    assert np.allclose(summary["max_tau_rate"], rate)
    assert summary["max_speed"] == np.abs(rows[:, 21:28]).max(axis=0).tolist()
    assert summary["braked_since"] == 5004


def test_truth_is_saved_without_pickle(make: Any, tmp_path: Path) -> None:
    cell = make(mock_config())
    cell.run(20)
    cell.control.truth_save(tmp_path / "truth.npz")
    with np.load(tmp_path / "truth.npz", allow_pickle=False) as saved:
        assert set(saved) == set(cell.cell.log.truth())
        assert saved["t_ns"].tolist() == [(k + 1) * 1_000_000 for k in range(20)]
        assert np.array_equal(saved["q"], cell.cell.log.truth()["q"])


def test_slow_send_period_passes_in_one_wait(make: Any) -> None:
    cell = make(mock_config(iiwa=IiwaConfig(send_period_ms=4)))
    cell.run(50)
    assert cell.cell.ticks == 200
    assert [p.seq for p in cell.seen] == list(range(50))
    assert cell.control.state()["answers"]["missed"] == 0


@pytest.mark.parametrize(
    ("op", "arguments", "text"),
    [
        ("fly", {}, "does not exist"),
        ("start_overlay", {}, "MONITORING_READY"),
        ("start_overlay", {"colour": 1}, "colour"),
        ("push", {"wrench": [1.0, 2.0]}, "6 finite"),
        ("safety_stop", {"level": 9}, "does not exist"),
        ("faults_add", {"faults": [{"kind": "drop"}]}, "missing"),
        ("open_session", {}, "open already"),
        ("attach", {"mass": "heavy", "com": [0, 0, 0]}, "heavy"),
    ],
)
def test_operations_say_what_is_wrong(make: Any, op: str, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ControlError, match=text):
        make(mock_config()).control.call(op, **arguments)


def test_configuration_goes_through_json() -> None:
    config = mock_config(
        "hard", ft=True, faults=(Fault("stall", "iiwa", 3, ticks=4),), iiwa=IiwaConfig(peer=("127.0.0.1", 9))
    )
    assert dataclasses.replace(MockConfig.from_json(config.to_json()), faults=()) == dataclasses.replace(
        config, faults=()
    )
    assert MockConfig.from_json(config.to_json()).faults[0].ticks == 4


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('"seed": 0', '"seed": "x"', "seed"),
        ('"seed": 0', '"sead": 0', "unknown keys"),
        ('"send_period_ms": 1', '"send_period_ms": 0', "send_period_ms"),
        ('"truth": "full"', '"truth": "none"', "truth"),
        ('"paced": false', '"paced": 1', "paced"),
        ("{", "[", "JSON"),
    ],
)
def test_wrong_configurations_name_the_key(old: str, new: str, text: str) -> None:
    good = mock_config().to_json()
    assert old in good
    with pytest.raises(MockConfigError, match=text):
        MockConfig.from_json(good.replace(old, new))
