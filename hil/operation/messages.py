"""What is said over the control socket: one small JSON object each way.

A request is ``{"verb": name, …arguments}``, a reply ``{"ok": bool, "sentence": text, …data}``. Requests are checked
against the models below and nothing else is done with them: unknown verbs, unknown keys and wrong types are refused.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

REQUEST_MAX = 4096
"""Longest request, bytes."""
_SHOWN = 60


class RequestError(ValueError):
    """A request that is none; the message says what was read and what is allowed."""


class Request(BaseModel):
    """Base of the requests."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    verb: str


class Status(Request):
    """Where the cell is; ``events_after``: number of the last event that is known already."""

    verb: Literal["status"] = "status"
    events_after: int = Field(default=-1, ge=-1)


class Enable(Request):
    """Hold the arm under command where it stands."""

    verb: Literal["enable"] = "enable"


class Start(Request):
    """Begin one of the cell's motions."""

    verb: Literal["start"] = "start"
    motion: str = Field(min_length=1, max_length=100)


class Stop(Request):
    """Stop; 0 power away at once, 1 brake then power away, 2 brake and hold."""

    verb: Literal["stop"] = "stop"
    category: Literal[0, 1, 2] = 1


class Acknowledge(Request):
    """A person has seen the fault and mended its cause."""

    verb: Literal["ack"] = "ack"


class Home(Request):
    """Move to the cell's home."""

    verb: Literal["home"] = "home"


class Jog(Request):
    """Move one joint (counted from 1) by some degrees."""

    verb: Literal["jog"] = "jog"
    joint: int
    degrees: float


class Guide(Request):
    """The enabling key for guiding by hand: held (said again and again, it counts for a moment only), or let go."""

    verb: Literal["guide"] = "guide"
    held: bool = True


class Grip(Request):
    """Close the jaws of the gripper, or open them."""

    verb: Literal["grip"] = "grip"
    close: bool


class Tare(Request):
    """Standstill check, then the present readings of the sensors count as those of the tool alone."""

    verb: Literal["tare"] = "tare"


class Mark(Request):
    """A note for the log."""

    verb: Literal["mark"] = "mark"
    text: str = Field(min_length=1, max_length=500)


class Record(Request):
    """Begin a log, or complete the present one."""

    verb: Literal["record"] = "record"
    on: bool


class Down(Request):
    """Stop and end the cell."""

    verb: Literal["down"] = "down"


AnyRequest = Annotated[
    Status | Enable | Start | Stop | Acknowledge | Home | Jog | Guide | Grip | Tare | Mark | Record | Down,
    Field(discriminator="verb"),
]
VERBS: dict[str, type[Request]] = {
    kind.model_fields["verb"].default: kind
    for kind in (Status, Enable, Start, Stop, Acknowledge, Home, Jog, Guide, Grip, Tare, Mark, Record, Down)
}
"""Every verb with its request."""
_ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyRequest)


def read_request(data: bytes) -> Request:
    """The request in ``data``. Raises RequestError."""
    if len(data) > REQUEST_MAX:
        raise RequestError(f"a request of {len(data)} bytes; allowed are {REQUEST_MAX}")
    try:
        request: Request = _ADAPTER.validate_json(data)
    except ValidationError as error:
        raise RequestError(_first(error)) from error
    return request


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, in one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    kind = first["type"]
    if kind == "json_invalid":
        return f"the request is not JSON: {first['msg']}"
    if kind in ("union_tag_invalid", "union_tag_not_found", "model_attributes_type", "model_type", "dict_type"):
        return f"a request is an object with a verb, one of {', '.join(VERBS)}; read {_show(first['input'])}"
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}; read {_show(first['input'])}"


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


@dataclass(frozen=True)
class Reply:
    """The answer to one request."""

    ok: bool
    """It was accepted."""
    sentence: str
    """For the person who asked."""
    data: dict[str, Any] = field(default_factory=dict)
    """Plain values; NaN is told as null. As the client gets it, with ``sentence`` among them."""

    def to_json(self) -> bytes:
        return json.dumps(plain({"ok": self.ok, "sentence": self.sentence, **self.data}), ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Reply:
        """Raises ValueError, KeyError for what is no reply."""
        values = json.loads(data)
        return cls(bool(values.pop("ok")), str(values["sentence"]), values)


def plain(value: Any) -> Any:
    """``value`` with every number that is not finite replaced by None, which JSON can tell."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
