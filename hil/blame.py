"""Who wrote what, in the cycle: samples that nobody overwrites, and the place where an exception came from."""

from __future__ import annotations

import traceback
from pathlib import Path

from drivers.contract import RobotSample

_LONGEST = 4000


def seal(sample: RobotSample) -> None:
    """Make the arrays of ``sample`` read-only.

    Checks, log and everybody's controllers and observers read the same arrays: one that writes into them would be
    judged, and recorded, by what it wrote.
    """
    for array in (
        sample.q,
        sample.qd,
        sample.qdd,
        sample.tau,
        sample.tau_ext_robot,
        sample.q_set,
        sample.tau_accepted_lo,
        sample.tau_accepted_hi,
        sample.q_ref_accepted,
    ):
        array.setflags(write=False)


def headline(error: BaseException) -> str:
    """The exception in one line, with file, line and function of the innermost frame that is no library's."""
    text = f"{type(error).__name__}: {error}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    if not frames:
        return text
    last = frames[-1]
    return f"{text} ({Path(last.filename).name}, line {last.lineno}, in {last.name})"


def whole(error: BaseException) -> str:
    """The exception with its traceback; of a very long one, the end."""
    return "".join(traceback.format_exception(error))[-_LONGEST:]
