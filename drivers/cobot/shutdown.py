"""The way out: no torque, no power, no process data, and no drive that complains about our silence."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.cobot.bringup import NodeInfo
from drivers.cobot.cia402 import CW_DISABLE_VOLTAGE
from drivers.cobot.line import Line
from drivers.errors import ConnectError

_NMT_PRE_OPERATIONAL = 0x80
_SETTLE_NS = 5_000_000


def shut_down(line: Line, nodes: Sequence[NodeInfo], answering: Sequence[bool]) -> None:
    """Leave every node pre-operational without power; ``answering``: who still does. Never raises.

    The power is gone before this is called, by RPDO and SYNC; here it is taken away once more by SDO, since leaving
    NMT operational ends the process data.
    """
    for info in nodes:
        line.network.send_message(0, bytes([_NMT_PRE_OPERATIONAL, info.node]))
    line.pause(_SETTLE_NS)
    for info, answers in zip(nodes, answering, strict=True):
        if not answers or all(bus.lost for bus in line.buses):
            continue
        try:
            info.dictionary.write(0x6040, 0, CW_DISABLE_VOLTAGE)
            # Our heartbeat ends now; a consumer that is still armed would report a fault to the next user.
            info.dictionary.write(0x1016, 1, 0)
        except ConnectError:
            continue  # a node that went in the meantime stops by its own watchdogs
    line.beating = False
