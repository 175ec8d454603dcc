"""``hil lint``: each rule trips where it should, does not right beside it, and the shipped cells are clean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from lint_cells import changed, shipped
from typer.testing import CliRunner

from hil.cell import shipped_cells
from hil.cell.source import read_source
from hil.cli.cells import check
from hil.cli.lint import lint as lint_command
from hil.lint import RULES, Severity, lint, page
from hil.lint.base import named

IIWA, COBOT, PIPER = "iiwa14_polish", "cobot", "piper"
OVER = "robot.limits.overrides."
BOX = {"min": [0.2, -0.4, 0.1], "max": [0.8, 0.4, 0.9]}

Case = tuple[str, dict[str, Any]]
CASES: dict[str, tuple[Case, Case, str]] = {
    # by rule: a cell that trips it, one beside it that does not, the key that is named
    "rate-beyond-range": (
        (COBOT, {OVER + "tau_cmd_max": [1.5, 135, 90, 31.5, 31.5, 22.5]}),
        (COBOT, {OVER + "tau_cmd_max": [1.51, 135, 90, 31.5, 31.5, 22.5]}),
        "robot.limits.preset",
    ),
    "window-never-acts": (
        (IIWA, {OVER + "tau_rate_max": [799, 1000, 1000, 1000, 500, 300, 300]}),
        (IIWA, {OVER + "tau_rate_max": [801, 1000, 1000, 1000, 500, 300, 300]}),
        "robot.limits.preset",
    ),
    "window-below-cycle": (
        (IIWA, {OVER + "tau_window_max": [0.99, 20, 20, 20, 10, 6, 6]}),
        (IIWA, {OVER + "tau_window_max": [1.01, 20, 20, 20, 10, 6, 6]}),
        "robot.limits.overrides.tau_window_max",
    ),
    "window-too-short": (
        (COBOT, {"robot.can.cycle_ms": 11}),
        (COBOT, {"robot.can.cycle_ms": 10}),
        "robot.limits.preset",
    ),
    "command-beyond-total": (
        (IIWA, {OVER + "total_margin": 0.51}),
        (IIWA, {OVER + "total_margin": 0.5}),
        "robot.limits.preset",
    ),
    "weight-beyond-limit": (
        (IIWA, {"tool.mass": 19.0, "tool.com": [0.2, 0.0, 0.06]}),
        (IIWA, {"tool.mass": 18.0, "tool.com": [0.2, 0.0, 0.06]}),
        "robot.limits.preset",
    ),
    "measured-below-weight": (
        (IIWA, {"safety.torque_fraction": 0.05}),
        (IIWA, {"safety.torque_fraction": 0.5}),
        "safety.torque_fraction",
    ),
    "reference-below-speed": (
        (IIWA, {OVER + "q_ref_rate_max": [1.19, 1.2, 1.4, 1.1, 1.8, 1.9, 1.9]}),
        (IIWA, {OVER + "q_ref_rate_max": [1.2, 1.2, 1.4, 1.1, 1.8, 1.9, 1.9]}),
        "robot.limits.overrides.q_ref_rate_max",
    ),
    "reference-step-beyond-distance": (
        (IIWA, {OVER + "q_ref_distance_max": [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0023]}),
        (IIWA, {OVER + "q_ref_distance_max": [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0024]}),
        "robot.limits.overrides.q_ref_distance_max",
    ),
    "margin-eats-range": (
        (IIWA, {OVER + "q_min": [-0.4, -2, -2.9, -2, -2.9, -2, -3], OVER + "q_max": [0.4, 2, 2.9, 2, 2.9, 2, 3],
                "safety.position_margin": 0.4}),
        (IIWA, {OVER + "q_min": [-0.4, -2, -2.9, -2, -2.9, -2, -3], OVER + "q_max": [0.4, 2, 2.9, 2, 2.9, 2, 3],
                "safety.position_margin": 0.39}),
        "safety.position_margin",
    ),
    "home-in-margin": (
        (IIWA, {OVER + "q_max": [2.9, 0.56, 2.9, 2, 2.9, 2, 3]}),
        (IIWA, {OVER + "q_max": [2.9, 0.57, 2.9, 2, 2.9, 2, 3]}),
        "robot.home",
    ),
    "beyond-drive-rating": (
        (COBOT, {"robot.can.drives.5.rated_torque_mNm": 222}),
        (COBOT, {"robot.can.drives.5.rated_torque_mNm": 223}),
        "robot.limits.preset",
    ),
    "brake-beyond-margin": (
        (IIWA, {"safety.braking_distance": False, "safety.position_margin": 0.05}),
        (IIWA, {"safety.braking_distance": False, "safety.position_margin": 0.25}),
        "safety.braking_distance",
    ),
    "speed-never-reached": (
        (IIWA, {OVER + "q_min": [-2.9, 0.40, -2.9, -2, -2.9, -2, -3], OVER + "q_max": [2.9, 0.70, 2.9, 2, 2.9, 2, 3]}),
        (IIWA, {OVER + "q_min": [-2.9, 0.35, -2.9, -2, -2.9, -2, -3], OVER + "q_max": [2.9, 0.85, 2.9, 2, 2.9, 2, 3]}),
        "robot.limits.overrides.qd_max",
    ),
    "stop-takes-too-long": (
        (PIPER, {OVER + "tau_rate_max": [0.02, 160, 160, 60, 60, 60]}),
        (PIPER, {OVER + "tau_rate_max": [20, 160, 160, 60, 60, 60]}),
        "safety.brake_damping",
    ),
    "age-below-period": (
        (PIPER, {"safety.max_age_ms": 4.9}),
        (PIPER, {"safety.max_age_ms": 5.0}),
        "safety.max_age_ms",
    ),
    "blind-beyond-margin": (
        (IIWA, {"safety.max_age_ms": 9.2}),
        (IIWA, {"safety.max_age_ms": 9.1}),
        "safety.max_age_ms",
    ),
    "watchdog-beyond-margin": (
        (COBOT, {"safety.position_margin": 0.099}),
        (COBOT, {"robot.can.heartbeat_ms": 49, "safety.position_margin": 0.099}),
        "robot.can.heartbeat_ms",
    ),
    "heartbeat-below-cycle": (
        (COBOT, {"robot.can.cycle_ms": 10, "robot.can.heartbeat_ms": 29}),
        (COBOT, {"robot.can.cycle_ms": 10, "robot.can.heartbeat_ms": 30}),
        "robot.can.heartbeat_ms",
    ),
    "sensor-age-below-rate": (
        (IIWA, {"safety.sensor_max_age_ms": 2.4}),
        (IIWA, {"safety.sensor_max_age_ms": 2.5}),
        "safety.sensor_max_age_ms",
    ),
    "stuck-below-cycle": (
        (IIWA, {"safety.stuck_ms": 2.9}),
        (IIWA, {"safety.stuck_ms": 3.0}),
        "safety.stuck_ms",
    ),
    "torque-agreement-never-trips": (
        (IIWA, {"safety.torque_agreement": 0.8, "safety.torque_fraction": 0.8}),
        (IIWA, {"safety.torque_agreement": 0.79, "safety.torque_fraction": 0.8}),
        "safety.torque_agreement",
    ),
    "torque-agreement-in-noise": (
        (IIWA, {"safety.torque_agreement": 0.025}),
        (IIWA, {"safety.torque_agreement": 0.026}),
        "safety.torque_agreement",
    ),
    "force-agreement-never-trips": (
        (PIPER, {"safety.force_agreement": 400.0}),
        (PIPER, {"safety.force_agreement": 30.0}),
        "safety.force_agreement",
    ),
    "standstill-never-trips": (
        (IIWA, {"robot.standstill.tolerance_abs": [400.0] * 7}),
        (IIWA, {"robot.standstill.tolerance_abs": [400.0, 6.0, *[400.0] * 5]}),
        "robot.standstill.tolerance_abs",
    ),
    "standstill-in-noise": (
        (IIWA, {"observer.model_sigma": [3.1, 0, 0, 0, 0, 0, 0]}),
        (IIWA, {"observer.model_sigma": [3.0, 0, 0, 0, 0, 0, 0]}),
        "robot.standstill.tolerance_abs",
    ),
    "observer-beyond-cycle": (
        (COBOT, {"observer.bandwidth": 251.0}),
        (COBOT, {"observer.bandwidth": 250.0}),
        "observer.bandwidth",
    ),
    "guiding-cap-never-acts": (
        (IIWA, {"free_drive.joint_speed": 0.51, "safety.speed_fraction": 0.5}),
        (IIWA, {"free_drive.joint_speed": 0.5, "safety.speed_fraction": 0.5}),
        "free_drive.joint_speed",
    ),
    "reserved-name": (
        (IIWA, {"sensors.0.name": "events"}),
        (IIWA, {"sensors.0.name": "event"}),
        "sensors[0].name",
    ),
    "press-beyond-arm": (
        (IIWA, {"motions.polish.force": 100.0, OVER + "tau_cmd_max": [160, 50, 88, 88, 55, 20, 20]}),
        (IIWA, {"motions.polish.force": 50.0, OVER + "tau_cmd_max": [160, 50, 88, 88, 55, 20, 20]}),
        "motions.polish.force",
    ),
    "mode-without-limit": (
        (IIWA, {"robot.fri.command_mode": "wrench"}),
        (IIWA, {"robot.fri.command_mode": "wrench", "robot.limits.force_max": 10.0}),
        "robot.limits.force_max",
    ),
    "limit-without-mode": (
        (IIWA, {"robot.limits.force_max": 10.0}),
        (IIWA, {"robot.limits.force_max": 0.0}),
        "robot.limits.force_max",
    ),
    "outside-box": (
        (IIWA, {"workspace.tcp_box": BOX | {"max": [0.8, 0.4, 0.19]}}),
        (IIWA, {"workspace.tcp_box": BOX}),
        "motions.polish.centre",
    ),
    "below-floor": (
        (IIWA, {"workspace.floor": 0.5}),
        (IIWA, {"workspace.floor": 0.1}),
        "workspace.floor",
    ),
    "home-in-obstacle": (
        (IIWA, {"workspace.obstacles": [{"name": "box", "xyz": [0.57, 0.0, 0.28], "size": [0.2, 0.2, 0.2]}]}),
        (IIWA, {"workspace.obstacles": [{"name": "box", "xyz": [0.57, 0.5, 0.28], "size": [0.2, 0.2, 0.2]}]}),
        "workspace.obstacles[0]",
    ),
    "moving-without-model": (
        (IIWA, {"safety.moving.on": True}),
        (IIWA, {"safety.moving.on": False}),
        "safety.moving.on",
    ),
    "moving-never-acts": (
        (IIWA, {"safety.moving": {"on": True, "torque_share": 1.0, "speed_share": 1.0}}),
        (IIWA, {"safety.moving": {"on": True, "torque_share": 1.0, "speed_share": 0.99}}),
        "safety.moving.torque_share",
    ),
    "contact-in-noise": (
        (IIWA, {"safety.contact": {"table": "bodies.yaml", "regions": ["tip"]}, "_limit": 3.0}),
        (IIWA, {"safety.contact": {"table": "bodies.yaml", "regions": ["tip"]}, "_limit": 60.0}),
        "safety.contact.table",
    ),
    "contact-below-work": (
        (IIWA, {"safety.contact": {"table": "bodies.yaml", "regions": ["tip"]}, "_limit": 20.0}),
        (IIWA, {"safety.contact": {"table": "bodies.yaml", "regions": ["tip"]}, "_limit": 20.1}),
        "motions.polish.force",
    ),
    "integral-beyond-command": (
        (IIWA, {"controller.joint.integral_limit": [160.1, 1, 1, 1, 1, 1, 1]}),
        (IIWA, {"controller.joint.integral_limit": [160.0, 1, 1, 1, 1, 1, 1]}),
        "controller.joint.integral_limit",
    ),
    "shared-cpu": (
        (IIWA, {"realtime.cpus.supervisor": [2], "realtime.cpus.recorder": [1, 2]}),
        (IIWA, {"realtime.cpus.supervisor": [2], "realtime.cpus.recorder": [1, 3]}),
        "realtime.cpus.recorder",
    ),
    "same-folder": (
        (IIWA, {"recording.dir": "artefacts/"}),
        (IIWA, {"recording.dir": "runs/artefacts"}),
        "recording.dir",
    ),
}  # fmt: skip


def test_every_rule_has_its_two_cells() -> None:
    assert [rule.name for rule in RULES] == list(dict.fromkeys(rule.name for rule in RULES))
    assert set(CASES) == {rule.name for rule in RULES}
    assert all(rule.about.endswith(".") for rule in RULES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_rule_trips_and_does_not_beside_it(name: str) -> None:
    trips, passes, key = CASES[name]
    found = [finding for finding in lint(changed(*trips)) if finding.rule == name]
    assert found
    assert key in {finding.key for finding in found}
    severity = next(rule.severity for rule in RULES if rule.name == name)
    for finding in found:
        assert finding.severity == severity.value
        assert finding.read
        assert finding.expected
        assert finding.remedy
        parts = re.findall(r"[^.\[\]]+", finding.key)
        loc = tuple(int(part) if part.isdecimal() else part for part in parts)
        assert finding.line == read_source(Path(finding.file)).line(loc)
        assert all(part in str(finding) for part in (name, finding.key, finding.read, finding.remedy))
    assert name not in {finding.rule for finding in lint(changed(*passes))}


@pytest.mark.parametrize("name", sorted(shipped_cells()))
def test_shipped_cells_are_clean(name: str) -> None:
    assert lint(shipped(name)) == []


def test_errors_come_before_warnings() -> None:
    found = lint(changed(IIWA, {"recording.dir": "artefacts", "safety.stuck_ms": 1.0, "tool.mass": 40.0}))
    severities = [finding.severity for finding in found]
    assert severities == sorted(severities)
    assert set(severities) == {"error", "warning"}


def test_every_posture_is_weighed() -> None:
    """A move's target that the arm cannot hold is told, though home is light."""
    stretched = [0.0, 1.57, 0.0, 0.0, 0.0, 0.0, 0.0]
    found = lint(changed(IIWA, {"motions.aside.target": stretched, "tool.mass": 30.0}))
    assert any("motions.aside.target" in finding.read for finding in found)


def test_an_arm_without_a_sensor_or_drives_is_judged_by_what_it_has() -> None:
    assert lint(changed(IIWA, {"sensors": []})) == []


def test_neighbours_with_the_same_value_are_told_together() -> None:
    assert named([0, 1, 2, 4], [1.0, 1.0, 2.0, 3.0, 2.0], "rad") == "A1 … A2 1 rad, A3 2 rad, A5 2 rad"


def test_the_page_is_up_to_date() -> None:
    """Run ``python -m hil.lint.page > docs/lint.md`` when this fails."""
    text = (Path(__file__).parents[2] / "docs" / "lint.md").read_text(encoding="utf-8")
    assert text == page.page()
    assert all(f"`{rule.name}`" in text for rule in RULES)
    assert {rule.severity for rule in RULES} == set(Severity)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.delenv("COLUMNS", raising=False)
    app = typer.Typer()
    app.command()(check)
    app.command("lint")(lint_command)
    return app


def _file(folder: Path, old: str, new: str) -> str:
    path = folder / "cell.yaml"
    text = shipped_cells()[IIWA].read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    return str(path)


def test_the_command_says_that_nothing_was_found(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["lint", IIWA])
    assert result.exit_code == 0
    assert result.stdout.strip() == f"{IIWA}: the limits make sense together"


def test_the_command_tells_an_error_and_fails(app: typer.Typer, tmp_path: Path) -> None:
    path = _file(tmp_path, "max_age_ms: 5.0 ", "max_age_ms: 0.5\n  stuck_ms: 1.0 ")
    result = CliRunner().invoke(app, ["lint", path])
    assert result.exit_code == 1
    line = 1 + next(n for n, text in enumerate(Path(path).read_text().splitlines()) if "max_age_ms: 0.5" in text)
    assert f"{path}:{line} safety.max_age_ms error: age-below-period" in result.stdout
    for word in ("read     0.5 ms", "expected at least a cycle, 1 ms", "to do    raise safety.max_age_ms", "2 errors"):
        assert word in result.stdout


def test_a_warning_fails_only_where_it_is_asked_for(app: typer.Typer, tmp_path: Path) -> None:
    path = _file(tmp_path, "dir: runs", "dir: artefacts")
    assert CliRunner().invoke(app, ["lint", path]).exit_code == 0
    assert CliRunner().invoke(app, ["lint", path, "--strict"]).exit_code == 1


def test_a_file_with_mistakes_is_told_as_by_check(app: typer.Typer, tmp_path: Path) -> None:
    path = _file(tmp_path, "mass: 1.2", "mass: heavy")
    result = CliRunner().invoke(app, ["lint", path])
    assert result.exit_code == 1
    assert "tool.mass" in result.output


def test_check_tells_in_one_line_that_lint_finds_something(app: typer.Typer, tmp_path: Path) -> None:
    path = _file(tmp_path, "dir: runs", "dir: artefacts")
    result = CliRunner().invoke(app, ["check", path])
    assert result.exit_code == 0
    (line,) = [text for text in result.stdout.splitlines() if text.startswith("hil lint")]
    assert line == f"hil lint {path}: 1 warning (same-folder)"
    assert "hil lint" not in CliRunner().invoke(app, ["check", IIWA]).stdout
