"""Controllers, observers and motions from the user's own package: how they are named, found and checked.

A name is either ``module:Class`` or an entry point that an installed package declares in one of three groups::

    [project.entry-points."hil.controllers"]
    my_controller = "my_pkg.control:MyController"

Nothing is imported before it is built, nothing is evaluated, and no folder is searched but Python's own path: install
the package (``pip install -e .``), or put its folder on ``PYTHONPATH``. The module then runs with all rights of the
process, like everything that one imports.
"""

from __future__ import annotations

import difflib
import importlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, cast

from estimators.observer import Estimate, Observer
from hil.control.base import Controller
from hil.motion.base import Motion

What = Literal["controller", "observer", "motion"]

SPEC = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
"""``module:Class``, ``package.module:Class``."""
_KINDS = ("joint", "cartesian")


@dataclass(frozen=True)
class _Contract:
    group: str
    methods: tuple[str, ...]
    others: tuple[str, ...]
    """Attributes that are no methods."""
    where: str
    """The protocol that says what each of them is."""


CONTRACTS: dict[str, _Contract] = {
    "controller": _Contract("hil.controllers", ("reset", "torque"), ("kind",), "hil.control.Controller"),
    "observer": _Contract("hil.observers", ("reset", "step", "tare"), (), "estimators.observer.Observer"),
    "motion": _Contract("hil.motions", ("start", "at", "phase"), ("kind",), "hil.motion.Motion"),
}


class PluginError(ValueError):
    """A class that cannot be found, built or used: what was looked for, what there is, what it must provide."""


def entry_point_names(what: What) -> list[str]:
    """Names that installed packages offer; nothing is imported."""
    return sorted({point.name for point in entry_points(group=CONTRACTS[what].group)})


def is_plugin(what: What, name: str) -> bool:
    """Whether ``name`` has the form ``module:Class``, or is an entry point that exists; nothing is imported."""
    return SPEC.fullmatch(name) is not None or (":" not in name and name in entry_point_names(what))


def find(what: What, name: str) -> Any:
    """The class (or function that makes an object) that ``name`` stands for. Imports its module. Raises PluginError."""
    if ":" not in name:
        return _load(what, name, _entry_point(what, name))
    if SPEC.fullmatch(name) is None:
        raise PluginError(f"{what} {name!r}: expected module:Class, as in my_pkg.control:MyController")
    return _load(what, name, EntryPoint(name, name, CONTRACTS[what].group))


def build_controller(name: str, n: int, adds: frozenset[str], params: Mapping[str, Any]) -> Controller:
    """``Class(n, adds, **params)``, checked. Raises PluginError."""
    return check_controller(_make("controller", name, (n, adds), params), name)


def build_observer(name: str, n: int, params: Mapping[str, Any]) -> Observer:
    """``Class(n, **params)``, checked. Raises PluginError."""
    return check_observer(_make("observer", name, (n,), params), name)


def build_motion(name: str, called: str, params: Mapping[str, Any]) -> Motion:
    """``Class(**params)``, checked, with ``called`` as its ``name``. Raises PluginError."""
    motion = _make("motion", name, (), params)
    try:
        motion.name = called
    except Exception as error:
        raise PluginError(f"motion {name!r}: its attribute name cannot be set to {called!r} ({error})") from error
    return check_motion(motion, name)


def check_controller(made: Any, name: str = "") -> Controller:
    """``made`` if it has what a controller needs. Raises PluginError."""
    return cast(Controller, _check("controller", made, name))


def check_observer(made: Any, name: str = "") -> Observer:
    """``made`` if it has what an observer needs. Raises PluginError."""
    return cast(Observer, _check("observer", made, name))


def check_motion(made: Any, name: str = "") -> Motion:
    """``made`` if it has what a motion needs. Raises PluginError."""
    made = _check("motion", made, name)
    # Not asked for its value: that may be known from start() on only.
    if not hasattr(type(made), "duration") and "duration" not in vars(made):
        raise PluginError(f"motion {_name(made, name)} has no duration (s); hil.motion.Motion says what it is")
    if not isinstance(getattr(made, "name", None), str):
        raise PluginError(f"motion {_name(made, name)} has no name (text)")
    return cast(Motion, made)


def check_estimate(estimate: Any, n: int) -> Estimate:
    """What an observer's ``step`` returned: ``tau_ext`` (n,), its covariance (n, n) and, if it has one, its NIS.

    Raises PluginError for anything else.
    """
    shapes = [getattr(part, "shape", None) for part in estimate[:2]] if isinstance(estimate, tuple) else []
    if shapes != [(n,), (n, n)] or len(estimate) > 3:
        read = f"shapes {[getattr(part, 'shape', None) for part in estimate]}" if shapes else type(estimate).__name__
        raise PluginError(
            f"the observer's step returned {read}; expected the arrays tau_ext ({n},) and covariance ({n}, {n}), and "
            "after them, if there is one, the normalised innovation squared"
        )
    return Estimate(estimate[0], estimate[1], float(estimate[2]) if len(estimate) == 3 else math.nan)


def _entry_point(what: What, name: str) -> EntryPoint:
    group = CONTRACTS[what].group
    found = [point for point in entry_points(group=group) if point.name == name]
    if not found:
        names = entry_point_names(what)
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise PluginError(
            f"{what} {name!r}: no installed package has an entry point of this name in the group {group}; {hint}there "
            f"are: {', '.join(names) or 'none'}. Name a class as module:Class, or install the package that brings it"
        )
    targets = {point.value for point in found}
    if len(targets) > 1:
        raise PluginError(
            f"{what} {name!r}: several packages offer it ({', '.join(sorted(targets))}); name the class as module:Class"
        )
    return found[0]


def _load(what: What, name: str, point: EntryPoint) -> Any:
    module_name, _, attribute = point.value.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise PluginError(f"{what} {name!r}: its module {module_name} cannot be imported: {error}") from error
        raise PluginError(
            f"{what} {name!r}: there is no module {error.name!r} on Python's path; install its package "
            "(pip install -e FOLDER) or put its folder on PYTHONPATH. The folder of the cell file is not searched"
        ) from error
    except Exception as error:
        raise PluginError(
            f"{what} {name!r}: importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    found = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            classes = [key for key, value in vars(module).items() if isinstance(value, type) and key[0] != "_"]
            close = difflib.get_close_matches(part, classes, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise PluginError(
                f"{what} {name!r}: module {module_name} ({module.__file__}) has no {part!r}; {hint}its classes are: "
                f"{', '.join(classes) or 'none'}"
            )
        found = getattr(found, part)
    return found


def _make(what: What, name: str, given: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
    factory = find(what, name)
    if not callable(factory):
        raise PluginError(f"{what} {name!r} is {type(factory).__name__}; expected a class")
    try:
        return factory(*given, **params)
    except Exception as error:
        how = ", ".join([*("n", "adds")[: len(given)], *(f"{key}={value!r}" for key, value in params.items())])
        text = f"{factory.__qualname__}({how}) failed: {type(error).__name__}: {error}"
        raise PluginError(f"{what} {name!r}: {text}") from error


def _check(what: What, made: Any, name: str) -> Any:
    contract = CONTRACTS[what]
    missing = [f"{method}(…)" for method in contract.methods if not callable(getattr(made, method, None))]
    missing += [other for other in contract.others if not hasattr(made, other)]
    if missing:
        raise PluginError(
            f"{what} {_name(made, name)} lacks {', '.join(missing)}; {contract.where} says what each of them is"
        )
    if "kind" in contract.others and made.kind not in _KINDS:
        raise PluginError(f"{what} {_name(made, name)}: kind is {made.kind!r}; allowed: {', '.join(map(repr, _KINDS))}")
    return made


def _name(made: Any, name: str) -> str:
    return repr(name) if name else type(made).__qualname__
