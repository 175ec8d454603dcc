"""What a person is told of the arm: counters and reasons."""

from __future__ import annotations

from drivers.contract import LinkHealth
from drivers.piper.feedback import Feedback
from drivers.piper.link import Link
from drivers.piper.session import Phase, Session
from drivers.piper.supervision import Supervision

_STOPPED = "emergency stop: a person must support the arm and resume it with its maker's tool; it drops then"


def tell(
    health: LinkHealth, heard: Feedback, link: Link | None, watch: Supervision | None, session: Session, trouble: str
) -> None:
    """Bring ``health`` up to date; ``trouble``: why the last attempt to open failed."""
    health.frames, health.late, health.duplicates = heard.frames, heard.late, heard.duplicates
    health.drives_on = all(heard.enabled) if None not in heard.drivers else None
    health.problems = () if watch is None else watch.problems
    counts = {"foreign": heard.foreign, **heard.rejected}
    if link is not None:
        counts |= {"garbled": link.bus.garbled, "send": link.refused}
    health.rejected = {reason: count for reason, count in counts.items() if count}
    found = {f"{problem.part}: {problem.text}; {problem.remedy}" for problem in health.problems}
    if session.off:
        found.add("off: not commanded until release()")
    if session.phase is Phase.STOPPED:
        found.add(_STOPPED)
    found.update(text for text in (session.refusal, trouble) if text)
    health.flags = frozenset(found)
