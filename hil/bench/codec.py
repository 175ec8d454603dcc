"""What FRI's codec costs beside two others: plain protobuf, and a struct that knows where every number lies.

The second is the least that Python can do; it reads nothing but this one layout, so that it is a yardstick and no
alternative. Microseconds a message on this machine, the lower tenth of many.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

import numpy as np

from drivers.fri.codec import Monitoring, codec_for
from drivers.fri.descriptors import messages
from drivers.fri.wire import JOINTS

REPEATS = 2000
_VECTORS = ("measuredJointPosition", "measuredTorque", "commandedJointPosition", "commandedTorque", "externalTorque")


def codec_costs(repeats: int = REPEATS) -> dict[str, dict[str, float]]:
    """Cost in µs by direction (``decode monitoring``, ``encode command``) and way."""
    codec = codec_for("1.15")
    data = codec.encode_monitoring(_monitoring())
    q, tau = np.linspace(-1.0, 1.0, JOINTS), np.linspace(-9.0, 9.0, JOINTS)
    plain = messages("1.14")
    fixed_in, fixed_out = struct.Struct("<35d"), struct.Struct("<14d")
    raw = bytes(fixed_in.size)
    seq = iter(range(1 << 30))

    def decode_plain() -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
        message = plain.FRIMonitoringMessage.FromString(data)
        part = message.monitorData
        return [np.array(getattr(part, name).value[:]) for name in _VECTORS]

    def encode_plain() -> bytes:
        message = plain.FRICommandMessage()
        header = message.header
        header.messageIdentifier, header.sequenceCounter, header.reflectedSequenceCounter = 0x34001, next(seq), 7
        message.commandData.jointPosition.value[:] = q.tolist()
        message.commandData.jointTorque.value[:] = tau.tolist()
        written: bytes = message.SerializeToString()
        return written

    ways: dict[str, dict[str, Callable[[], object]]] = {
        "decode monitoring": {
            "ours": lambda: codec.decode_monitoring(data),
            "plain protobuf": decode_plain,
            "fixed struct": lambda: np.array(fixed_in.unpack(raw)).reshape(5, JOINTS),
        },
        "encode command": {
            "ours": lambda: codec.encode_command(next(seq), 7, q, tau),
            "plain protobuf": encode_plain,
            "fixed struct": lambda: fixed_out.pack(*q.tolist(), *tau.tolist()),
        },
    }
    return {direction: {way: _cost(work, repeats) for way, work in of.items()} for direction, of in ways.items()}


def _cost(work: Callable[[], object], repeats: int) -> float:
    """Lower tenth of the durations of ``work``, µs."""
    now = time.perf_counter_ns
    spent = np.empty(repeats)
    for k in range(repeats):
        begin = now()
        work()
        spent[k] = now() - begin
    return float(np.quantile(spent, 0.1)) * 1e-3


def _monitoring() -> Monitoring:
    """A message as a robot sends it while it is commanded."""
    values = np.linspace(-1.5, 1.5, JOINTS)
    return Monitoring(
        seq=4711,
        reflected_seq=4710,
        session_state=4,
        quality=3,
        send_period_ms=1,
        receive_multiplier=1,
        n_joints=JOINTS,
        safety_state=0,
        operation_mode=2,
        control_mode=2,
        drive_state=[2] * JOINTS,
        q=values,
        tau_measured=10.0 * values,
        q_commanded=values,
        tau_commanded=11.0 * values,
        tau_external=0.1 * values,
        q_ipo=values,
        client_command_mode=3,
        overlay_type=1,
        tracking=1.0,
        t_device_ns=1_700_000_000_000_000_000,
    )
