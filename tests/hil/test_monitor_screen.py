"""The monitor's first screen, without a terminal, on scripted frames."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from monitor_frames import FAULT, FAULTED, MOVING, Screen, joints, on_screen, safety

from hil.monitor.frame import CycleTimes, Device, Fault, Frame, Link, Mood, Safety, Wrench
from hil.monitor.palette import AT, CALM, INK, MOODS, NEAR, OLD
from hil.monitor.widgets import TALL, LinesWidget
from hil.monitor.words import WORDS
from hil.operation.verbs import Situation

SIZES = ((80, 24), (120, 40), (200, 50))


def whole(screen: Screen, name: str) -> None:
    """Every line of the widget is on the terminal, uncut."""
    widget = screen.widget(name)
    columns, lines = screen.app.size
    assert widget.display
    assert widget.region.right <= columns
    assert widget.region.bottom <= lines
    told = widget.text.splitlines()
    assert 0 < len(told) <= widget.content_size.height, name
    for line in told:
        assert len(line.rstrip()) <= widget.content_size.width, line


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("frame", [MOVING, FAULTED], ids=["moving", "faulted"])
def test_everything_is_on_the_screen_at_once(size: tuple[int, int], frame: Frame) -> None:
    """Nothing is clipped; the safety line is first, the keys are last; parts do not cover one another."""

    async def play(screen: Screen) -> None:
        names = ["safety", "joints", "wrench", "cycle", "devices", "answer", "keys", "events"]
        for name in names + (["faults"] if frame is FAULTED else []):
            if name != "answer":
                whole(screen, name)
        shown = [screen.widget(name).region for name in names if screen.widget(name).display]
        assert screen.widget("safety").region.y == 0
        assert screen.widget("keys").region.bottom == size[1]
        for number, one in enumerate(shown):
            assert not any(one.overlaps(other) for other in shown[number + 1 :])
        assert "…" not in screen.text("safety").splitlines()[0]
        assert "…" not in screen.text("keys")
        assert screen.app.screen.has_class(TALL) == (size[1] >= 38)

    on_screen(play, frame, size)


def test_on_a_short_terminal_the_longest_texts_leave_room_for_the_figures() -> None:
    """Three devices, three faults, long sentences: safety, joints, devices and keys stay whole."""
    long = "a cause that is told at length so that it fills more than one line of a narrow terminal " * 2
    fault = replace(FAULT, causes=(long, long), remedy=long.strip())
    sentence = f"faulted since 14:03:12: {long}; now the sensor is unplugged"
    told = safety(Situation.FAULTED_OFFLINE, sentence, (fault, FAULT, FAULT))
    gripper = Device("gripper", "gripper", "open", True)
    frame = replace(FAULTED, safety=told, devices=(*MOVING.devices, gripper))

    async def play(screen: Screen) -> None:
        for name in ("safety", "faults", "joints", "wrench", "cycle", "devices", "keys"):
            whole(screen, name)
        assert "3 more" not in screen.text("faults")
        assert "2 more" in screen.text("faults")

    on_screen(play, frame)


def test_the_state_is_told_in_words_sign_and_colour() -> None:
    async def play(screen: Screen) -> None:
        for situation in Situation:
            word, mood, advice = WORDS[situation]
            await screen.show(replace(MOVING, safety=safety(situation, "a sentence")))
            first, *rest = screen.text("safety").splitlines()
            sign, colour = MOODS[mood]
            assert first.startswith(f" {sign} {word} ")
            assert "a sentence" in first
            assert advice in " ".join(rest)
            assert colour in screen.widget("safety").colours

    on_screen(play, size=(120, 40))


def test_colour_is_never_alone() -> None:
    """Moods of different colours have different signs."""
    assert len({sign for sign, _ in MOODS.values()}) == len({colour for _, colour in MOODS.values()}) == len(Mood)


def test_a_fault_says_what_mends_it() -> None:
    async def play(screen: Screen) -> None:
        told = " ".join(screen.text("faults").split())
        assert FAULT.remedy in told
        assert all(cause in told for cause in FAULT.causes)
        assert FAULT.headline in screen.text("safety")
        await screen.show(MOVING)
        assert not screen.widget("faults").display

    on_screen(play, FAULTED, (120, 40))


def test_joints_are_bars_and_figures_against_their_limits() -> None:
    q, qd, tau = (
        (0.0, 60.0, -119.0, 0.0, 0.0, 0.0, math.nan),
        (0.0, 32.5, -65.0, 0, 0, 0, 0),
        (0.0, 160.0, -170.0, 0, 0, 0, 0),
    )
    frame = replace(MOVING, joints=joints(q, qd, tau))

    async def play(screen: Screen) -> None:
        a1, a2, a3 = (screen.line("joints", name) for name in ("A1", "A2", "A3"))
        assert a1.split()[1] == "0.0"
        assert "━" not in a1
        assert "!" not in a1
        assert a2.split()[1:3] == ["60.0", "──────│──●───"]
        assert "32.5 ──────│━━━───" in a2
        assert "160.0 ──────│━━━───" in a2
        assert "-65.0 ━━━━━━│────── !!" in a3
        assert "-170.0 ━━━━━━│────── !!" in a3
        assert screen.line("joints", "A7").split()[1:4] == ["–", "·" * 13, "0.0"]
        used = screen.widget("joints").colours
        assert AT in used
        assert CALM in used
        assert NEAR not in used

    on_screen(play, frame)


def test_a_wide_terminal_writes_the_limits_beside_the_bars() -> None:
    async def play(screen: Screen) -> None:
        line = screen.line("joints", "A6")
        assert "-120…120" in line
        assert "±65" in line
        assert "±40" in line
        assert len(line.split("│")[1].split("●")[0]) > 0

    on_screen(play, size=(120, 40))


def test_the_wrench_is_told_per_axis_estimated_and_measured() -> None:
    async def play(screen: Screen) -> None:
        assert screen.line("wrench", "estimated").split()[1:] == [
            "0.4",
            "-1.3",
            "20.2",
            "0.02",
            "-0.33",
            "0.01",
            "20.2",
        ]
        assert screen.line("wrench", "measured").split()[1:] == ["0.1", "-1.1", "19.9", "0.01", "-0.31", "0.00", "20.0"]
        await screen.show(replace(MOVING, wrench=Wrench(measured=None)))
        assert screen.line("wrench", "estimated").split()[1:] == ["–"] * 7
        assert "no force/torque sensor" in screen.text("wrench")
        assert "detected" not in screen.text("wrench")
        await screen.show(replace(MOVING, wrench=replace(MOVING.wrench, contact=1, level=1.25)))
        assert "CONTACT" in screen.text("wrench")
        await screen.show(replace(MOVING, wrench=replace(MOVING.wrench, contact=0, level=0.3)))
        assert "CONTACT" not in screen.text("wrench")

    on_screen(play)


def test_a_tall_screen_has_a_line_for_the_detector() -> None:
    async def play(screen: Screen) -> None:
        await screen.show(MOVING)
        assert "detected" not in screen.text("wrench")
        await screen.show(replace(MOVING, wrench=replace(MOVING.wrench, contact=1, level=1.25)))
        assert "contact, at 1.25 of the detector's threshold" in screen.line("wrench", "detected")
        await screen.show(replace(MOVING, wrench=replace(MOVING.wrench, contact=0, level=0.3)))
        assert "none, at 0.30 of" in screen.line("wrench", "detected")

    on_screen(play, size=(120, 40))


def test_cycle_times_and_missed_cycles() -> None:
    async def play(screen: Screen) -> None:
        told = " ".join(screen.text("cycle").split())
        assert told == "cycle p50 160 p99 295 max 430 µs missed 0 of 62340 1000/s"
        await screen.show(replace(MOVING, cycle=CycleTimes(900, 1e-4, 8e-4, 12e-4, 1e-3, 990.0, 3, 900, 0)))
        assert "max 1200 µs !!" in screen.text("cycle")
        assert "missed 3 of 900" in screen.text("cycle")
        assert NEAR in screen.widget("cycle").colours
        await screen.show(replace(MOVING, cycle=CycleTimes()))
        assert "no cycle seen yet" in screen.text("cycle")

    on_screen(play)


def test_devices_tell_their_health() -> None:
    bad = Device("ft", "wrench sensor", "unplugged", False, 0.25, math.nan, 4, 2, ("late",))

    async def play(screen: Screen) -> None:
        assert screen.text("devices").splitlines()[0].startswith("● iiwa  arm ")
        assert screen.line("devices", "✖ ft").split() == [
            "✖", "ft", "wrench", "sensor", "unplugged,", "not", "valid", "250.0", "ms",
            "gaps", "4", "refused", "2", "late",
        ]  # fmt: skip
        await screen.show(replace(screen.source.frame, link=Link.GONE))
        assert all(line.startswith("?") for line in screen.text("devices").splitlines())

    on_screen(play, replace(MOVING, devices=(MOVING.devices[0], bad)), (120, 40))


def test_the_last_events_are_the_ones_that_are_shown() -> None:
    many = tuple(replace(MOVING.events[0], text=f"event {number}") for number in range(150))

    async def play(screen: Screen) -> None:
        told = screen.text("events").splitlines()
        assert told[-1].endswith("event 149")
        assert len(told) == screen.widget("events").content_size.height > 3

    on_screen(play, replace(MOVING, events=many))


def test_old_figures_are_grey_and_say_how_old() -> None:
    async def play(screen: Screen) -> None:
        assert "old" not in screen.line("safety", "next").split("next")[0]
        assert OLD not in screen.widget("joints").colours
        await screen.show(replace(MOVING, age=0.49))
        assert "old:" not in screen.text("safety") + screen.text("joints")
        await screen.show(replace(MOVING, age=3.2))
        assert "old: 3.2 s" in screen.line("safety", "next")
        assert "old: 3.2 s" in screen.text("joints").splitlines()[0]
        used = screen.widget("joints").colours
        assert OLD in used
        assert not {CALM, AT, INK} & used
        for name in ("wrench", "cycle"):
            assert OLD in screen.widget(name).colours
        await screen.show(MOVING)
        assert "old:" not in screen.text("safety") + screen.text("joints")
        assert OLD not in screen.widget("joints").colours

    on_screen(play)


def test_before_the_first_data_the_screen_says_so() -> None:
    empty = Frame("short", Link.LIVE, Safety("ATTACHING", "waiting for the cell's first answer", "", Mood.UNKNOWN))

    async def play(screen: Screen) -> None:
        assert "ATTACHING" in screen.text("safety")
        assert "no data yet" in screen.text("safety")
        for name, words in (
            ("joints", "no joint data yet"),
            ("devices", "no device known"),
            ("cycle", "no cycle seen"),
        ):
            assert words in screen.text(name)

    on_screen(play, empty)


def test_a_frame_that_comes_while_the_screen_is_taken_down_does_no_harm() -> None:
    async def play(screen: Screen) -> None:
        await screen.app.screen_stack[1].remove_children()
        await screen.show(FAULTED)

    on_screen(play)


def test_the_screen_follows_the_terminal() -> None:
    """From one size to another and back, nothing stays clipped."""

    async def play(screen: Screen) -> None:
        for size in ((120, 40), (200, 24), (80, 50), (80, 24)):
            await screen.pilot.resize_terminal(*size)
            await screen.pilot.pause()
            await screen.show()
            await screen.show()
            for name in ("safety", "joints", "wrench", "cycle", "devices", "keys"):
                whole(screen, name)

    on_screen(play)


def test_only_what_has_changed_is_drawn_again() -> None:
    """Ten times a second, over ssh: a still screen sends nothing."""

    async def play(screen: Screen) -> None:
        drawn: list[Any] = []
        for widget in screen.app.screen_stack[1].query(LinesWidget):
            refresh = widget.refresh
            widget.refresh = lambda *a, of=widget.id, call=refresh, **k: (drawn.append((of, a)), call(*a, **k))[1]  # type: ignore[method-assign]
        await screen.show(replace(MOVING, age=0.02))
        assert drawn == []
        q = (-27.4, 35.1, 12.9, -86.2, 5.1, 71.0, 40.0)
        await screen.show(replace(MOVING, joints=joints(q=q)))
        assert [(name, [region.y for region in regions]) for name, regions in drawn] == [("joints", [7])]

    on_screen(play)


def test_faults_in_another_order_keep_the_first_as_the_one_to_mend() -> None:
    other = Fault("link quality", (), "check the cable")
    told = replace(FAULTED, safety=safety(Situation.FAULTED, "faulted", (FAULT, other)))

    async def play(screen: Screen) -> None:
        lines = screen.text("faults").splitlines()
        assert lines[0] == f"✖ {FAULT.headline}"
        assert lines[1].startswith("mend    look at")
        assert "also    link quality" in lines

    on_screen(play, told, (120, 40))
