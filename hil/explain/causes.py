"""The likely causes of a fault, in the order that the log speaks for.

The registry declares the causes of each fault, the most likely first. Where the log shows what one of them would show,
that cause goes to the front, with what was seen; among equals the declared order stays. Nothing is ever left out: a log
may hold no trace of the true cause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hil.explain.evidence import Evidence

PHRASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("packets are late or lost", ("network",)),
    ("cycle was held up", ("busy",)),
    ("this machine can answer", ("busy",)),
    ("not finite or not plausible", ("refused", "measured nonsense")),
    ("sends to the same port", ("refused",)),
    ("no packet has arrived yet", ("silent",)),
    ("before the robot had confirmed any state", ("silent",)),
    ("closed the session", ("closed",)),
    ("switched off or unplugged", ("closed",)),
    ("ended or aborted the overlay motion", ("left", "closed")),
    ("the robot's own checks tripped", ("fast", "limited")),
    ("collided or is clamped", ("contact",)),
    ("something touches the arm", ("contact",)),
    ("the arm was pushed there", ("contact",)),
    ("the arm was hit hard", ("contact",)),
    ("something pushes or pulls the arm", ("contact",)),
    ("the arm does not follow: contact", ("contact", "limited")),
    ("contact was lost while pushing", ("contact lost",)),
    ("the sensor is overloaded", ("contact",)),
    ("the motion is too fast", ("fast",)),
    ("gains or reference are far too large", ("limited",)),
    ("the load is beyond what the arm may carry", ("payload",)),
    ("something was picked up", ("payload",)),
    ("a sensor value that was not finite", ("measured nonsense", "refused")),
    ("the measured position that went into the model", ("measured nonsense",)),
    ("raised an exception", ("exception",)),
    ("the sensor stopped sending", ("sensor",)),
    ("the cable is loose or disturbed", ("sensor",)),
    ("the link to the robot was lost while it stopped", ("network", "closed")),
)
"""Words in a declared cause, and the kinds of evidence that speak for it. A test holds each against the registry."""


def order_causes(causes: Sequence[str], seen: Mapping[str, Evidence]) -> list[tuple[str, str]]:
    """``causes`` with what was seen of each (empty: nothing), what the log speaks for most strongly first."""
    told = [(cause, _best(cause, seen)) for cause in causes]
    told.sort(key=lambda each: 0.0 if each[1] is None else -each[1].weight)
    return [(cause, "" if found is None else found.said) for cause, found in told]


def _best(cause: str, seen: Mapping[str, Evidence]) -> Evidence | None:
    kinds = [kind for words, named in PHRASES if words in cause for kind in named]
    found = [seen[kind] for kind in kinds if kind in seen]
    return max(found, key=lambda each: each.weight, default=None)
