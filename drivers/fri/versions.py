"""FRI versions and the families of wire format they belong to, and which family a datagram shows by itself."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from drivers.errors import ProtocolError
from drivers.fri import framing
from drivers.fri.descriptors import MARKS, messages

FAMILIES = {"1.11": "1.11", "1.14": "1.14", "1.15": "1.14", "1.16": "1.14", "2.5": "2.5", "2.7": "2.7"}
"""Wire version → version family (a table of :mod:`drivers.fri.descriptors`)."""
VERSIONS = tuple(FAMILIES)
WRAPPED = frozenset({"2.7"})
"""Families that send length and CRC around the message."""


def family_of(version: str) -> str:
    """The family of an FRI version such as ``"1.15"``. Raises ProtocolError (``version``) for one not supported."""
    family = FAMILIES.get(version)
    if family is None:
        known = ", ".join(VERSIONS)
        raise ProtocolError("version", f"FRI version {version!r} is not supported; use one of {known} in the cell file")
    return family


def recognise(data: bytes) -> frozenset[str]:
    """The versions from which the monitoring datagram ``data`` may come; empty if from none.

    The wire has no version field. The envelope tells 2.7 from the others; among bare messages only fields that one
    family lacks do, so that a short message fits several. 1.14, 1.15 and 1.16 cannot be told apart.
    """
    if framing.is_wrapped(data):
        return _versions(WRAPPED)
    if data[:1] != framing.FIRST_BYTE:
        return frozenset()
    families = set(MARKS) - WRAPPED
    for family in tuple(families):
        try:
            message = messages(family).FRIMonitoringMessage.FromString(data)
        except DecodeError:
            return frozenset()
        if strange(message.monitorData, family):
            families.discard(family)
    return _versions(families)


def strange(part: Any, family: str) -> str:
    """The first field of a ``MessageMonitorData`` that ``family`` does not have; empty if there is none."""
    for name in MARKS[family]:
        if len(getattr(part, name)):
            return name
    return ""


def _versions(families: set[str] | frozenset[str]) -> frozenset[str]:
    return frozenset(version for version, family in FAMILIES.items() if family in families)
