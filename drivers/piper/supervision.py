"""What is wrong with the arm, from what it says and from its silence; each problem lasts as long as its cause."""

from __future__ import annotations

from drivers.can.bus import Bus
from drivers.contract import DeviceProblem, ProblemKind
from drivers.piper.codec import ARM_STATUS, CONTROL_CAN, CONTROL_MODES, MOVE_MIT, N
from drivers.piper.feedback import Feedback

ERROR_FRAMES = 10
"""Error frames within :data:`MEMORY_NS` that are a disturbed line."""
MEMORY_NS = 1_000_000_000
EMERGENCY_STOP = 1
_GUIDED = (2, 6)
"""Control modes in which a person's hand or another arm leads."""
_TARGET_STATES = (0, 2, 3, 4)
"""States of the arm that are about targets of positions, which are none of a torque's business."""
_RESUME = (
    "support the arm, then resume it with its maker's tool: at that moment it drops, for its joints are switched off; "
    "this program never resumes it"
)


class Supervision:
    """The watch over one arm; :attr:`problems` is what :class:`drivers.contract.LinkHealth` tells."""

    def __init__(self, bus: Bus, silent_ns: int, now_ns: int) -> None:
        self._bus, self._silent_ns, self._since_ns = bus, silent_ns, now_ns
        self.problems: tuple[DeviceProblem, ...] = ()
        self._window_ns = now_ns
        self._errors = self._errors_before = 0
        self._commands = 0
        self._foreign_ns = -1

    def check(self, now_ns: int, heard: Feedback, torque: bool, ours: bool) -> None:
        """Judge the arm; ``torque``: it is under torque by MIT frames, so it must be in that mode and enabled.
        ``ours``: it is or was led by us since it was opened; if not, nobody may have left it under torque."""
        found: list[DeviceProblem] = []
        bus = self._bus
        if bus.lost:
            remedy = "plug the adapter in, then connect again"
            found.append(DeviceProblem(ProblemKind.ADAPTER_LOST, bus.name, bus.lost, remedy))
        else:
            self._silence(now_ns, heard, found)
        self._states(heard, torque, found)
        status = heard.status
        if not ours and status is not None and status.move == MOVE_MIT and any(heard.enabled):
            text = "was left under torque, which goes on"
            remedy = "press its emergency stop, or let its maker's tool hold it"
            found.append(DeviceProblem(ProblemKind.NODE_STATE, "arm", text, remedy))
        self._line(now_ns, heard, found)
        if found or self.problems:
            self.problems = tuple(found)

    def _silence(self, now_ns: int, heard: Feedback, found: list[DeviceProblem]) -> None:
        if now_ns - max(heard.set_ns, self._since_ns) <= self._silent_ns:
            return
        ages = [now_ns - max(at, self._since_ns) for at in heard.heard_ns]
        if min(ages) > self._silent_ns:
            text = f"no feedback for {min(ages) * 1e-6:.0f} ms, expected every 5 ms"
            remedy = "check its supply and the cable; an arm that was made a master sends none until it is plugged anew"
            found.append(DeviceProblem(ProblemKind.NODE_LOST, "arm", text, remedy))
            return
        silent = [joint for joint in range(N) if max(ages[joint // 2], ages[3 + joint]) > self._silent_ns]
        for joint in silent:
            text = f"no feedback of this joint for {max(ages[joint // 2], ages[3 + joint]) * 1e-6:.0f} ms"
            remedy = "check the joint with its maker's tool"
            found.append(DeviceProblem(ProblemKind.NODE_LOST, f"joint {joint + 1}", text, remedy, joint))
        if not silent:
            text = "its feedback arrives in pieces: no whole set within a period"
            found.append(DeviceProblem(ProblemKind.BUS, "arm", text, "check the cable and both terminating resistors"))

    def _states(self, heard: Feedback, torque: bool, found: list[DeviceProblem]) -> None:
        status = heard.status
        if status is not None:
            name = ARM_STATUS.get(status.arm, f"state {status.arm}")
            if status.arm == EMERGENCY_STOP:
                found.append(DeviceProblem(ProblemKind.NODE_STATE, "arm", f"reports {name}", _RESUME))
            elif status.arm not in _TARGET_STATES:
                remedy = "look at the arm; read the error with its maker's tool"
                found.append(DeviceProblem(ProblemKind.DRIVE_FAULT, "arm", f"reports: {name}", remedy))
            control = status.control
            if control in _GUIDED or (torque and (control != CONTROL_CAN or status.move != MOVE_MIT)):
                mode = CONTROL_MODES[control] if control < len(CONTROL_MODES) else str(control)
                text = f"is controlled by {mode} in move mode {status.move}, expected CAN and 4 (MIT)"
                remedy = "end teaching (its button) and every other program that controls the arm"
                found.append(DeviceProblem(ProblemKind.NODE_STATE, "arm", text, remedy))
            for joint in range(N):
                if status.lost >> joint & 1:
                    text, remedy = "the arm's controller does not hear it", "check the joint with its maker's tool"
                    found.append(DeviceProblem(ProblemKind.NODE_LOST, f"joint {joint + 1}", text, remedy, joint))
        for joint, driver in enumerate(heard.drivers):
            if driver is None:
                continue
            part = f"joint {joint + 1}"
            if faults := driver.faults:
                remedy = "look at the arm, let it cool, check its supply"
                found.append(DeviceProblem(ProblemKind.DRIVE_FAULT, part, ", ".join(faults), remedy, joint))
            if torque and not driver.enabled:
                text, remedy = "is switched off, expected enabled", "support the arm; find out what switched it off"
                found.append(DeviceProblem(ProblemKind.NODE_STATE, part, text, remedy, joint))

    def _line(self, now_ns: int, heard: Feedback, found: list[DeviceProblem]) -> None:
        errors = heard.rejected.get("error_frame", 0)
        if now_ns - self._window_ns > MEMORY_NS:
            self._errors_before, self._window_ns = self._errors, now_ns
            self._errors = errors
        if errors - self._errors_before >= ERROR_FRAMES:
            remedy = "check the cable, both terminating resistors and the bit rate (1 Mbit/s)"
            found.append(DeviceProblem(ProblemKind.BUS, "error frames", f"{errors} error frames so far", remedy))
        if heard.commands_seen > self._commands and not self._bus.echoes:
            self._foreign_ns = now_ns
        self._commands = heard.commands_seen
        if self._foreign_ns >= 0 and now_ns - self._foreign_ns <= MEMORY_NS:
            text = "commands to the arm that this program did not send"
            remedy = "end the other program that drives this arm"
            found.append(DeviceProblem(ProblemKind.BUS, "another master", text, remedy))
