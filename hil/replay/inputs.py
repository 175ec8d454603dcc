"""What the checks of each cycle were given, read from the rows of a log: samples, device health, commands, requests."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt

from drivers.contract import (
    ArmState,
    Array,
    DeviceProblem,
    LinkHealth,
    OperationMode,
    ProblemKind,
    RobotSample,
    SafetyState,
    TorqueCommand,
    WrenchSample,
)
from hil.control.shown import Shown
from hil.telemetry.log import Log
from hil.telemetry.row import CYCLE, FIELDS
from hil.telemetry.schema import Event
from safety.faults import FaultCode, FaultReport, Findings

_NAMES = """
    tick t_ns arm_seq arm_valid arm_fresh arm_age_ns arm_state arm_dt q qd qdd tau tau_ext_robot tau_accepted_lo
    tau_accepted_hi q_ref_accepted tau_wanted tau_cmd q_ref_cmd limited tau_ext tau_ext_sd wrench_est wrench_est_sd
    wrench_ft ft_raw ft_seq ft_valid ft_fresh ft_age_ns nis safety_state fault stop_category quality tracking gaps
    payload kp tau_ff tau_ff_sd ff_fallback
    asked tau_asked q_ref_asked judged_ns compared robot_safety robot_mode drives_on
"""
NEEDED = tuple(_NAMES.split())
"""Fields of ``/cycle`` that a replay reads."""


class ReplayError(ValueError):
    """The log cannot be replayed; the message says what is missing and what can be done."""


class Inputs:
    """Row by row what the supervisor was given, and what it decided then."""

    def __init__(self, log: Log) -> None:
        """Raises ReplayError for a log that does not hold what the checks were given."""
        names = log.cycle.dtype.names or ()
        missing = [name for name in NEEDED if name not in names]
        if missing:
            known = {field.name for field in FIELDS if field.channel == CYCLE}
            version = log.meta("versions", "hil-lab") or "an unknown version"
            assert known.issuperset(NEEDED)
            raise ReplayError(
                f"{log.path} was written by {version} and does not hold what the checks were given: "
                f"{', '.join(missing)}. Logs of that age can be read and explained, not replayed; record anew"
            )
        if log.every > 1:
            raise ReplayError(f"only each {log.every}th row was read; a replay needs all of them")
        if not len(log.cycle):
            raise ReplayError(f"{log.path} holds no rows to replay")
        self.log = log
        self._c: dict[str, npt.NDArray[Any]] = {name: np.ascontiguousarray(log.cycle[name]) for name in NEEDED}
        self.count = len(log.cycle)
        self.n = self._c["q"].shape[1]
        self.tick, self.t_ns = self._c["tick"], self._c["t_ns"]
        self._asks: dict[int, list[Event]] = defaultdict(list)
        self._faults: dict[int, list[FaultReport]] = defaultdict(list)
        self._errors: dict[int, str] = {}
        self._off: list[int] = []
        self._acknowledged: list[int] = []
        self._problems: list[tuple[int, tuple[DeviceProblem, ...]]] = []
        for event in log.events:
            self._take(event)

    def _take(self, event: Event) -> None:
        data = event.data
        if event.kind == "ask":
            self._asks[event.tick].append(event)
            if data.get("verb") == "acknowledge":
                self._acknowledged.append(event.tick)
        elif event.kind == "fault" and (report := _report(data, event.tick, event.t_ns)) is not None:
            self._faults[event.tick].append(report)
        elif event.kind == "error":
            self._errors.setdefault(event.tick, event.text.strip().splitlines()[-1])
        elif event.kind == "off":
            self._off.append(event.tick)
        elif event.kind == "problems":
            self._problems.append((event.tick, tuple(map(_problem, data.get("problems", ())))))

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """The column of a needed field, one value for each row."""
        return self._c[name]

    def asks(self, tick: int) -> list[Event]:
        """What was asked for between the cycle ``tick`` and the next."""
        return self._asks.get(tick, [])

    def faults(self, tick: int) -> list[FaultReport]:
        """The faults that were latched in this cycle, or between it and the next."""
        return self._faults.get(tick, [])

    def latched(self, tick: int) -> list[FaultReport]:
        """Everything that was latched at the end of this cycle."""
        since = max((t for t in self._acknowledged if t < tick), default=-1)
        return [fault for t in sorted(self._faults) if since < t <= tick for fault in self._faults[t]]

    def went_off(self, since: int, tick: int) -> bool:
        """Whether the power was taken away from cycle ``since`` to ``tick``."""
        return any(since <= t <= tick for t in self._off)

    def error(self, tick: int) -> str:
        """The exception that a part raised in this cycle; empty for none."""
        return self._errors.get(tick, "")

    def sample(self, k: int) -> RobotSample:
        """The arm's sample of row ``k``."""
        c = self._c
        return RobotSample(
            t_ns=int(c["t_ns"][k]),
            seq=int(c["arm_seq"][k]),
            valid=bool(c["arm_valid"][k]),
            fresh=bool(c["arm_fresh"][k]),
            age_ns=int(c["arm_age_ns"][k]),
            dt=float(c["arm_dt"][k]),
            q=c["q"][k],
            qd=c["qd"][k],
            qdd=c["qdd"][k],
            tau=c["tau"][k],
            tau_ext_robot=c["tau_ext_robot"][k],
            q_set=np.full(self.n, math.nan),
            tau_accepted_lo=c["tau_accepted_lo"][k],
            tau_accepted_hi=c["tau_accepted_hi"][k],
            q_ref_accepted=c["q_ref_accepted"][k],
            state=ArmState(int(c["arm_state"][k])),
        )

    def wrench(self, k: int) -> WrenchSample:
        """The wrench sensor's sample of row ``k``."""
        c = self._c
        return WrenchSample(
            t_ns=int(c["t_ns"][k]),
            seq=int(c["ft_seq"][k]),
            valid=bool(c["ft_valid"][k]),
            fresh=bool(c["ft_fresh"][k]),
            age_ns=int(c["ft_age_ns"][k]),
            wrench=c["ft_raw"][k],
        )

    def health(self, k: int) -> LinkHealth:
        """The state of the arm's link in row ``k``, as far as the checks look at it."""
        c, tick = self._c, int(self.tick[k])
        drives = int(c["drives_on"][k])
        problems = next((found for t, found in reversed(self._problems) if t <= tick), ())
        return LinkHealth(
            gaps=int(c["gaps"][k]),
            quality=float(c["quality"][k]),
            tracking=float(c["tracking"][k]),
            safety=SafetyState(int(c["robot_safety"][k])),
            mode=OperationMode(int(c["robot_mode"][k])),
            drives_on=None if drives < 0 else bool(drives),
            problems=problems,
        )

    def asked(self, k: int) -> TorqueCommand | None:
        """What a controller or a program asked for in row ``k``."""
        c = self._c
        return TorqueCommand(c["tau_asked"][k], c["q_ref_asked"][k]) if c["asked"][k] else None

    def estimate(self, k: int) -> tuple[Array, Array, float]:
        """External torque (n,), its covariance (n, n) without what lies beside the diagonal, NIS."""
        c = self._c
        return c["tau_ext"][k], np.diag(c["tau_ext_sd"][k] ** 2), float(c["nis"][k])

    def contact(self, k: int) -> tuple[Array, Array]:
        """Contact wrench (6,) by the observer, and its covariance (6, 6) likewise."""
        c = self._c
        return c["wrench_est"][k], np.diag(c["wrench_est_sd"][k] ** 2)

    def shown(self, k: int) -> Shown | None:
        """What a controller with a learnt feed-forward showed; None where none ran."""
        c = self._c
        kp, sd, unknown = c["kp"][k], c["tau_ff_sd"][k], np.full(c["kp"].shape[1], math.nan)
        if not np.isfinite(kp).any():
            return None
        return Shown(c["tau_ff"][k], sd, unknown, kp, unknown, math.nan, False, False, bool(c["ff_fallback"][k]))


def _report(data: dict[str, Any], tick: int, t_ns: int) -> FaultReport | None:
    try:
        code = FaultCode(data.get("code"))
    except ValueError:
        return None
    found = Findings(tick, t_ns)
    joint, detail = data.get("joint"), data.get("detail")
    value, limit = (math.nan if data.get(k) is None else float(data[k]) for k in ("value", "limit"))
    found.add(code, value, limit, joint if isinstance(joint, int) else None, detail if isinstance(detail, str) else "")
    return found.reports[0]


def reports(told: list[dict[str, Any]], tick: int, t_ns: int) -> list[FaultReport]:
    """The faults that somebody latched from outside, as the log tells them."""
    return [report for data in told if (report := _report(data, tick, t_ns)) is not None]


def _problem(data: dict[str, Any]) -> DeviceProblem:
    joint = data.get("joint")
    return DeviceProblem(
        ProblemKind[data["kind"]], str(data["part"]), str(data["text"]), str(data["remedy"]),
        joint if isinstance(joint, int) else None,
    )  # fmt: skip
