"""Contact or not, as an observer may say it beside its estimate."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class Contact(enum.IntEnum):
    """What a detector says."""

    UNKNOWN = -1
    """The sample said nothing."""
    FREE = 0
    TOUCHED = 1


@dataclass(frozen=True, slots=True)
class Sensed:
    """Of one sample."""

    contact: Contact
    level: float
    """The statistic by its threshold: 1 and more is contact; NaN: unknown."""


UNKNOWN = Sensed(Contact.UNKNOWN, math.nan)
"""Of a sample that said nothing, and where nothing detects."""
