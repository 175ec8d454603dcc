"""Machine code for hot loops where numba is installed, the same Python elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

_F = TypeVar("_F", bound=Callable[..., object])

try:
    from numba import njit

    COMPILED = True
    """Whether :func:`compiled` makes machine code."""

    def compiled(function: _F) -> _F:
        """Machine code where numba is installed, the function itself elsewhere; the same numbers either way."""
        return cast(_F, njit(cache=True, fastmath=False)(function))

    def reordered(function: _F) -> _F:
        """As :func:`compiled`, for long sums: terms may be added in another order, products fused into sums.

        That is what vector instructions need. NaN and infinity stay what they are.
        """
        return cast(_F, njit(cache=True, fastmath={"reassoc", "contract", "nsz"})(function))

except ImportError:  # pragma: no cover - depends on what is installed
    COMPILED = False

    def compiled(function: _F) -> _F:
        return function

    def reordered(function: _F) -> _F:
        return function


def has_numba() -> bool:
    """Whether :func:`compiled` compiles."""
    return "njit" in globals()
