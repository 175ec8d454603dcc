"""Protobuf (proto2) message classes of FRI, built at run time from a table.

Two deviations from a ``.proto`` file, neither visible on the wire: enumerations are declared as ``uint32``, so that a
value out of range is read and judged by the codec instead of vanishing among the unknown fields; names are declared
as ``bytes``, so that a broken one cannot raise where it is read. Fields that nobody here uses (transformations,
end-of-message data) are left out: proto2 skips them as unknown.

A version with another set of fields gets a table of its own in :data:`TABLES`. Bare messages of two families parse as
each other, so a table also names, as plain ``bytes``, the fields by which a stranger's message betrays itself
(:data:`MARKS`).
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_LABELS = {
    "r": _Field.LABEL_REQUIRED,
    "o": _Field.LABEL_OPTIONAL,
    "*": _Field.LABEL_REPEATED,
    "p": _Field.LABEL_REPEATED,
}
_SCALARS = {
    "double": _Field.TYPE_DOUBLE,
    "int32": _Field.TYPE_INT32,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
    "bytes": _Field.TYPE_BYTES,
}

Fields = tuple[tuple[str, int, str, str], ...]
Table = dict[str, Fields]
"""Message name → fields as (name, number, type, label): r required, o optional, * repeated, p repeated and packed."""

FRI_1_14: Table = {
    "JointValues": (("value", 1, "double", "*"),),
    "CartesianVector": (("element", 1, "double", "p"),),
    "TimeStamp": (("sec", 1, "uint32", "r"), ("nanosec", 2, "uint32", "r")),
    "FriIOValue": (
        ("name", 1, "bytes", "r"),
        ("type", 2, "uint32", "r"),
        ("direction", 3, "uint32", "r"),
        ("digitalValue", 4, "uint64", "o"),
        ("analogValue", 5, "double", "o"),
    ),
    "MessageHeader": (
        ("messageIdentifier", 1, "uint32", "r"),
        ("sequenceCounter", 2, "uint32", "r"),
        ("reflectedSequenceCounter", 3, "uint32", "r"),
    ),
    "RobotInfo": (
        ("numberOfJoints", 1, "int32", "o"),
        ("safetyState", 2, "uint32", "o"),
        ("driveState", 5, "uint32", "*"),
        ("operationMode", 6, "uint32", "o"),
        ("controlMode", 7, "uint32", "o"),
    ),
    "MessageMonitorData": (
        ("measuredJointPosition", 1, "JointValues", "o"),
        ("measuredTorque", 2, "JointValues", "o"),
        ("commandedJointPosition", 3, "JointValues", "o"),
        ("commandedTorque", 4, "JointValues", "o"),
        ("externalTorque", 5, "JointValues", "o"),
        ("readIORequest", 8, "FriIOValue", "*"),
        ("timestamp", 15, "TimeStamp", "o"),
    ),
    "ConnectionInfo": (
        ("sessionState", 1, "uint32", "r"),
        ("quality", 2, "uint32", "r"),
        ("sendPeriod", 3, "uint32", "o"),
        ("receiveMultiplier", 4, "uint32", "o"),
    ),
    "MessageIpoData": (
        ("jointPosition", 1, "JointValues", "o"),
        ("clientCommandMode", 10, "uint32", "o"),
        ("overlayType", 11, "uint32", "o"),
        ("trackingPerformance", 12, "double", "o"),
    ),
    "MessageCommandData": (
        ("jointPosition", 1, "JointValues", "o"),
        ("cartesianWrenchFeedForward", 2, "CartesianVector", "o"),
        ("jointTorque", 3, "JointValues", "o"),
        ("writeIORequest", 5, "FriIOValue", "*"),
    ),
    "FRIMonitoringMessage": (
        ("header", 1, "MessageHeader", "r"),
        ("robotInfo", 2, "RobotInfo", "o"),
        ("monitorData", 3, "MessageMonitorData", "o"),
        ("connectionInfo", 4, "ConnectionInfo", "o"),
        ("ipoData", 5, "MessageIpoData", "o"),
    ),
    "FRICommandMessage": (
        ("header", 1, "MessageHeader", "r"),
        ("commandData", 2, "MessageCommandData", "o"),
    ),
}

_POSE: Table = {
    "QuaternionTransformation": (
        ("name", 1, "bytes", "r"),
        ("element", 2, "double", "p"),
    ),
    "RedundancyInformation": (("strategy", 1, "uint32", "r"), ("value", 2, "double", "r")),
}
_MEASURED_POSE = (
    ("measuredCartesianPose", 9, "QuaternionTransformation", "o"),
    ("measuredRedundancyInformation", 10, "RedundancyInformation", "o"),
)
_IPO_POSE = (
    ("cartesianPose", 2, "QuaternionTransformation", "o"),
    ("redundancyInformation", 3, "RedundancyInformation", "o"),
)
_COMMAND_POSE = (
    ("cartesianPose", 6, "QuaternionTransformation", "o"),
    ("redundancyInformation", 7, "RedundancyInformation", "o"),
)
_FORCE = (("externalForce", 6, "CartesianVector", "o"),)
_IOS = ("readIORequest", "writeIORequest")

MARKS = {
    "1.11": ("readIORequest", "measuredCartesianPose"),
    "1.14": ("measuredCartesianPose",),
    "2.5": ("commandedJointPosition",),
    "2.7": ("commandedJointPosition",),
}
"""Family → fields of ``MessageMonitorData`` that it does not have, and some other family has."""


def _without(fields: Fields, *names: str) -> Fields:
    return tuple(field for field in fields if field[0] not in names)


def _marked(fields: Fields, *marks: tuple[str, int, str]) -> Fields:
    return fields + tuple((name, number, "bytes", label) for name, number, label in marks)


def _changed(table: Table, **messages: Fields) -> Table:
    return {**table, **messages}


_MONITOR, _IPO, _COMMAND = (FRI_1_14[name] for name in ("MessageMonitorData", "MessageIpoData", "MessageCommandData"))
_MONITOR_2 = _without(_MONITOR, "commandedJointPosition") + _MEASURED_POSE
_FRI_2 = _changed({**FRI_1_14, **_POSE}, MessageIpoData=_IPO + _IPO_POSE, MessageCommandData=_COMMAND + _COMMAND_POSE)
_MARK_3 = ("commandedJointPosition", 3, "o")
_MARK_8 = ("readIORequest", 8, "*")
_MARK_9 = ("measuredCartesianPose", 9, "o")

TABLES: dict[str, Table] = {
    "1.11": _changed(
        FRI_1_14,
        MessageMonitorData=_marked(_without(_MONITOR, *_IOS), _MARK_8, _MARK_9),
        MessageCommandData=_without(_COMMAND, *_IOS),
    ),
    "1.14": _changed(FRI_1_14, MessageMonitorData=_marked(_MONITOR, _MARK_9)),
    "2.5": _changed(_FRI_2, MessageMonitorData=_marked(_MONITOR_2, _MARK_3)),
    "2.7": _changed(_FRI_2, MessageMonitorData=_marked(_MONITOR_2 + _FORCE, _MARK_3)),
}


@cache
def messages(family: str, raw: tuple[str, ...] = ()) -> Any:
    """The message classes of one version family as attributes (``.FRIMonitoringMessage`` …).

    ``family`` is a key of :data:`TABLES`; raises KeyError for any other. Fields of the message types named in
    ``raw`` are left as ``bytes`` for the reader to parse, or not, by himself (the wire is the same).
    """
    package = f"hil_fri_{family.replace('.', '_')}{'_raw' if raw else ''}"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    table = TABLES[family]
    for message_name, fields in table.items():
        message = file.message_type.add(name=message_name)
        for name, number, kind, label in fields:
            field = message.field.add(name=name, number=number, label=_LABELS[label])
            if kind in _SCALARS or kind in raw:
                field.type = _SCALARS.get(kind, _Field.TYPE_BYTES)
                if label in "*p":
                    # Joint vectors travel unpacked and Cartesian ones packed: that is how the controller writes them.
                    field.options.packed = label == "p"
            else:
                field.type = _Field.TYPE_MESSAGE
                field.type_name = f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return SimpleNamespace(
        **{n: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{n}")) for n in table}
    )
