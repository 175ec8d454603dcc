"""The arm's limits against one another, its data sheet and its weight."""

from __future__ import annotations

from collections.abc import Iterator

from hil.cell.devices import CobotRobot
from hil.lint.base import Hit, Rule, Said, Severity, above, below, named, not_below, where
from hil.lint.facts import Facts


def _rate_beyond_range(f: Facts) -> Iterator[Hit]:
    step = [rate * f.period for rate in f.limit("tau_rate_max")]
    whole = [2.0 * tau for tau in f.limit("tau_cmd_max")]
    remedy = "lower overrides.tau_rate_max: as it is, the limit never binds"
    said = Said(f.at("tau_rate_max"), "N·m", "in one cycle", "less than the whole torque range,", remedy)
    yield from not_below(said, step, whole)


def _window_never_acts(f: Facts) -> Iterator[Hit]:
    by_rate = [1.25 * rate * f.limits.window for rate in f.limit("tau_rate_max")]
    remedy = "lower overrides.tau_window_max to tau_rate_max · window, so that extra cycles cannot beat the rate limit"
    said = Said(f.at("tau_window_max"), "N·m", "", "at most what the rate allows in the window,", remedy)
    yield from above(said, f.limit("tau_window_max"), by_rate)


def _window_below_cycle(f: Facts) -> Iterator[Hit]:
    step = [rate * f.period for rate in f.limit("tau_rate_max")]
    remedy = "raise tau_window_max, or lower tau_rate_max, which one cycle could never use"
    said = Said(f.at("tau_window_max"), "N·m", "", "at least what the rate allows in one cycle,", remedy)
    yield from below(said, f.limit("tau_window_max"), step)


def _window_too_short(f: Facts) -> Iterator[Hit]:
    if f.limits.window < 2.0 * f.period:
        remedy = "raise overrides.window: it must hold at least two commands to see anything"
        yield Hit(f.at("window"), f"{f.limits.window:g} s", f"at least two cycles, {2.0 * f.period:g} s", remedy)


def _command_beyond_total(f: Facts) -> Iterator[Hit]:
    total = [tau * (1.0 - f.limits.total_margin) for tau in f.limit("tau_max")]
    remedy = "lower overrides.tau_cmd_max; the limit of the total always comes first"
    said = Said(f.at("tau_cmd_max"), "N·m", "", "at most tau_max (1 − total_margin),", remedy)
    yield from above(said, f.limit("tau_cmd_max"), total)


def _weight_beyond_limit(f: Facts) -> Iterator[Hit]:
    name = "tau_cmd_max" if f.own_weight else "tau_max"
    margin = 0.0 if f.own_weight else f.limits.total_margin
    bound = [tau * (1.0 - margin) for tau in f.limit(name)]
    remedy = f"raise {name} as far as the data sheet allows, name another posture, or take a lighter tool"
    for posture, weight in f.weights.items():
        size = [abs(tau) for tau in weight]
        said = Said(f.at(name), "N·m", f"of weight in {posture}", f"less than {name},", remedy)
        yield from not_below(said, size, bound)


def _measured_below_weight(f: Facts) -> Iterator[Hit]:
    share = f.cell.safety.torque_fraction
    bound = [share * tau for tau in f.limit("tau_max")]
    remedy = "raise safety.torque_fraction: the arm would be stopped for carrying itself"
    said = Said(("safety", "torque_fraction"), "N·m", "of weight at home", "less than this share of tau_max,", remedy)
    yield from not_below(said, [abs(tau) for tau in f.weight], bound)


def _reference_below_speed(f: Facts) -> Iterator[Hit]:
    remedy = (
        "raise overrides.q_ref_rate_max, or lower qd_max: the position reference follows the arm, so the gate would "
        "refuse an arm at a speed that is allowed"
    )
    said = Said(f.at("q_ref_rate_max"), "rad/s", "", "at least the speed limit,", remedy)
    yield from below(said, f.limit("q_ref_rate_max"), f.speed)


def _reference_step_beyond_distance(f: Facts) -> Iterator[Hit]:
    step = [rate * f.period for rate in f.limit("q_ref_rate_max")]
    remedy = "raise overrides.q_ref_distance_max, or lower q_ref_rate_max: one allowed step is already too far"
    said = Said(f.at("q_ref_distance_max"), "rad", "", "at least one step at q_ref_rate_max,", remedy)
    yield from below(said, f.limit("q_ref_distance_max"), step)


def _margin_eats_range(f: Facts) -> Iterator[Hit]:
    room = (f.limits.q_max - f.limits.q_min).tolist()
    remedy = "lower safety.position_margin, or widen overrides.q_min … q_max: no position would be allowed"
    said = Said(("safety", "position_margin"), "rad", "at both ends together", "less than the range of", remedy)
    yield from not_below(said, [2.0 * f.cell.safety.position_margin] * f.n, room)


def _home_in_margin(f: Facts) -> Iterator[Hit]:
    margin, home = f.cell.safety.position_margin, f.cell.robot.home
    low, high = (f.limits.q_min + margin).tolist(), (f.limits.q_max - margin).tolist()
    if bad := where(not a < q < b for q, a, b in zip(home, low, high, strict=True)):
        allowed = ", ".join(f"A{j + 1} {low[j]:.4g} … {high[j]:.4g} rad" for j in bad)
        remedy = "move home, or lower safety.position_margin: the arm would be stopped where its motions start"
        yield Hit(("robot", "home"), named(bad, home, "rad"), f"within {allowed}", remedy)


def _beyond_drive_rating(f: Facts) -> Iterator[Hit]:
    robot = f.cell.robot
    if not isinstance(robot, CobotRobot):
        return
    rated = [1e-3 * drive.rated_torque_mNm * drive.gear * drive.efficiency for drive in robot.can.drives]
    remedy = "lower overrides.tau_cmd_max, or correct the drive's nameplate"
    said = Said(f.at("tau_cmd_max"), "N·m", "", "at most the drive's rated torque times gear,", remedy)
    yield from above(said, f.limit("tau_cmd_max"), rated)


_E, _W = Severity.ERROR, Severity.WARNING

RULES = (
    Rule("rate-beyond-range", _E, "The torque that one cycle may change is less than the whole range of torque.",
         _rate_beyond_range),
    Rule("window-never-acts", _W, "The torque limit of the window is not above what the rate limit allows in it.",
         _window_never_acts),
    Rule("window-below-cycle", _E, "The torque limit of the window leaves room for one cycle at the rate limit.",
         _window_below_cycle),
    Rule("window-too-short", _E, "The window of torque changes spans at least two cycles.", _window_too_short),
    Rule("command-beyond-total", _W, "The largest command lies within the largest total torque.",
         _command_beyond_total),
    Rule("weight-beyond-limit", _E, "In every posture that the file names the arm can carry its own weight and tool.",
         _weight_beyond_limit),
    Rule("measured-below-weight", _E, "The measured torque may be larger than the weight of the arm at home.",
         _measured_below_weight),
    Rule("reference-below-speed", _E, "The position reference may move as fast as the arm may.",
         _reference_below_speed),
    Rule("reference-step-beyond-distance", _E, "One step of the position reference stays within its distance.",
         _reference_step_beyond_distance),
    Rule("margin-eats-range", _E, "The margins at both ends leave a range of positions.", _margin_eats_range),
    Rule("home-in-margin", _E, "Home lies within the range that the state checks allow.", _home_in_margin),
    Rule("beyond-drive-rating", _E, "No drive is asked for more than its rated torque times gear.",
         _beyond_drive_rating),
)  # fmt: skip
