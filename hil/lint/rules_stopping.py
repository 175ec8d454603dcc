"""How old data may become, and how far the arm moves on before it stands."""

from __future__ import annotations

from collections.abc import Iterator

from hil.cell.devices import CobotRobot
from hil.lint.base import Hit, Rule, Said, Severity, above, not_below
from hil.lint.facts import Facts


def _brake_beyond_margin(f: Facts) -> Iterator[Hit]:
    if f.cell.safety.braking_distance:
        return
    remedy = "say braking_distance: true, raise brake_damping or position_margin, or lower qd_max"
    what = "from the speed limit to a standstill"
    said = Said(("safety", "braking_distance"), "rad", what, "within position_margin,", remedy)
    yield from above(said, f.distances, _margin(f))


def _speed_never_reached(f: Facts) -> Iterator[Hit]:
    room = (0.5 * (f.limits.q_max - f.limits.q_min) - f.cell.safety.position_margin).tolist()
    remedy = "lower overrides.qd_max, or raise safety.brake_damping: the arm could not even stop from mid range"
    said = Said(f.at("qd_max"), "rad", "from there to a standstill", "less than half the range,", remedy)
    yield from not_below(said, f.distances, room)


def _stop_takes_too_long(f: Facts) -> Iterator[Hit]:
    remedy = "raise safety.brake_damping, or lower overrides.qd_max: the power would go while the arm still moves"
    said = Said(("safety", "brake_damping"), "s", "from the speed limit to a standstill", "within", remedy)
    yield from above(said, [stop.duration for stop in f.stops], [f.stop_params.timeout] * f.n)


def _age_below_period(f: Facts) -> Iterator[Hit]:
    age, cycle = f.cell.safety.max_age_ms, 1e3 * f.period
    if not age >= cycle:
        remedy = "raise safety.max_age_ms: the gate would refuse to answer whenever one packet is missing"
        yield Hit(("safety", "max_age_ms"), f"{age:g} ms", f"at least a cycle, {cycle:g} ms", remedy)


def _blind_beyond_margin(f: Facts) -> Iterator[Hit]:
    remedy = "lower safety.max_age_ms (three cycles count at least) or qd_max, or raise position_margin"
    what = f"at the speed limit, in the {f.oldest * 1e3:g} ms that data may be old"
    said = Said(("safety", "max_age_ms"), "rad", what, "within position_margin,", remedy)
    yield from above(said, [f.oldest * speed for speed in f.speed], _margin(f))


def _watchdog_beyond_margin(f: Facts) -> Iterator[Hit]:
    if not isinstance(f.cell.robot, CobotRobot):
        return
    silence = f.cell.robot.can.heartbeat_ms
    remedy = "lower robot.can.heartbeat_ms or qd_max, or raise safety.position_margin"
    what = f"at the speed limit, in the {silence} ms until the drives notice our silence"
    said = Said(("robot", "can", "heartbeat_ms"), "rad", what, "within position_margin,", remedy)
    yield from above(said, [1e-3 * silence * speed for speed in f.speed], _margin(f))


def _heartbeat_below_cycle(f: Facts) -> Iterator[Hit]:
    if not isinstance(f.cell.robot, CobotRobot):
        return
    can = f.cell.robot.can
    if can.heartbeat_ms // 3 < can.cycle_ms:
        expected = f"three cycles or more, {3 * can.cycle_ms} ms"
        remedy = "raise robot.can.heartbeat_ms: we send a heartbeat three times in it, and at most one a cycle"
        yield Hit(("robot", "can", "heartbeat_ms"), f"{can.heartbeat_ms} ms", expected, remedy)


def _sensor_age_below_rate(f: Facts) -> Iterator[Hit]:
    age = f.cell.safety.sensor_max_age_ms
    for i, sensor in enumerate(f.cell.sensors):
        if not age >= 2e3 / sensor.rate:
            expected = f"at least two samples of sensors[{i}], {2e3 / sensor.rate:g} ms"
            remedy = "raise safety.sensor_max_age_ms, or the sensor's rate"
            yield Hit(("safety", "sensor_max_age_ms"), f"{age:g} ms", expected, remedy)


def _margin(f: Facts) -> list[float]:
    return [f.cell.safety.position_margin] * f.n


_E, _W = Severity.ERROR, Severity.WARNING

RULES = (
    Rule("brake-beyond-margin", _E,
         "Where the braking distance is not watched, the arm can stop from its speed limit within position_margin.",
         _brake_beyond_margin),
    Rule("speed-never-reached", _W, "From its speed limit in the middle of its range a joint can stop before the end.",
         _speed_never_reached),
    Rule("stop-takes-too-long", _E, "A controlled stop from the speed limit ends before it is given up.",
         _stop_takes_too_long),
    Rule("age-below-period", _E, "The age limit of the robot's data is not below its cycle.", _age_below_period),
    Rule("blind-beyond-margin", _E, "While data may be old, no joint moves farther than position_margin.",
         _blind_beyond_margin),
    Rule("watchdog-beyond-margin", _E, "Until the drives notice that we are gone, no joint moves farther than "
         "position_margin.", _watchdog_beyond_margin),
    Rule("heartbeat-below-cycle", _E, "The drives' heartbeat time holds three cycles.", _heartbeat_below_cycle),
    Rule("sensor-age-below-rate", _E, "The age limit of the wrench holds two samples of the sensor.",
         _sensor_age_below_rate),
)  # fmt: skip
