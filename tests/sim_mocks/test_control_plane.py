"""A cell in a process of its own: sockets, the time token, and what happens when either side goes."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.contract import Ticks
from drivers.errors import ConnectError
from sim_mocks.control_plane import ControlError, LockstepTicks, SocketControl
from sim_mocks.control_server import ControlServer
from sim_mocks.errors import MockError
from sim_mocks.faults import Fault
from sim_mocks.host import CooperativeHost
from sim_mocks.pacing import Pacer
from tests.sim_mocks.cells import mock_config
from tests.sim_mocks.raw_fri import RawClient


class Served:
    """``python -m sim_mocks.serve`` with a raw client and the time token."""

    def __init__(self, directory: Path, faults: tuple[Fault, ...] = (), **how: Any) -> None:
        config = mock_config("standard", ft=True, faults=faults, control_dir=str(directory), **how)
        path = directory / "mock.json"
        path.write_text(config.to_json())
        command = [sys.executable, "-m", "sim_mocks.serve", "--config", str(path)]
        self.directory = directory
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout is not None
        self.hello = json.loads(self.process.stdout.readline())
        self.control = SocketControl(directory)
        self.ticks = LockstepTicks(directory)
        self.client = RawClient()
        self.control.fri_peer(*self.client.address)
        self.address = tuple(self.hello["fri"])

    def run(self, ticks: int, torque: float = 0.0) -> None:
        for _ in range(ticks):
            self.ticks.wait(self.client.fileno(), 0)
            seen = self.client.read()
            if seen is not None:
                self.client.answer(self.address, seen, (torque, *(0.0,) * 6))

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.client.close()
        self.control.close()
        self.ticks.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    served: list[Served] = []

    def start(*faults: Fault, **how: Any) -> Served:
        directory = tmp_path / str(len(served))
        directory.mkdir()
        served.append(Served(directory, faults, **how))
        return served[-1]

    yield start
    for one in served:
        one.close()


def test_session_through_two_processes_ends_in_the_same_bits_as_in_one(serve: Any, tmp_path: Path) -> None:
    mock = serve()
    ticks: Ticks = mock.ticks
    assert isinstance(ticks, Ticks)
    assert mock.hello["pid"] == mock.process.pid
    assert Path(mock.hello["ft_path"]).exists()
    mock.run(120)
    mock.control.start_overlay()
    mock.run(120)
    assert mock.control.state()["session"] == "COMMANDING_ACTIVE"
    mock.run(50, 1.0)
    assert mock.ticks.tick == 290
    assert mock.ticks.now_ns() == 290_000_000
    mock.control.truth_save(tmp_path / "truth.npz")
    mock.control.quit()
    assert mock.process.wait(10) == 0
    assert not (mock.directory / "token.sock").exists()

    cell, client = CooperativeHost(mock_config("standard", ft=True)), RawClient()
    cell.fri_peer(*client.address)
    for k in range(290):
        if k == 120:
            cell.controller.start_overlay(cell.t_ns)
        cell.wait(client.fileno(), 0)
        seen = client.read()
        assert seen is not None
        client.answer(cell.fri_address, seen, (1.0 if k >= 240 else 0.0, *(0.0,) * 6))
    here = cell.log.truth()
    client.close()
    cell.close()
    with np.load(tmp_path / "truth.npz", allow_pickle=False) as there:
        assert all(np.array_equal(there[name], here[name]) for name in here)


def test_world_runs_on_until_the_arm_stands_when_the_token_is_gone(serve: Any) -> None:
    ends = []
    for _ in range(2):
        mock = serve()
        mock.run(120)
        mock.control.start_overlay()
        mock.run(120)
        mock.run(60, 1.4)
        mock.ticks.close()
        state = mock.control.state()
        assert state["standing"]
        assert state["tick"] > 300 + 50
        truth = mock.control.truth(since=300)
        assert truth["braked_since"] is not None
        assert truth["max_tau_rate"] <= [1500.0 * (1 + 1e-9)] * 7
        ends.append((state["tick"], state["q"], truth))
        # A later holder goes on from there.
        again = LockstepTicks(mock.directory)
        assert again.tick == state["tick"]
        again.wait(mock.client.fileno(), 0)
        assert again.tick == state["tick"] + 1
        again.close()
    assert ends[0] == ends[1]


@pytest.mark.parametrize("tick", [130, 300])
def test_killed_supervisor_leaves_a_braked_arm_and_a_killed_mock_leaves_time_running(serve: Any, tick: int) -> None:
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.sim_mocks.raw_fri import RawClient\n"
        "from sim_mocks.control_plane import LockstepTicks, SocketControl\n"
        "import os\n"
        "control = SocketControl(sys.argv[1]); control.register('supervisor', os.getpid())\n"
        "client = RawClient(); control.fri_peer(*client.address)\n"
        "address = tuple(control.hello()['fri']); ticks = LockstepTicks(sys.argv[1])\n"
        "for k in range(1000):\n"
        "    if k == 120: control.start_overlay()\n"
        "    ticks.wait(client.fileno(), 0); seen = client.read()\n"
        "    client.answer(address, seen, (1.4 if k > 250 else 0.0, *(0.0,) * 6))\n"
    )
    mock = serve(Fault("kill", "supervisor", tick))
    mock.ticks.close()
    supervisor = subprocess.run([sys.executable, "-c", code, str(mock.directory)], check=False, timeout=60)
    assert supervisor.returncode == -signal.SIGKILL
    mock.control.run_out()  # it does so by itself; a busy machine may be asked before it has
    state = mock.control.state()
    assert state["standing"]
    assert tick < state["tick"] <= tick + 100
    assert mock.control.faults_list()["log"] == [[tick, 0, "killed supervisor"]]


def test_killed_mock_is_noticed_and_time_goes_on(serve: Any) -> None:
    mock = serve(Fault("kill", "mock", 20))
    mock.run(20)
    assert not mock.ticks.lost
    assert not mock.ticks.wait(mock.client.fileno(), 0)
    assert mock.ticks.lost
    assert mock.ticks.now_ns() == 21_000_000
    mock.run(10)
    assert mock.ticks.now_ns() == 31_000_000
    assert mock.process.wait(10) == -signal.SIGKILL
    with pytest.raises(ControlError, match="process"):
        mock.control.state()


def test_second_client_does_not_get_the_token(serve: Any) -> None:
    mock = serve()
    with pytest.raises(ConnectError, match="another one holds it"):
        LockstepTicks(mock.directory)
    mock.run(5)
    assert mock.ticks.tick == 5


def test_bad_requests_get_an_answer_and_harm_nobody(serve: Any) -> None:
    mock = serve()
    with pytest.raises(ControlError, match="does not exist"):
        mock.control.call("fly")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
        raw.connect(str(mock.directory / "control.sock"))
        raw.settimeout(10)
        for line in (b"\n", b"[1]\n", b'{"op": 5}\n', b"\xff\xfe\n"):
            raw.sendall(line)
            assert json.loads(raw.makefile("rb").readline())["ok"] is False
        raw.sendall(b'{"op": "hel')
        raw.sendall(b'lo"}\n{"op": "state"}\n')
        lines = raw.makefile("rb")
        assert json.loads(lines.readline())["n"] == 7
        assert json.loads(lines.readline())["tick"] == 0
    mock.run(3)
    assert mock.control.hello()["tick"] == 3


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match="no mock cell listens"):
        LockstepTicks(tmp_path)
    with pytest.raises(ConnectError, match=r"sim_mocks\.serve"):
        SocketControl(tmp_path)


def test_sockets_refuse_a_path_that_is_too_long(tmp_path: Path) -> None:
    cell = CooperativeHost(mock_config())
    with pytest.raises(MockError, match="shorter control_dir"):
        ControlServer(cell, tmp_path / ("x" * 120))
    cell.close()


def test_serve_says_what_is_wrong_with_its_configuration(tmp_path: Path) -> None:
    path = tmp_path / "mock.json"
    path.write_text(mock_config().to_json())
    command = [sys.executable, "-m", "sim_mocks.serve", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "control_dir" in done.stderr


def test_client_side_needs_neither_pybullet_nor_pinocchio() -> None:
    code = (
        "import sys, sim_mocks.control_plane, sim_mocks.config\n"
        "assert not {'pybullet', 'pinocchio', 'google.protobuf'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_pacing_never_runs_ahead_and_never_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000_000]
    monkeypatch.setattr(time, "monotonic_ns", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + round(seconds * 1e9)))
    pacer, starts = Pacer(1_000_000), []
    for busy_ms in (0.2, 0.2, 7.5, 0.2, 0.2, 1.3, 0.2, 0.2):
        pacer.wait()
        starts.append((now[0] - 1_000_000_000) / 1e6)
        now[0] += round(busy_ms * 1e6)
    # 7.5 ms of stall move the schedule; 1.3 ms are caught up within the next tick.
    assert starts == pytest.approx([0.0, 1.0, 2.0, 9.5, 10.5, 11.5, 12.8, 13.5])
    assert pacer.skipped_ns == 6_500_000


def test_token_on_the_wire_is_two_numbers(serve: Any) -> None:
    """A client in any language can hold the token: this one has only a socket."""
    mock = serve()
    mock.ticks.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as token:
        token.connect(os.path.join(mock.directory, "token.sock"))
        assert struct.unpack("<qqq", token.recv(64)) == (0, 0, 1_000_000)
        token.send(b"g")
        assert struct.unpack("<qq", token.recv(64)) == (1, 1_000_000)
