"""Explanations beside the flight recorder's files, as JSON: what the verbs of a running cell show."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hil.explain.text import Explanation
from hil.operation.messages import plain


def keep(explanation: Explanation, path: Path) -> None:
    """Write ``path`` in one step. Raises OSError."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(plain(explanation.to_mapping()), ensure_ascii=False, indent=1), encoding="utf-8")
    os.replace(part, path)
