"""What a campaign is made of: parts with a name each, in groups that share what is costly to make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Found = tuple[dict[str, Any], dict[str, Array]]
"""Result of a part, plain JSON types, and arrays to draw."""
Compute = Callable[[str], Found]
Part = tuple[str, dict[str, Any], dict[str, Array]]
"""Name in the store, result, arrays."""


class DataError(ValueError):
    """Recordings that are not there or of another form; the message says what was expected where."""


class Group(Protocol):
    """Parts that one worker takes at a time; a plain value, so that it can be sent to another machine."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of its parts, each once."""
        ...

    @property
    def title(self) -> str:
        """For the progress line."""
        ...

    def part(self, name: str) -> str:
        """Name of a part in the store: words joined by ``/``."""
        ...

    def parts(self) -> list[str]:
        """Names of all parts in the store."""
        ...

    def only(self, names: tuple[str, ...]) -> Self:
        """The same with fewer parts."""
        ...

    def computer(self, folder: Path | None) -> Compute:
        """Function from the name of a part to what it finds; made by the worker, so that heavy imports are its alone.

        ``folder`` is the campaign's, None where the worker does not have it. Raises whatever is wrong with what the
        parts share.
        """
        ...
