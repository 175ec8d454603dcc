"""The control socket: who may open it, what it takes, and that no client can hold up a cycle."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from hil.operation.client import NoAnswerError, OperationClient
from hil.operation.messages import REQUEST_MAX, VERBS, Reply, Request, RequestError, read_request
from hil.operation.place import Claim, PlaceError, find, root, running
from hil.operation.server import OperationServer

WAIT_MS = 5000
"""A limit against hanging, not a measure."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A well-known place of the test's own."""
    folder = tmp_path / "rt"
    monkeypatch.setenv("HIL_RUNTIME_DIR", str(folder))
    return folder


class Echo:
    """Says what was asked for."""

    def __init__(self) -> None:
        self.heard: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        self.heard.append(request)
        return Reply(True, f"heard {request.verb}", {"nan": float("nan")})


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def server(echo: Echo) -> Iterator[OperationServer]:
    with Claim("bench") as claim:
        made = OperationServer(claim.cell.control, echo)
        yield made
        made.close()


def raw(kind: int = zmq.DEALER) -> zmq.Socket[bytes]:
    socket = zmq.Context.instance().socket(kind)
    socket.linger = 0
    socket.connect(find().control)
    return socket


def test_only_the_owner_can_enter(server: OperationServer, place: Path) -> None:
    """Directories 0700, sockets 0600."""
    cell = find("bench")
    for folder in (place, cell.folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((cell.folder / "control.sock").stat().st_mode) == 0o600


def test_a_place_that_others_can_enter_is_refused(place: Path) -> None:
    place.mkdir(mode=0o755)
    place.chmod(0o755)
    with pytest.raises(PlaceError, match="mode 0755; expected a directory of yours"):
        root()


def test_a_link_in_place_of_the_directory_is_refused(place: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PlaceError, match="expected a directory of yours"):
        running()


def test_cells_are_found_by_name() -> None:
    """None, one, several; a name that does not run; a second one of the same name."""
    with pytest.raises(PlaceError, match="no cell is running; start one"):
        find()
    with Claim("one"):
        assert find().name == "one"
        assert find().pid == os.getpid()
        with Claim("two"):
            with pytest.raises(PlaceError, match="2 cells are running: one, two; say which"):
                find()
            assert find("two").name == "two"
            with pytest.raises(PlaceError, match="no cell 'three' is running; running: one, two"):
                find("three")
        with pytest.raises(PlaceError, match=rf"'one' runs already \(process {os.getpid()}\)"):
            Claim("one")
    assert running() == []


def test_a_killed_cell_is_gone(place: Path) -> None:
    """What a cell that was killed leaves behind is no running cell, and its name can be taken again."""
    code = "from hil.operation.place import Claim; c = Claim('one'); print('up', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    assert [cell.pid for cell in running()] == [process.pid]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (place / "one" / "cell.json").exists()
    assert running() == []
    with Claim("one"):
        assert find().pid == os.getpid()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 61])
def test_a_name_that_is_no_directory_is_refused(name: str) -> None:
    with pytest.raises(PlaceError, match="cannot name a directory"):
        Claim(name)


def test_one_request_one_reply(server: OperationServer, echo: Echo) -> None:
    """REQ (with its empty frame) and DEALER alike; NaN comes as null."""
    for kind in (zmq.REQ, zmq.DEALER):
        client = raw(kind)
        client.send(b'{"verb": "jog", "joint": 2, "degrees": -1}')
        assert server.poll(WAIT_MS)
        assert client.poll(WAIT_MS)
        assert json.loads(client.recv()) == {"ok": True, "sentence": "heard jog", "nan": None}
        client.close()
    assert [(r.verb, r.degrees) for r in echo.heard] == [("jog", -1.0)] * 2  # type: ignore[attr-defined]
    assert not server.poll()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 3000, "not JSON"),
        (b"[]", "a request is an object with a verb, one of status, enable"),
        (b"{}", "a request is an object with a verb"),
        (b'{"verb": "dance"}', "a request is an object with a verb"),
        (b'{"verb": ["stop"]}', "a request is an object with a verb"),
        (b'{"verb": "stop", "category": 3}', "category"),
        (b'{"verb": "stop", "category": "1"}', "category"),
        (b'{"verb": "stop", "really": true}', "really"),
        (b'{"verb": "jog", "joint": 1.5, "degrees": 1}', "joint"),
        (b'{"verb": "jog", "joint": 1, "degrees": NaN}', "degrees"),
        (b'{"verb": "jog", "joint": 1, "degrees": 1e999}', "degrees"),
        (b'{"verb": "jog", "joint": 1}', "degrees"),
        (b'{"verb": "start", "motion": ""}', "motion"),
        (b'{"verb": "mark", "text": "' + b"x" * 501 + b'"}', "text"),
        (b'{"verb": "mark", "text": "' + b"x" * 4100 + b'"}', "bytes; allowed are 4096"),
        (b'{"verb": "record", "on": 1}', "on"),
    ],
)
def test_what_is_no_request_is_refused_in_words(
    server: OperationServer, echo: Echo, data: bytes, words: str
) -> None:
    with OperationClient() as client:
        client._socket.send(data)
        assert server.poll(WAIT_MS)
        reply = Reply.from_json(client._socket.recv())
    assert not reply.ok
    assert reply.sentence.startswith("not understood: ")
    assert words in reply.sentence
    assert len(reply.sentence) < 300
    assert echo.heard == []


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_get_through_by_accident(data: bytes) -> None:
    """Anything is either a request of one of the verbs or refused with RequestError."""
    with contextlib.suppress(RequestError):
        assert read_request(data).verb in VERBS


def test_a_flood_is_answered_one_by_one_and_strange_envelopes_not_at_all(
    server: OperationServer, echo: Echo
) -> None:
    """Each look takes one message, whatever waits; a message far too long ends that client only."""
    clients = [raw() for _ in range(5)]
    clients[0].send_multipart([b"a", b"b", b"c", b"d"])
    clients[1].send_multipart([b"not empty", b'{"verb": "stop"}'])
    assert server.poll(WAIT_MS)
    assert server.poll(WAIT_MS)
    assert echo.heard == []
    clients[2].send(b"x" * (16 * REQUEST_MAX))
    for client in clients[3:]:
        for _ in range(20):
            client.send(b'{"verb": "status"}')
    for count in range(40):
        assert server.poll(WAIT_MS), count
        assert len(echo.heard) == count + 1
    for client in clients[3:]:
        for _ in range(20):
            assert client.poll(WAIT_MS)
            assert json.loads(client.recv())["ok"]
    for client in clients:
        client.close()


def test_a_client_that_reads_nothing_or_left_holds_up_nobody(server: OperationServer, echo: Echo) -> None:
    silent, gone = raw(), raw()
    for _ in range(50):
        silent.send(b'{"verb": "status"}')
    gone.linger = WAIT_MS  # what was sent arrives, though nobody waits for the answer any more
    gone.send(b'{"verb": "status"}')
    gone.close()
    for _ in range(51):
        assert server.poll(WAIT_MS)
    assert len(echo.heard) == 51
    with OperationClient() as client:
        client._socket.send(b'{"verb": "stop"}')
        assert server.poll(WAIT_MS)
        assert Reply.from_json(client._socket.recv()).sentence == "heard stop"
    silent.close()


def test_a_cell_that_does_not_answer_is_said_to() -> None:
    """The client waits for a bounded time, and can ask again afterwards."""
    with Claim("bench"), OperationClient("bench", timeout=0.05) as client:
        for _ in range(2):
            with pytest.raises(NoAnswerError, match=r"did not answer within 0\.05 s"):
                client.call("stop")
