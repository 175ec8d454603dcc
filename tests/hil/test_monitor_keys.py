"""The keys of the monitor, and how it ends, without a terminal."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from monitor_frames import FAULT, FAULTED, MOVING, Screen, joints, on_screen

from hil.monitor.app import ANSWER_SHOWN
from hil.monitor.screens import Help
from hil.monitor.source import Answer


def test_space_stops_at_once_whatever_is_on_the_screen() -> None:
    stop: tuple[str, dict[str, Any]] = ("stop", {"category": 1})

    async def play(screen: Screen) -> None:
        await screen.pilot.press("space")
        assert screen.source.asked == [stop]
        await screen.press("question_mark")
        assert isinstance(screen.app.screen, Help)
        await screen.pilot.press("space")
        await screen.press("escape", "p")
        await screen.pilot.press("space")
        assert screen.source.asked == [stop] * 3

    on_screen(play)


def test_the_keys_are_on_the_screen_and_space_says_what_it_is_not() -> None:
    async def play(screen: Screen) -> None:
        told = screen.text("keys")
        assert "space stop (software, no emergency stop)" in told
        for key, word in (("a", "ack"), ("p", "pause"), ("?", "help"), ("q", "detach")):
            assert f"{key} {word}" in told
        await screen.press("question_mark")
        told = str(screen.app.screen.query_one("#help").render())
        assert "is no emergency stop" in " ".join(told.split())
        await screen.press("q")
        assert not isinstance(screen.app.screen, Help)  # q closed the page, not the monitor
        assert screen.app.is_running

    on_screen(play)


def test_answers_and_refusals_are_shown_in_words_for_a_while() -> None:
    async def play(screen: Screen) -> None:
        await screen.press("a")
        assert screen.source.asked == [("ack", {})]
        assert screen.text("answer") == ""
        screen.source.replies.append(Answer("ack", False, "no fault is latched"))
        await screen.show()
        assert screen.text("answer") == "✖ ack refused: no fault is latched"
        screen.source.replies.append(Answer("stop", True, "stopping (category 1)"))
        await screen.show(after=ANSWER_SHOWN)
        assert screen.text("answer") == "✔ stop: stopping (category 1)"
        screen.source.replies.append(Answer("stop", False, "no answer within 2 s; use the emergency stop", heard=False))
        await screen.show()
        assert screen.text("answer") == "✖ stop: no answer within 2 s; use the emergency stop"
        await screen.show(after=ANSWER_SHOWN + 0.2)
        assert screen.text("answer") == ""

    on_screen(play)


def test_pause_holds_the_figures_and_never_the_safety_state() -> None:
    async def play(screen: Screen) -> None:
        await screen.press("p")
        before = screen.text("joints")
        await screen.show(replace(FAULTED, joints=joints(q=(1.0,) * 7)), after=12.0)
        assert screen.text("joints") == before
        assert "FAULTED" in screen.text("safety")
        assert FAULT.remedy.split(";")[0] in screen.text("faults")
        assert "figures of 12 s ago" in screen.text("answer")
        assert "p go on" in screen.text("keys")
        await screen.press("p")
        assert screen.text("joints") != before
        assert screen.text("answer") == ""

    on_screen(play)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_q_detaches(key: str) -> None:
    async def run() -> None:
        screen = Screen(MOVING)
        async with screen.app.run_test(size=(80, 24)) as screen.pilot:
            await screen.pilot.press(key)
            await screen.pilot.pause()
        assert screen.source.closed
        assert screen.source.asked == []
        assert screen.app.return_code == 0

    asyncio.run(run())
