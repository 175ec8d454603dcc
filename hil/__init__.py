"""The toolkit's front door for scripts and notebooks: ``hil.open`` opens a cell as a session.

It is loaded when first asked for, so that ``import hil.cell`` does not pull in drivers and mocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hil.session import FaultError, Session, SessionError, open
    from hil.trace import Trace

__all__ = ["FaultError", "Session", "SessionError", "Trace", "open"]


def __getattr__(name: str) -> Any:
    if name == "Trace":
        from hil.trace import Trace

        return Trace
    if name in __all__:
        from hil import session

        return getattr(session, name)
    raise AttributeError(f"module 'hil' has no attribute {name!r}")
