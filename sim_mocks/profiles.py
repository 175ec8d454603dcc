"""Physics profiles: how wrong the simulated devices are, frozen in ``physics_profiles.yaml`` and drawn from a seed.

A profile is a nested mapping. Values written as ``"uniform(a, b)"`` are drawn on access: each from a generator of
its own, derived from (seed, device, key path). So a draw repeats exactly, does not depend on the order of access,
and does not change when other keys are added to the file.

What is missing is off: every accessor takes the default that means "no such effect", and :meth:`Profile.section`
gives an empty profile for a section that is absent (or says ``none`` or ``exact``). The profile ``ideal`` is that
idea applied to a whole device; it exists for every device and keeps only what is geometry or nameplate of
``standard``: see ``_KEPT_BY_IDEAL``. A device without a ``hard`` profile uses its ``standard`` one instead, and
``contact`` has one material, ``plate``, for all.
"""

from __future__ import annotations

import functools
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml

from drivers.contract import Array
from sim_mocks.errors import ProfileError

_FILE = "physics_profiles.yaml"
_UNIFORM = re.compile(r"uniform\(\s*([^,\s]+)\s*,\s*([^)\s]+)\s*\)")
_OFF = ("none", "exact")
_KEPT_BY_IDEAL = (("armature",), ("gear", "ratio"), ("drive", "rated_torque_motor"), ("tool",))
_FALLBACK = {"contact": "plate"}


@dataclass(frozen=True, eq=False)
class Profile(Mapping[str, Any]):
    """One device's profile, or a section of it. Reading as a mapping gives the raw values of the file."""

    device: str
    name: str
    seed: int
    n: int
    """Number of joints: the length of a vector where no other shape is asked for."""
    content: Mapping[str, Any]
    path: str = ""
    """Keys from the top down to this section, joined by dots."""

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)

    def section(self, key: str) -> Profile:
        """The nested profile under ``key``; an empty one where it is absent, ``none`` or ``exact``."""
        value = self.content.get(key, {})
        if value in _OFF:
            value = {}
        if not isinstance(value, Mapping):
            raise self._error(key, value, "a section of its own, 'none' or 'exact'")
        return Profile(self.device, self.name, self.seed, self.n, value, self._key_path(key))

    def number(self, key: str, default: float = 0.0) -> float:
        """A scalar, drawn where the file says so. Raises ProfileError for anything else."""
        return float(self.array(key, (), default))

    def vector(self, key: str, default: float = 0.0) -> Array:
        """One value per joint, shape ``(n,)``: a list of n numbers, a number for all, or n draws."""
        return self.array(key, (self.n,), default)

    def array(self, key: str, shape: tuple[int, ...], default: float = 0.0) -> Array:
        """An array of the given shape: a list of that shape, a number for all entries, or independent draws.

        Raises ProfileError if the value is neither, or holds numbers that are not finite.
        """
        value = self.content.get(key, default)
        if isinstance(value, str):
            low, high = self._bounds(key, value)
            entropy = [self.seed, zlib.crc32(self.device.encode()), zlib.crc32(self._key_path(key).encode())]
            return np.asarray(np.random.default_rng(entropy).uniform(low, high, size=shape), dtype=np.float64)
        wanted = f"a number, uniform(a, b), or numbers of shape {shape}"
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise self._error(key, value, wanted) from None
        if isinstance(value, bool) or (array.shape != () and array.shape != shape) or not np.isfinite(array).all():
            raise self._error(key, value, wanted)
        return np.broadcast_to(array, shape).copy()

    def text(self, key: str, default: str) -> str:
        """A word, e.g. the name of a friction law."""
        value = self.content.get(key, default)
        if not isinstance(value, str):
            raise self._error(key, value, "a word")
        return value

    def words(self, key: str) -> tuple[str, ...]:
        """A list of words; empty where absent."""
        value = self.content.get(key, ())
        if not isinstance(value, tuple) or not all(isinstance(word, str) for word in value):
            raise self._error(key, value, "a list of words")
        return value

    def _key_path(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _bounds(self, key: str, value: str) -> tuple[float, float]:
        match = _UNIFORM.fullmatch(value.strip())
        try:
            low, high = (float(bound) for bound in match.groups()) if match else (math.nan, math.nan)
        except ValueError:
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise self._error(key, value, "uniform(a, b) with finite a <= b")
        return low, high

    def _error(self, key: str, value: object, expected: str) -> ProfileError:
        return ProfileError(
            f"{_FILE}: {self.device}.{self.name}: read {self._key_path(key)} = {value!r}; expected {expected}"
        )


def load_profile(device: str, name: str, seed: int, n: int = 7) -> Profile:
    """The profile ``name`` of ``device`` (``iiwa``, ``cobot``, ``piper``, ``ft_sensor`` or ``contact``).

    ``seed`` (at least 0) fixes all draws; ``n`` is the number of joints. Raises ProfileError where the device or
    the profile does not exist.
    """
    if seed < 0 or n < 1:
        raise ProfileError(f"read seed {seed} and {n} joints; expected a seed of at least 0 and at least one joint")
    return Profile(device, name, seed, n, _freeze(_resolve(_read(), device, name)))


@functools.cache
def _read() -> dict[str, Any]:
    content = yaml.safe_load(files("sim_mocks").joinpath(_FILE).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ProfileError(f"{_FILE} is not a mapping of devices; reinstall the package, the file is part of it")
    return content


def _resolve(content: Mapping[str, Any], device: str, name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """The profile with all that it extends merged in."""
    profiles = content.get(device)
    if not isinstance(profiles, Mapping):
        raise ProfileError(f"{_FILE}: read device {device!r}; known are {', '.join(sorted(content))}")
    if name in seen:
        raise ProfileError(f"{_FILE}: {device}: profiles extend one another in a circle: {' -> '.join((*seen, name))}")
    if device in _FALLBACK and name in ("ideal", "standard", "hard"):
        name = _FALLBACK[device]
    elif name == "hard" and name not in profiles:
        name = "standard"
    if name not in profiles and name != "ideal":
        raise ProfileError(f"{_FILE}: {device}: read profile {name!r}; known are {', '.join(sorted(profiles))}")
    own = dict(profiles.get(name, {}))
    if name == "ideal":
        return _merge(_kept(profiles.get("standard", {})), own)
    base = own.pop("extends", None)
    return own if base is None else _merge(_resolve(content, device, str(base), (*seen, name)), own)


def _kept(standard: Mapping[str, Any]) -> dict[str, Any]:
    """What is geometry or nameplate rather than an error, so that the ideal device has it as well."""
    kept: dict[str, Any] = {}
    for path in _KEPT_BY_IDEAL:
        source: Any = standard
        for key in path:
            source = source.get(key) if isinstance(source, Mapping) else None
        if source is not None:
            nested: Any = source
            for key in reversed(path):
                nested = {key: nested}
            kept = _merge(kept, nested)
    return kept


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _freeze(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _freeze(inner) for key, inner in value.items()})
    if isinstance(value, list):
        return tuple(_freeze(inner) for inner in value)
    return value
