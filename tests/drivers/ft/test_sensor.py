"""BotaSensor against the device model over a real pseudo-terminal, in virtual time."""

import os
import pty
import tty
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from drivers.contract import Array, Ticks, WrenchSensor
from drivers.errors import ConnectError
from drivers.ft.bota import FRAME_SIZE
from drivers.ft.port import RawPort
from drivers.ft.sensor import BotaSensor
from drivers.ft.steps import Expect, run_steps
from sim_mocks.ft import BotaConfig, BotaDevice, Mode

TICK_NS = 1_000_000


class Bench:
    """Ticks in which one wait is one tick of 1 ms: the device hears, feels ``load`` and sends."""

    def __init__(self, device: BotaDevice) -> None:
        self.device = device
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)
        self.t_ns = 0
        self.load: Array = np.zeros(6)
        self.line: Callable[[bytes], bytes] = lambda data: data
        """What happens to the device's bytes on the way."""
        self.sensors: list[BotaSensor] = []
        self.deaf = 0
        """Number of commands' bytes still to be lost on the way to the device."""

    def now_ns(self) -> int:
        return self.t_ns

    def wait(self, fd: int, timeout_ns: int) -> bool:
        self.tick()
        return True

    def tick(self) -> None:
        self.t_ns += TICK_NS
        out = b""
        try:
            heard = os.read(self.master, 4096)
        except BlockingIOError:
            heard = b""
        if self.deaf:
            lost = min(self.deaf, len(heard))
            self.deaf -= lost
            heard = heard[lost:]
        out += self.device.on_bytes(heard)
        out += self.device.tick(self.t_ns, self.load, TICK_NS * 1e-9)
        out = self.line(out)
        if out:
            os.write(self.master, out)

    def unplug(self) -> None:
        if self.master >= 0:
            os.close(self._slave)
            os.close(self.master)
        self.master = -1


    def close(self) -> None:
        for sensor in self.sensors:
            sensor.close()
        self.unplug()


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An exact sensor (no noise, no bias), left streaming at 100 Hz."""
    made = Bench(BotaDevice({}, rng()))
    yield made
    made.close()


def opened(bench: Bench, rate: float = 800.0) -> BotaSensor:
    sensor = BotaSensor(bench.path, rate, bench)
    bench.sensors.append(sensor)
    sensor.open()
    return sensor


def test_bench_and_sensor_satisfy_the_contracts(bench: Bench) -> None:
    assert isinstance(bench, Ticks)
    sensor: WrenchSensor = BotaSensor(bench.path, 100, bench)
    assert (sensor.name, sensor.rate) == ("ft", 100.0)


def test_nothing_read_yet_does_not_look_like_zeros(bench: Bench) -> None:
    sample = BotaSensor(bench.path, 800, bench).poll()
    assert (sample.seq, sample.valid, sample.fresh, sample.age_ns, sample.t_device_ns) == (-1, False, False, -1, -1)
    assert np.isnan(sample.wrench).all()


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("rate", [100.0, 400.0, 800.0, 1000.0])
def test_handshake_from_every_state(mode: Mode, rate: float) -> None:
    """Streaming at another rate, silent in configuration, or booting: the stream asked for runs in the end."""
    bench = Bench(BotaDevice({}, rng(), mode=mode, config=BotaConfig(sinc=100, fir_disable=0, compensation=1)))
    sensor = opened(bench, rate)
    assert bench.device.mode is Mode.RUN
    assert bench.device.config == replace(BotaConfig(), sinc=round(51200 / rate))
    assert sensor.rate == bench.device.rate == pytest.approx(rate, rel=0.01)
    before = sensor.poll().seq
    for _ in range(1000):
        bench.tick()
        sample = sensor.poll()
    assert sample.seq - before == pytest.approx(sensor.rate, abs=1.0)
    assert sample.valid
    assert sensor.health().gaps == 0
    bench.close()


def test_lost_command_is_repeated(bench: Bench) -> None:
    """The first C does not arrive; half a second later the second does."""
    bench.deaf = 1
    opened(bench)
    assert 500 * TICK_NS < bench.t_ns < 700 * TICK_NS


def test_acknowledgement_cut_in_pieces(bench: Bench) -> None:
    """One byte per tick from the device: every answer arrives cut."""
    queue = bytearray()

    def trickle(data: bytes) -> bytes:
        queue.extend(data)
        out = bytes(queue[: 1 if bench.device.mode is Mode.CONFIG else 4096])
        del queue[: len(out)]
        return out

    bench.line = trickle
    sensor = opened(bench)
    assert sensor.poll().seq >= 0


def test_polls_newest_and_counts_late(bench: Bench) -> None:
    """Nine ticks without a poll: the newest wins, the others count as late, none as gap."""
    sensor = opened(bench)
    bench.tick()
    first = sensor.poll()
    for i in range(8):
        bench.load = np.full(6, float(i))
        bench.tick()
    sample = sensor.poll()
    assert sample.seq - first.seq == pytest.approx(6.4, abs=1.0)
    assert sample.wrench.tolist() == [7.0] * 6
    assert first.wrench.tolist() == [0.0] * 6
    health = sensor.health()
    assert health.late >= sample.seq - first.seq - 1
    assert (health.gaps, health.rejected) == (0, {"crc": 0, "skipped_bytes": 0})


def test_freshness_and_age(bench: Bench) -> None:
    """At 100 Hz in a 1 kHz world one poll in ten is fresh; age counts from the arrival."""
    sensor = opened(bench, 100.0)
    age = None
    fresh = 0
    for _ in range(200):
        bench.tick()
        sample = sensor.poll()
        fresh += sample.fresh
        if age is not None:
            assert sample.age_ns == (0 if sample.fresh else age + TICK_NS)
        age = sample.age_ns
        assert sample.t_ns == bench.t_ns
    assert fresh == pytest.approx(20, abs=1)


@pytest.mark.parametrize("axis", range(6))
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_sign_and_order_of_axes(bench: Bench, axis: int, sign: float) -> None:
    """The load that tool and environment exert on the sensor is what the sample says, axis by axis."""
    sensor = opened(bench)
    bench.load = np.zeros(6)
    bench.load[axis] = sign * 3.25
    for _ in range(5):
        bench.tick()
    assert sensor.poll().wrench.tolist() == bench.load.tolist()


def test_device_clock_wraps(bench: Bench) -> None:
    """The u32 µs counter wraps in the middle of a stream: time goes on, no gap is counted."""
    bench.device = BotaDevice({}, rng(), clock_us=(1 << 32) - 100_000)
    sensor = opened(bench)
    last = sensor.poll().t_device_ns
    crossed = False
    for _ in range(400):
        bench.tick()
        sample = sensor.poll()
        if sample.fresh:
            assert sample.t_device_ns - last == 1_250_000
            last = sample.t_device_ns
        crossed |= last > (1 << 32) * 1000
        assert sample.valid
    assert crossed
    assert sensor.health().gaps == 0


def test_gaps_are_counted_by_device_time(bench: Bench) -> None:
    """Frames dropped before the line: exactly as many gaps."""
    sensor = opened(bench)
    bench.tick()
    sensor.poll()
    dropped = 0

    def drop(data: bytes) -> bytes:
        nonlocal dropped
        if data and bench.t_ns // TICK_NS % 50 < 7:
            dropped += len(data) // FRAME_SIZE
            return b""
        return data

    bench.line = drop
    for _ in range(500):
        bench.tick()
        sensor.poll()
    bench.line = lambda data: data
    for _ in range(5):
        bench.tick()
        sensor.poll()
    assert dropped > 40
    assert sensor.health().gaps == dropped


def test_damaged_frames_are_rejected_and_counted(bench: Bench) -> None:
    """A flipped bit costs its frame only; its bytes are counted as skipped."""
    sensor = opened(bench)
    bench.tick()
    sensor.poll()
    damaged = 0

    def flip(data: bytes) -> bytes:
        nonlocal damaged
        if len(data) == FRAME_SIZE and bench.t_ns // TICK_NS % 10 == 0:
            damaged += 1
            return data[:20] + bytes([data[20] ^ 0x40]) + data[21:]
        return data

    bench.line = flip
    bench.load = np.array([1.0, 2.0, 3.0, 0.1, 0.2, 0.3])
    for _ in range(205):
        bench.tick()
        sample = sensor.poll()
    assert sample.valid
    health = sensor.health()
    assert damaged > 10
    assert health.rejected["crc"] >= damaged
    assert health.rejected["skipped_bytes"] == damaged * FRAME_SIZE
    assert health.gaps == damaged


def test_frame_in_two_pieces(bench: Bench) -> None:
    """A frame cut at any byte is taken when its rest arrives, in the next tick."""
    sensor = opened(bench)
    for cut in range(1, FRAME_SIZE):
        bench.line = lambda data: b""
        bench.tick()
        sensor.poll()
        frame = b""
        while not frame:
            bench.t_ns += TICK_NS
            frame = bench.device.tick(bench.t_ns, bench.load, 1e-3)
        os.write(bench.master, frame[:cut])
        assert not sensor.poll().fresh
        os.write(bench.master, frame[cut:])
        assert sensor.poll().fresh


@pytest.mark.parametrize(
    ("wrench", "flag"),
    [
        (np.array([np.nan, 0, 0, 0, 0, 0]), "not_finite"),
        (np.array([0, 0, 0, 0, 0, np.inf]), "not_finite"),
        (np.array([np.inf, -np.inf, 0, 0, 0, 0]), "not_finite"),
        (np.array([0, 0, -4000.0, 0, 0, 0]), "out_of_range"),
        (np.array([0, 0, 0, 0, 46.0, 0]), "out_of_range"),
    ],
)
def test_implausible_values_are_invalid(bench: Bench, wrench: Array, flag: str) -> None:
    """A good CRC makes no good measurement; the next good frame is valid again."""
    sensor = opened(bench)
    bench.device.hook = lambda _: wrench
    for _ in range(3):
        bench.tick()
    sample = sensor.poll()
    assert sample.fresh
    assert not sample.valid
    assert flag in sample.flags
    assert flag in sensor.health().flags
    bench.device.hook = None
    for _ in range(3):
        bench.tick()
    assert sensor.poll().valid
    assert sensor.health().flags == frozenset()


def test_overrange_is_flagged_by_the_device(bench: Bench) -> None:
    """The device clips and says so: flag and invalid, and over again when the load is gone."""
    sensor = opened(bench)
    bench.load = np.array([0.0, 0.0, 1300.0, 0.0, 0.0, 0.0])
    for _ in range(3):
        bench.tick()
    sample = sensor.poll()
    assert sample.flags == {"overrange"}
    assert not sample.valid
    assert sample.wrench[2] == 1200.0
    bench.load = np.zeros(6)
    for _ in range(3):
        bench.tick()
    assert sensor.poll().valid


def test_reset_of_the_device_is_noticed(bench: Bench) -> None:
    """The device restarts by itself: its clock goes back, that sample is invalid, and nothing raises."""
    sensor = opened(bench)
    for _ in range(300):
        bench.tick()
        sensor.poll()
    bench.device.on_bytes(b"#")
    jumps = []
    for _ in range(300):
        bench.tick()
        sample = sensor.poll()
        if "clock_jump" in sample.flags and sample.fresh:
            jumps.append(sample.valid)
    assert jumps == [False]
    assert sensor.health().reordered == 1


def test_unplugged_while_streaming(bench: Bench) -> None:
    """The line goes dead: invalid, flagged, never raising, the last wrench and sequence kept; age goes on."""
    sensor = opened(bench)
    for _ in range(5):
        bench.tick()
    before = sensor.poll()
    bench.unplug()
    for i in range(3):
        bench.t_ns += TICK_NS
        sample = sensor.poll()
        assert not sample.valid
        assert not sample.fresh
        assert "unplugged" in sample.flags
        assert sample.seq == before.seq
        assert sample.age_ns == before.age_ns + (i + 1) * TICK_NS
    assert "unplugged" in sensor.health().flags
    sensor.close()
    assert not sensor.poll().valid


def test_unplugged_during_the_handshake(bench: Bench) -> None:
    """Gone after the first wait: an error that names the port, not a hang."""

    def cut(data: bytes) -> bytes:
        bench.unplug()
        return b""

    bench.line = cut
    with pytest.raises(ConnectError, match=r"/dev/pts/.*unplugged"):
        opened(bench)


def test_opens_again_after_close_and_after_loss(bench: Bench) -> None:
    """Closing silences the sensor; opening starts all counts anew, over a line that still holds old bytes."""
    sensor = opened(bench)
    for _ in range(50):
        bench.tick()
    sensor.close()
    sensor.close()
    bench.tick()
    assert bench.device.mode is Mode.CONFIG
    sensor.open()
    assert sensor.poll().seq < 5
    bench.tick()
    bench.tick()
    assert sensor.poll().valid
    bench.unplug()
    assert not sensor.poll().valid
    other = Bench(BotaDevice({}, rng()))
    replugged = opened(other)
    assert replugged.poll().valid
    other.close()


def test_silent_line(bench: Bench) -> None:
    """No sensor on the line: the error says what was sent, what was read and what to check."""
    bench.line = lambda data: b""
    with pytest.raises(ConnectError) as caught:
        opened(bench)
    message = str(caught.value)
    assert "b'C' 4 times" in message
    assert "r,0,C,0" in message
    assert "read nothing" in message
    assert "460800" in message
    assert bench.t_ns == 2000 * TICK_NS


def test_wrong_baud_shows_as_other_bytes(bench: Bench) -> None:
    bench.line = lambda data: bytes(byte ^ 0x5C for byte in data)
    with pytest.raises(ConnectError, match="wrong baud, or another kind of device"):
        opened(bench)


def test_refused_setting_is_reported(bench: Bench) -> None:
    """A negative acknowledgement ends the handshake at once and names the command."""
    bench.line = lambda data: data.replace(b"r,0,f,0", b"r,0,f,1")
    with pytest.raises(ConnectError, match=r"f,64,0,0,1.*r,0,f,1.*the device refused"):
        opened(bench)


def test_device_that_does_not_take_the_rate(bench: Bench) -> None:
    """Acknowledged but not done: the time stamps of the stream tell."""
    on_bytes = bench.device.on_bytes

    def ignore_filter(data: bytes) -> bytes:
        answer = on_bytes(data)
        bench.device.config = replace(bench.device.config, sinc=512)
        return answer

    bench.device.on_bytes = ignore_filter  # type: ignore[method-assign]
    with pytest.raises(ConnectError, match=r"10000 µs apart, expected 1250.0 µs \(800.0 Hz\)"):
        opened(bench)


def test_stream_that_is_all_noise(bench: Bench) -> None:
    """Good answers, then frames that never pass: the error counts them."""
    def spoil(data: bytes) -> bytes:
        """Every hundredth tick is left alone: some frames pass, too few to live on."""
        if bench.device.mode is Mode.CONFIG or b"r,0," in data or bench.t_ns // TICK_NS % 100 == 0:
            return data
        return data.replace(b"\xaa", b"\xab")

    bench.line = spoil
    with pytest.raises(ConnectError, match=r"read \d+ good frames, \d+ bytes that fit no frame .* check cable"):
        opened(bench)


def test_device_that_never_stops(bench: Bench) -> None:
    bench.line = lambda data: data or b"\xaa"
    with pytest.raises(ConnectError, match="still sending 1 s after it was told to stop"):
        opened(bench)


def test_second_holder_is_kept_out(bench: Bench) -> None:
    first = opened(bench)
    with pytest.raises(ConnectError, match="held by another program"):
        opened(bench)
    first.close()
    opened(bench).close()


def test_missing_port_and_wrong_kind(bench: Bench, tmp_path: object) -> None:
    with pytest.raises(ConnectError, match="by-id"):
        BotaSensor(f"{tmp_path}/none", 800, bench).open()
    with pytest.raises(ConnectError, match="not a serial port"):
        BotaSensor("/dev/null", 800, bench).open()
    with pytest.raises(ConnectError, match="no 12345 baud"):
        RawPort(bench.path, 12345)


def test_port_is_raw(bench: Bench) -> None:
    """Bytes that a terminal would eat or change (^C, ^D, ^S, CR) pass both ways unchanged, and nothing echoes."""
    port = RawPort(bench.path, 460800)
    every = bytes(range(256))
    os.write(bench.master, every)
    assert port.read_available() == every
    port.write(every)
    assert os.read(bench.master, 4096) == every
    with pytest.raises(BlockingIOError):
        os.read(bench.master, 1)
    assert port.read_available() == b""
    assert not port.lost
    port.close()
    port.close()


def test_what_follows_the_last_answer_is_not_lost(bench: Bench) -> None:
    """A stream that begins in the same read as the acknowledgement is handed on."""
    import re

    port = RawPort(bench.path, 460800)
    os.write(bench.master, b"junk ok-")
    step = Expect(re.compile(b"ok-"), None, "ok", 1, 1, "wait")

    class Arrived:
        def now_ns(self) -> int:
            return 0

        def wait(self, fd: int, timeout_ns: int) -> bool:
            os.write(bench.master, b"begin of stream")
            return True

    assert run_steps([step], port, Arrived()) == b"begin of stream"
    port.close()
