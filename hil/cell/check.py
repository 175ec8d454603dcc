"""From pydantic's errors to faults that a technician can act on: line, key, what was read, what is allowed."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hil.cell.plugin import meant
from hil.cell.source import Loc, Source

_SAYS: dict[str, str] = {
    "float_type": "allowed: a number",
    "finite_number": "allowed: a finite number",
    "int_type": "allowed: a whole number",
    "int_from_float": "allowed: a whole number",
    "bool_type": "allowed: true or false (a cell must say it plainly)",
    "string_type": "allowed: text",
    "model_type": "allowed: a section with keys, indented below it",
    "dict_type": "allowed: a section with keys, indented below it",
    "tuple_type": "allowed: a list, as in [0.0, 0.1, 0.2]",
    "greater_than": "allowed: more than {gt}",
    "greater_than_equal": "allowed: {ge} or more",
    "less_than": "allowed: less than {lt}",
    "less_than_equal": "allowed: {le} or less",
    "too_short": "allowed: {min_length} values, here are {actual_length}",
    "too_long": "allowed: {max_length} values, here are {actual_length}",
    "string_too_short": "allowed: at least {min_length} characters",
    "string_too_long": "allowed: at most {max_length} characters",
    "literal_error": "allowed: {expected}",
    "string_pattern_mismatch": "allowed: a name in the right form",
    "union_tag_invalid": "allowed: {expected_tags}",
    "value_error": "{error}",
}


def validate(model: type[BaseModel], source: Source) -> Any:
    """The model that ``source`` describes, or ``None`` with every fault of it noted in ``source.faults``."""
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        details = error.errors()
        for detail in details:
            if not (detail["type"] == "too_short" and _inner(detail["loc"], details)):
                _note(model, source, detail)
    return None


def _inner(loc: tuple[int | str, ...], details: list[ErrorDetails]) -> bool:
    """Whether values inside ``loc`` are at fault: pydantic then counts only the others and finds too few."""
    return any(len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in details)


def show(value: Any) -> str:
    """A value as a person would write it, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a section with the keys " + ", ".join(map(str, value)) if value else "an empty section"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "[" + ", ".join(map(show, value)) + "]" if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _note(model: type[BaseModel], source: Source, detail: ErrorDetails) -> None:
    loc = _in_file(detail["loc"], source)
    code, context = detail["type"], detail.get("ctx", {})
    if code == "missing":
        keys = fields_at(model, loc[:-1], source)
        about = keys.get(str(loc[-1])) if keys else None
        source.fault(loc, "nothing", "this key is needed" + (f": {about}" if about else ""))
    elif code == "extra_forbidden":
        source.fault(loc, f"the key {str(loc[-1])!r}", "this key is unknown; " + _known(model, loc, source))
    elif code == "union_tag_not_found":
        tag = str(context["discriminator"]).strip(_QUOTES)
        source.fault((*loc, tag), "nothing", "this key is needed: it says what the section describes")
    else:
        if code == "union_tag_invalid":
            loc = (*loc, str(context["discriminator"]).strip(_QUOTES))
        template = _SAYS.get(code)
        say = template.format_map({key: _number(x) for key, x in context.items()}) if template else detail["msg"]
        value = source.get(*loc)
        if code in ("literal_error", "union_tag_invalid") and isinstance(value, str):
            options = str(context.get("expected", context.get("expected_tags"))).split("'")
            close = difflib.get_close_matches(value, options, 1)
            say += f" (did you mean '{close[0]}'?)" if close and close[0] != value else ""
            say = meant(value) + say if code == "union_tag_invalid" else say
        if code == "tuple_type" and isinstance(value, str):
            say = f"allowed: a list, as in [{value}]"
        if code in ("model_type", "dict_type") and (keys := fields_at(model, loc, source)):
            say = f"allowed: a section with keys, indented below it: {', '.join(keys)}"
        about = (fields_at(model, loc[:-1], source) or {}).get(str(loc[-1])) if loc else None
        source.fault(loc, show(value), say + (f" ({about})" if about and code != "value_error" else ""))


_QUOTES = "'()"
"""Around the name of a discriminator: ``'kind'`` for a key, ``kind()`` for a function of that name."""


def _bare(kind: Any) -> Any:
    """``kind`` without annotations."""
    while typing.get_origin(kind) is Annotated:
        kind = typing.get_args(kind)[0]
    return kind


def _number(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value


def _in_file(loc: tuple[int | str, ...], source: Source) -> Loc:
    """pydantic's path without the parts that are not in the file: tags of unions and names of validators."""
    path: Loc = ()
    loc = loc[:-1] if loc and loc[-1] == "[key]" else loc  # the key itself is wrong: told at the key
    for i, part in enumerate(loc):
        if path == ("robot",) and i == 1 and part == source.get("robot", "driver"):
            continue  # the tag of the arm's section; a key inside it may have the same name
        here = source.get(*path)
        # the tag of a union names no key; the last part may, since a missing or unknown key is told at its own name
        inside = part in here if isinstance(here, Mapping) else isinstance(here, tuple) and isinstance(part, int)
        if inside or (i == len(loc) - 1 and isinstance(here, Mapping)):
            path = (*path, part)
    return path


def _known(model: type[BaseModel], loc: Loc, source: Source) -> str:
    keys = list(fields_at(model, loc[:-1], source) or {})
    close = difflib.get_close_matches(str(loc[-1]), keys, 1, 0.6)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed here: {', '.join(keys)}"


def fields_at(model: type[BaseModel], loc: Loc, source: Source) -> dict[str, str] | None:
    """The keys that may stand in the section at ``loc``, with what they mean; ``None`` where it is no section."""
    kind: Any = model
    for i, part in enumerate(loc):
        kind = _section(kind, source.get(*loc[:i]))
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
        elif typing.get_origin(kind) in (dict, tuple):
            kind = typing.get_args(kind)[1 if typing.get_origin(kind) is dict else 0]
        else:
            return None
    kind = _section(kind, source.get(*loc))
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return None
    return {name: field.description or "" for name, field in kind.model_fields.items()}


def _section(kind: Any, value: Any) -> Any:
    """``kind`` without its wrappings; of a union of sections the one that ``value`` names as its kind or driver."""
    kind = _bare(kind)
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    options = [_bare(option) for option in typing.get_args(kind) if option is not type(None)]
    for option in options if len(options) > 1 else ():
        for name in ("kind", "driver"):
            field = option.model_fields.get(name) if hasattr(option, "model_fields") else None
            if field and isinstance(value, Mapping) and value.get(name) in typing.get_args(field.annotation):
                return option
            if field and field.annotation is str and isinstance(value, Mapping) and ":" in str(value.get(name)):
                return option
    return _section(options[0], value) if len(options) == 1 else None
