"""How a cell file names a class of the user's own: ``kind`` and ``params``. Nothing is imported here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from hil.cell.parts import Section
from hil.motion import Motion
from hil.plugins import SPEC, What, build_motion, entry_point_names, is_plugin

if TYPE_CHECKING:
    from hil.cell.model import Cell


def meant(name: str) -> str:
    """A question with a colon where ``name`` has a dot before its class; empty for a name of another form."""
    module, _, attribute = name.rpartition(".")
    spec = f"{module}:{attribute}"
    return f"did you mean `{spec}`? " if SPEC.fullmatch(spec) else ""


def plugin_name(what: What, *builtin: str) -> AfterValidator:
    """Lets ``builtin`` names, ``module:Class`` and existing entry points pass."""

    def check(name: str) -> str:
        if name not in builtin and not is_plugin(what, name):
            offered = ", ".join([*builtin, *entry_point_names(what)])
            raise ValueError(
                f"{meant(name)}allowed: {offered + ', or ' if offered else ''}a class of yours as module:Class"
            )
        return name

    return AfterValidator(check)


def _plain(value: Any) -> Any:
    """``value`` if it is made of numbers, words, lists and sections alone; numbers must be finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("allowed: finite numbers")
    if isinstance(value, Mapping):
        for key, part in value.items():
            if not isinstance(key, str):
                raise ValueError("allowed: words as keys")
            _plain(part)
    elif isinstance(value, list | tuple):
        for part in value:
            _plain(part)
    elif not (value is None or isinstance(value, bool | int | float | str)):
        raise ValueError("allowed: numbers, words, lists and sections")
    return value


Params = Annotated[dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Any], AfterValidator(_plain)]
"""Keyword arguments of the class."""


class OwnMotion(Section):
    """A motion of your own: `Class(**params)`, see docs/research.md."""

    kind: Annotated[str, plugin_name("motion")] = Field(description="`module:Class`, or an entry point `hil.motions`")
    params: Params = Field(default={}, description="keyword arguments of the class")

    def build(self, name: str, cell: Cell) -> Motion:
        """The motion; imports its module. Raises PluginError."""
        return build_motion(self.kind, name, self.params)


