"""Poses, redundancy and wrenches inside FRI messages. The functions raise ProtocolError and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from drivers.contract import Array
from drivers.errors import ProtocolError
from drivers.fri.records import Redundant

POSE = 7
"""Numbers of a pose: position and quaternion, scalar part first."""
WRENCH = 6


def read_vector(part: Any, name: str) -> Array | None:
    """A ``CartesianVector`` field, None where absent (``joint_count`` for other than six numbers)."""
    if not part.HasField(name):
        return None
    element = getattr(part, name).element[:]
    if len(element) != WRENCH:
        raise ProtocolError("joint_count", f"{name} has {len(element)} values, {WRENCH} expected")
    return np.array(element)


def read_pose(part: Any, name: str) -> Array | None:
    """A ``QuaternionTransformation`` field, None where absent (``joint_count`` for other than seven numbers)."""
    if not part.HasField(name):
        return None
    element = getattr(part, name).element[:]
    if len(element) != POSE:
        raise ProtocolError("joint_count", f"{name} has {len(element)} values, {POSE} expected")
    return np.array(element)


def read_redundancy(part: Any, name: str) -> Redundant | None:
    """A ``RedundancyInformation`` field, None where absent."""
    if not part.HasField(name):
        return None
    found = getattr(part, name)
    return found.strategy, found.value


def write_vector(field: Any, values: Sequence[float] | Array, name: str) -> None:
    """Fill a ``CartesianVector`` (``joint_count``)."""
    if len(values) != WRENCH:
        raise ProtocolError("joint_count", f"{name} of {len(values)} values given, {WRENCH} expected")
    field.element[:] = [float(v) for v in values]


def write_pose(field: Any, values: Sequence[float] | Array, name: str) -> None:
    """Fill a ``QuaternionTransformation``, whose name stays empty (``joint_count``)."""
    if len(values) != POSE:
        raise ProtocolError("joint_count", f"{name} of {len(values)} values given, {POSE} expected")
    field.name = b""
    field.element[:] = [float(v) for v in values]


def write_redundancy(field: Any, redundancy: Redundant) -> None:
    """Fill a ``RedundancyInformation``."""
    field.strategy, field.value = redundancy


def finite(values: Sequence[float] | Array, name: str) -> Sequence[float]:
    """``values`` as plain floats. Raises ProtocolError (``not_finite``)."""
    plain: Sequence[float] = values.tolist() if isinstance(values, np.ndarray) else values
    if not all(map(math.isfinite, plain)):
        raise ProtocolError("not_finite", f"{name} = {plain} is not finite and is not sent")
    return plain
