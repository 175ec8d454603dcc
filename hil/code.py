"""Which code of the user's own, and which trained model, a run made use of: class, parameters, digest of the file."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

_OURS = ("hil", "estimators", "drivers", "safety", "calibration", "sim_mocks")
_MOST = 200
"""Longest text of the parameters."""


def code_of(what: str, made: object) -> str:
    """``controller: my_lab.control:PController(kp=900.0), sha256 of control.py 3f0c…``; empty for the toolkit's
    own, but for one that runs a trained model: then which one.

    ``what``: controller, observer or motion. The parameters are the plain public attributes (numbers, words,
    truth values). Reads the file of its class; raises nothing: what cannot be read is said in the text.
    """
    kind = type(made)
    if kind.__module__.partition(".")[0] in _OURS:
        trained = getattr(made, "artefact", "")
        return f"{what}: {trained}" if trained else ""
    return f"{what}: {kind.__module__}:{kind.__qualname__}({_params(made)}), {_digest(kind)}"


def _params(made: object) -> str:
    values: dict[str, Any] = getattr(made, "__dict__", {})
    plain = {k: v for k, v in values.items() if not k.startswith("_") and isinstance(v, bool | int | float | str)}
    text = ", ".join(f"{name}={value!r}" for name, value in plain.items())
    return text if len(text) <= _MOST else text[: _MOST - 1] + "…"


def _digest(kind: type) -> str:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None:
        return "written in no file"
    try:
        return f"sha256 of {Path(file).name} {hashlib.sha256(Path(file).read_bytes()).hexdigest()}"
    except OSError as error:
        return f"its file {file} cannot be read ({error.strerror})"
