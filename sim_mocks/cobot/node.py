"""A CANopen node (CiA 301): NMT, boot-up, heartbeats, SDO, PDO and EMCY around an application; no I/O, time handed in.

Not there: node guarding, SDO block transfer, LSS, TIME, remote frames.
"""

from __future__ import annotations

import enum
import functools
from typing import Protocol

from sim_mocks.cobot.dictionary import Dictionary
from sim_mocks.cobot.emergency import Emergencies
from sim_mocks.cobot.frames import Frame
from sim_mocks.cobot.pdo import RxPdo, TxPdo
from sim_mocks.cobot.sdo import SdoServer

PDOS = 4
_MS = 1_000_000


class Nmt(enum.IntEnum):
    """NMT states as a heartbeat tells them."""

    INITIALISING = 0
    STOPPED = 4
    OPERATIONAL = 5
    PRE_OPERATIONAL = 127


class Application(Protocol):
    """What the device does beyond communication."""

    def applied(self, key: int, value: int) -> None:
        """An object was written by RPDO or SDO and its value has taken effect."""
        ...

    def lost_communication(self, code: int, gone: bool = True) -> None:
        """RPDO deadline, heartbeat or SYNC lost, bus-off (emergency ``code``), or OPERATIONAL left (0)."""
        ...

    def reset(self) -> None:
        """Back to the state of power-on."""
        ...


class Node:
    """One node. Per tick: :meth:`tick`, then :meth:`hear` for every frame on the bus; :meth:`collect` what it says."""

    def __init__(self, dictionary: Dictionary, boot_ns: int) -> None:
        """``boot_ns``: from power-on or reset to the boot-up message."""
        self.id = dictionary.node
        self.dictionary = dictionary
        self._boot_ns = boot_ns
        self.emergencies = Emergencies(dictionary)
        self.sdo = SdoServer(dictionary)
        self.rpdos = [RxPdo(dictionary, k, self._apply) for k in range(PDOS)]
        self.tpdos = [TxPdo(dictionary, k) for k in range(PDOS)]
        self.application: Application
        """Set by the device that the node belongs to."""
        self.nmt = Nmt.INITIALISING
        self.powered = True
        self.bus_off = False
        self._say: list[Frame] = []
        self._boot_at = 0
        self._beat_at = 0
        self._heard: dict[int, int] = {}
        self._sync_ns = -1
        for index in (0x1006, 0x1016, 0x1017, 0x2100):
            dictionary.after[index] = lambda sub, value: self._refresh()
        for k, rpdo in enumerate(self.rpdos):
            dictionary.after[0x1400 + k] = functools.partial(self._moved, rpdo)
        self._refresh()
        for index in (0x6040, 0x6060, 0x6071, 0x6072, 0x60B2, 0x60E0, 0x60E1):
            dictionary.after[index] = lambda sub, value, key=index << 8: self.application.applied(key, value)  # type: ignore[misc]

    # -- life ----------------------------------------------------------------------------------------------------

    def power(self, on: bool, t_ns: int) -> None:
        """Power comes or goes. What is not stored is lost; nothing is stored."""
        if on != self.powered:
            self.powered = on
            self.reset(t_ns)

    def reset(self, t_ns: int, communication_only: bool = False) -> None:
        """NMT reset node or reset communication, or power-on: everything from the beginning."""
        self.dictionary.restore(0x2000 if communication_only else 0x10000)
        self.nmt = Nmt.INITIALISING
        self._boot_at = t_ns + self._boot_ns
        self._say.clear()
        self._heard.clear()
        self._sync_ns = -1
        self.sdo.reset()
        self.emergencies.reset()
        for rpdo in self.rpdos:
            rpdo.reset()
            rpdo.refresh()
        for tpdo in self.tpdos:
            tpdo.reset()
            tpdo.refresh()
        self._refresh()
        self.application.reset()

    def _refresh(self) -> None:
        """Take over what the dictionary says about times and identifiers."""
        number = self.dictionary.number
        self._beat_ns = number(0x1017) * _MS
        words = [number(0x1016, sub) for sub in (1, 2)]
        self._consumers = [(word >> 16 & 0x7F, (word & 0xFFFF) * _MS) for word in words if word & 0xFFFF]
        self._sync_limit_ns = number(0x1006) * 1000 * number(0x2100)
        self._pdo_ids = {rpdo.cob_id for rpdo in self.rpdos if rpdo.valid}

    def _moved(self, rpdo: RxPdo, sub: int, value: int) -> None:
        """The communication parameters of an RPDO were written."""
        rpdo.refresh()
        self._refresh()

    @property
    def talkative(self) -> bool:
        """It may have something to send."""
        return bool(self._say or self.emergencies.waiting)

    def set_bus_off(self, off: bool) -> None:
        """Its CAN controller went bus-off, or has recovered (which it says with EMCY 0x8140)."""
        if off and not self.bus_off:
            self._say.clear()
            self.application.lost_communication(0x8140)
        elif self.bus_off and not off:
            self.emergencies.report(0x8140)
            self.emergencies.settle(0x8140)
        self.bus_off = off

    @property
    def live(self) -> bool:
        """It has power, has booted and is on the bus."""
        return self.powered and not self.bus_off and self.nmt is not Nmt.INITIALISING

    # -- the tick ------------------------------------------------------------------------------------------------

    def tick(self, t_ns: int) -> None:
        """Timers: boot-up, heartbeats, deadlines, event-driven PDOs."""
        if not self.powered:
            return
        if self.nmt is Nmt.INITIALISING:
            if t_ns < self._boot_at:
                return
            self.nmt = Nmt.PRE_OPERATIONAL
            self._beat_at = t_ns
            self._say.append((0x700 + self.id, b"\0"))
        if self.bus_off:
            return
        if self._beat_ns and t_ns >= self._beat_at:
            self._beat_at = max(self._beat_at + self._beat_ns, t_ns + 1)
            self._say.append((0x700 + self.id, bytes((self.nmt,))))
        self._watch(t_ns)
        if self.nmt is Nmt.OPERATIONAL:
            for tpdo in self.tpdos:
                frame = tpdo.tick(t_ns)
                if frame is not None:
                    self._say.append(frame)

    def hear(self, frame: Frame, t_ns: int) -> None:
        """A frame is complete on the bus."""
        can_id, data = frame
        if 0x180 < can_id < 0x580 and can_id not in self._pdo_ids:
            return
        if not self.live:
            return
        if can_id == 0x80:
            self._sync(t_ns)
        elif can_id == 0:
            if len(data) == 2 and data[1] in (0, self.id):
                self._command(data[0], t_ns)
        elif can_id == 0x600 + self.id:
            if self.nmt is not Nmt.STOPPED:
                reply = self.sdo.request(data)
                if reply is not None:
                    self._say.append((0x580 + self.id, reply))
        elif 0x701 <= can_id <= 0x77F:
            self._heartbeat(can_id - 0x700, t_ns)
        elif self.nmt is Nmt.OPERATIONAL:
            for rpdo in self.rpdos:
                if rpdo.valid and rpdo.cob_id == can_id:
                    code = rpdo.receive(data, t_ns)
                    if code:
                        self.emergencies.report(code)
                    else:
                        self.emergencies.settle(0x8210, 0x8220, 0x8250)

    def collect(self, t_ns: int) -> list[Frame]:
        """What it wants to send since it was asked last."""
        if self.nmt in (Nmt.PRE_OPERATIONAL, Nmt.OPERATIONAL) and self.powered and not self.bus_off:
            frame = self.emergencies.tick(t_ns)
            if frame is not None:
                self._say.append(frame)
        if not self._say:
            return []
        out, self._say = self._say, []
        return out

    # -- parts ---------------------------------------------------------------------------------------------------

    def _sync(self, t_ns: int) -> None:
        self._sync_ns = t_ns
        self.emergencies.settle(0x8700)
        if self.nmt is not Nmt.OPERATIONAL:
            return
        for rpdo in self.rpdos:
            rpdo.sync()
        for tpdo in self.tpdos:
            frame = tpdo.sync(t_ns)
            if frame is not None:
                self._say.append(frame)

    def _command(self, command: int, t_ns: int) -> None:
        if command in (0x81, 0x82):
            self.reset(t_ns, communication_only=command == 0x82)
            return
        state = {0x01: Nmt.OPERATIONAL, 0x02: Nmt.STOPPED, 0x80: Nmt.PRE_OPERATIONAL}.get(command)
        if state is not None:
            self._enter(state)

    def _enter(self, state: Nmt) -> None:
        left = self.nmt is Nmt.OPERATIONAL and state is not Nmt.OPERATIONAL
        if state is Nmt.OPERATIONAL and self.nmt is not Nmt.OPERATIONAL:
            for tpdo in self.tpdos:
                tpdo.reset()
            for rpdo in self.rpdos:
                rpdo.reset()
            self._sync_ns = -1
        self.nmt = state
        if left:
            self.application.lost_communication(0)

    def _heartbeat(self, node: int, t_ns: int) -> None:
        if any(consumed == node for consumed, _ in self._consumers):
            self._heard[node] = t_ns
            self.emergencies.settle(0x8130)

    def _watch(self, t_ns: int) -> None:
        """Heartbeats consumed (from the first one heard on), RPDO deadlines, SYNC."""
        for node, limit in self._consumers:
            heard = self._heard.get(node, -1)
            if heard >= 0 and t_ns - heard >= limit:
                del self._heard[node]
                self.emergencies.report(0x8130, bytes((node,)))
                frame = self.emergencies.tick(t_ns)  # now: it may be STOPPED in a moment
                if frame is not None:
                    self._say.append(frame)
                self.application.lost_communication(0x8130)
                behaviour = self.dictionary.number(0x1029, 1)
                if self.nmt is Nmt.OPERATIONAL and behaviour != 1:
                    self._enter(Nmt.PRE_OPERATIONAL if behaviour == 0 else Nmt.STOPPED)
        if self.nmt is not Nmt.OPERATIONAL:
            return
        for k, rpdo in enumerate(self.rpdos):
            if rpdo.overdue(t_ns) and rpdo.valid:
                self.emergencies.report(0x8250, bytes((k + 1,)))
                self.application.lost_communication(0x8250)
        if self._sync_limit_ns and self._sync_ns >= 0 and t_ns - self._sync_ns > self._sync_limit_ns:
            self._sync_ns = -1
            self.emergencies.report(0x8700)
            self.application.lost_communication(0x8700)

    def _apply(self, key: int, value: int) -> None:
        """An RPDO writes an object: what an SDO would be refused is not taken."""
        entry = self.dictionary.entries[key]
        if (entry.high is not None and value > entry.high) or (entry.low is not None and value < entry.low):
            return
        self.dictionary.values[key] = value
        self.application.applied(key, value)
