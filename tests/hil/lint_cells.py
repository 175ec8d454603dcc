"""Shipped cells with some keys changed, for the tests of ``hil.lint``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

from hil.cell import Cell, load_cell
from hil.cell.parts import joint_count
from safety.contact import ContactLimits


@cache
def shipped(name: str) -> Cell:
    return load_cell(name)


def changed(name: str, changes: Mapping[str, Any]) -> Cell:
    """The shipped cell with the keys at dotted paths replaced (whole numbers index lists), checked by its model.

    ``_limit``: the quasi-static force of a table of contact limits, N.
    """
    cell = shipped(name)
    content = copy.deepcopy(cell.content())
    changes = dict(changes)
    limit = changes.pop("_limit", None)
    for path, value in changes.items():
        *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
        section: Any = content
        for part in way:
            section = section[part]
        section[last] = value
    token = joint_count.set(len(cell.robot.home))
    try:
        again = Cell.model_validate(_tuples(content))
    finally:
        joint_count.reset(token)
    again._path, again._urdf = cell.path, cell.urdf_path
    if limit is not None:
        again._contact = ContactLimits(2.0 * limit, limit, "tip by force", "numbers of the test's own")
    return again


def _tuples(value: Any) -> Any:
    """Lists as a cell file's reader gives them."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
