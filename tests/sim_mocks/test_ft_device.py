"""The Bota device model: commands in any chunks, frames on its own exact clock, status, repeatability."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Array
from drivers.ft.bota import BotaFrame, bota_framer, decode_frame
from sim_mocks.ft import RANGE, BotaConfig, BotaDevice, Mode

TICK_NS = 1_000_000
NOISY = {"force_noise": 0.05, "moment_noise": 0.002, "crosstalk": 0.005, "filter_group_delay": 0.003}


def device(**options: object) -> BotaDevice:
    return BotaDevice({}, np.random.default_rng(1), **options)  # type: ignore[arg-type]


def run(made: BotaDevice, ticks: int, load: Array | None = None, start: int = 0) -> bytes:
    load = np.zeros(6) if load is None else load
    return b"".join(made.tick((start + i + 1) * TICK_NS, load, 1e-3) for i in range(ticks))


def frames(data: bytes) -> list[BotaFrame]:
    framer = bota_framer()
    got = [decode_frame(frame) for frame in framer.feed(data)]
    assert framer.skipped == framer.tail == 0
    return got


@pytest.mark.parametrize("sinc", [42, 51, 64, 100, 512, 777])
def test_frame_times_are_exact(sinc: int) -> None:
    """Over 20 s no frame is off by more than the µs it is rounded to, and none comes before its time."""
    made = device(config=BotaConfig(sinc=sinc))
    k = 0
    framer = bota_framer()
    for tick in range(1, 20_001):
        for data in framer.feed(made.tick(tick * TICK_NS, np.zeros(6), 1e-3)):
            k += 1
            exact_us = k * sinc * 1e6 / 51200
            assert decode_frame(data).t_us == int(exact_us)
            assert tick * 1000 - 1000 < exact_us <= tick * 1000
    assert k == int(20 * 51200 / sinc)


def test_clock_error_and_wrap() -> None:
    """A clock 100 ppm fast gives 100 ppm more frames; stamps stay one period apart across the wrap."""
    made = device(config=BotaConfig(sinc=64), clock_ppb=100_000, clock_us=(1 << 32) - 5_000_000)
    got = frames(run(made, 20_000))
    assert len(got) == int(20 * 1.0001 * 800)
    steps = {later.t_us - earlier.t_us & 0xFFFFFFFF for earlier, later in pairwise(got)}
    assert steps == {1250}
    assert got[-1].t_us < got[0].t_us


def test_commands_and_answers() -> None:
    made = device()
    assert made.on_bytes(b"f,64,0,0,1R") == b""  # in run mode only # and C are heard
    assert made.config.sinc == 512
    assert made.on_bytes(b"C") == b"r,0,C,0\r\n"
    assert made.mode is Mode.CONFIG
    assert run(made, 100) == b""
    assert made.on_bytes(b"c,1,1,0,4") == b"r,0,c,0\r\n"
    assert made.on_bytes(b"f,64,1,0,0") == b"r,0,f,0\r\n"
    assert made.on_bytes(b"w") == b"c,1,1,0,4\r\nf,64,1,0,0\r\nr,0,w,0\r\n"
    assert made.on_bytes(b"R") == b"r,0,R,0\r\n"
    assert len(frames(run(made, 100, start=100))) == 80


@pytest.mark.parametrize(
    "command", [b"c,0,1,1,4", b"c,2,1,0,4", b"c,0,1,0,9", b"f,0,0,0,1", b"f,99999,0,0,1", b"f,64,2,0,1"]
)
def test_unsupported_settings_are_refused(command: bytes) -> None:
    made = device(mode=Mode.CONFIG)
    assert made.on_bytes(command) == b"r,0,%c,1\r\n" % command[0]
    assert made.config == BotaConfig()


def test_broken_setting_is_refused_and_the_next_command_heard() -> None:
    made = device(mode=Mode.CONFIG)
    assert made.on_bytes(b"c,0,1,w") == b"r,0,c,1\r\nc,0,1,0,4\r\nf,512,0,0,1\r\nr,0,w,0\r\n"
    assert made.on_bytes(b"b" + b" " * 200).startswith(b"r,0,b,1")


def test_offset_is_added() -> None:
    """As the vendor's example formats it, six times %6.3f with a comma before each; saved over a reset by s."""
    made = device(mode=Mode.CONFIG)
    offset = (1.5, -2.25, 30.0, 0.125, -0.0625, 0.5)
    text = "b" + "".join(f",{value:6.3f}" for value in offset)
    assert made.on_bytes(text.encode()) == b"r,0,b,0\r\n"
    assert made.on_bytes(b"R") == b"r,0,R,0\r\n"
    sent = [float(f"{value:6.3f}") for value in offset]
    got = frames(run(made, 20))[0].wrench
    assert got.tolist() == np.array(sent, dtype=np.float32).tolist()


def test_reset_boots_silently_then_runs_with_saved_settings() -> None:
    """# from any mode: boot text, 0.1 s of deafness, then the saved filter; what was not saved is gone."""
    made = device(mode=Mode.CONFIG)
    made.on_bytes(b"f,128,0,0,1sf,64,0,0,1")
    run(made, 10)
    text = made.on_bytes(b"#")
    for part in (b"App Init", b"name: ", b"S/N: ", b"FW version: ", b"c,0,1,0,4", b"f,128,"):
        assert part in text
    assert made.on_bytes(b"C") == b""
    out = run(made, 300, start=10)
    got = frames(out)
    assert made.mode is Mode.RUN
    assert got[0].t_us == 100_000 + 2500  # its counter began anew
    assert len(got) == 80
    assert made.on_bytes(b"CI").startswith(b"r,0,C,0\r\nr,0,I,0\r\n\r\nApp Init")
    assert made.mode is Mode.BOOT


def test_overrange_clips_and_flags() -> None:
    made = device(config=BotaConfig(sinc=64))
    load = np.array([0.0, -501.0, 1199.0, 0.0, 0.0, 0.0])
    got = frames(run(made, 5, load))
    assert all(frame.flags == {"overrange"} for frame in got)
    assert got[-1].wrench.tolist() == [0.0, -RANGE[1], 1199.0, 0.0, 0.0, 0.0]
    assert all(frame.flags == frozenset() for frame in frames(run(made, 5, np.zeros(6), start=5)))


def test_raw_output_is_flagged_counts() -> None:
    made = device(config=BotaConfig(calibrated=0))
    frame = frames(run(made, 10, np.full(6, 1.5)))[0]
    assert frame.flags == {"raw_measurements"}
    assert frame.wrench.tolist() == [3000.0] * 6


def test_too_short_sinc_skips_and_says_so() -> None:
    made = device(config=BotaConfig(sinc=32))
    got = frames(run(made, 100))
    assert len(got) == 80
    assert {frame.flags for frame in got} == {frozenset({"app_took_too_long"})}


def test_hook_has_the_last_word() -> None:
    made = device(hook=lambda wrench: wrench * np.nan)
    assert np.isnan(frames(run(made, 10))[0].wrench).all()


@pytest.mark.parametrize("bad", [np.full(6, np.nan), np.array([np.inf, 0, 0, 0, 0, 0]), np.zeros(5)])
def test_impossible_load_is_an_error(bad: Array) -> None:
    with pytest.raises(ValueError, match="look at the world"):
        device().tick(TICK_NS, bad, 1e-3)


def test_time_must_grow() -> None:
    made = device()
    made.tick(TICK_NS, np.zeros(6), 1e-3)
    with pytest.raises(ValueError, match="time must grow"):
        made.tick(TICK_NS, np.zeros(6), 1e-3)


def test_same_seed_same_bytes() -> None:
    """Two devices of one seed send the same bytes; another seed sends others."""

    def stream(seed: int) -> bytes:
        made = BotaDevice(NOISY, np.random.default_rng(seed), config=BotaConfig(sinc=64))
        rng = np.random.default_rng(5)
        return b"".join(made.tick(i * TICK_NS, rng.normal(size=6), 1e-3) for i in range(1, 500))

    assert stream(3) == stream(3)
    assert stream(3) != stream(4)


commands = st.lists(
    st.one_of(
        st.sampled_from([b"C", b"R", b"w", b"s", b"I", b"#", b"c,0,1,0,4", b"f,64,0,0,1", b"f,51", b"b, 1.000"]),
        st.binary(max_size=4),
    ),
    max_size=10,
).map(b"".join)


@settings(max_examples=300)
@given(commands, st.lists(st.integers(0, 60), max_size=6))
def test_commands_do_not_depend_on_chunks(data: bytes, cuts: list[int]) -> None:
    """Any bytes in any chunks: same answers, same state, no exception."""
    whole, cut = device(mode=Mode.CONFIG), device(mode=Mode.CONFIG)
    edges = sorted({min(c, len(data)) for c in cuts} | {0, len(data)})
    assert b"".join(cut.on_bytes(data[a:b]) for a, b in pairwise(edges)) == whole.on_bytes(data)
    assert (cut.mode, cut.config) == (whole.mode, whole.config)
