"""The cell file: shipped cells load, and everything wrong with a file is told at once, with the right line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from hil.cell import Cell, CellError, CellFault, CellRefused, load_cell, reference, require_permission, shipped_cells
from hil.cell.control import CartesianController, JointController
from hil.control import ComputedTorqueParams, ImpedanceParams
from safety.limits import IIWA14_R820
from safety.monitors import MonitorParams
from safety.stops import StopParams

Change = Callable[[str], str]


@pytest.fixture
def text() -> str:
    """The demo cell as it ships."""
    return shipped_cells()["iiwa14_polish"].read_text(encoding="utf-8")


@pytest.fixture
def faults(tmp_path: Path) -> Callable[[str | bytes], list[CellFault]]:
    """Writes a cell file and returns what is wrong with it."""

    def read(content: str | bytes) -> list[CellFault]:
        path = tmp_path / "cell.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(CellError) as caught:
            load_cell(path)
        assert all(fault.file == str(path) for fault in caught.value.faults)
        return list(caught.value.faults)

    return read


def swap(text: str, old: str, new: str) -> tuple[str, int]:
    """``text`` with the one line that holds ``old`` changed, and that line's number."""
    lines = text.splitlines()
    (index,) = [i for i, line in enumerate(lines) if old in line]
    lines[index] = lines[index].replace(old, new)
    return "\n".join(lines) + "\n", index + 1


@pytest.mark.parametrize("name", sorted(shipped_cells()))
def test_shipped_cells_load(name: str) -> None:
    """Every cell of the package is sound and goes by the name of its file."""
    cell = load_cell(name)
    assert cell.name == name.removesuffix(".example")
    assert cell.mocks == (cell.mock is not None)
    assert cell.urdf_xml.count('type="revolute"') == len(cell.robot.home)
    assert cell.robot.limits.joint_limits().n == len(cell.robot.home)


def test_shipped_cells_cover_every_arm_and_a_real_one() -> None:
    cells = [load_cell(name) for name in shipped_cells()]
    assert {cell.robot.limits.preset for cell in cells} == {"iiwa14_r820", "iiwa7_r800", "cobot6", "piper6"}
    assert sum(not cell.mocks for cell in cells) == 1


def test_a_path_and_a_name_give_the_same_cell() -> None:
    path = shipped_cells()["iiwa14_polish"]
    assert load_cell(path).digest() == load_cell("iiwa14_polish").digest()
    assert load_cell(path).path == path


def test_an_unknown_name_lists_the_shipped_cells() -> None:
    with pytest.raises(CellError, match=r"no such file.*iiwa14_polish"):
        load_cell("iiwa14_polis")


def test_numbers_reach_the_arrays() -> None:
    cell = load_cell("iiwa14_polish")
    np.testing.assert_array_equal(cell.tool.inertia_matrix, np.diag([0.002, 0.002, 0.0008]))
    np.testing.assert_array_equal(cell.tool.tcp.position, [0.0, 0.0, 0.12])
    np.testing.assert_array_equal(cell.tool.tcp.rotation, np.eye(3))
    assert cell.robot.stiffness == (0.0,) * 7
    assert cell.robot.terms == {"gravity"}
    limits = cell.robot.limits.joint_limits()
    assert limits.qd_max[0] == 1.2
    np.testing.assert_array_equal(limits.tau_max, IIWA14_R820.tau_max)


def test_roll_pitch_yaw_turn_about_fixed_axes(text: str, tmp_path: Path) -> None:
    """rpy = (0, 0, 90°) takes x to y; (90°, 0, 90°) takes y to z first and leaves it there."""
    for rpy, start, end in (
        ("[0, 0, 1.5707963]", [1, 0, 0], [0, 1, 0]),
        ("[1.5707963, 0, 1.5707963]", [0, 1, 0], [0, 0, 1]),
    ):
        changed, _ = swap(text, "xyz: [0.0, 0.0, 0.12], rpy: [0.0, 0.0, 0.0]", f"xyz: [0.0, 0.0, 0.12], rpy: {rpy}")
        (tmp_path / "cell.yaml").write_text(changed)
        tcp = load_cell(tmp_path / "cell.yaml").tool.tcp
        np.testing.assert_allclose(tcp.rotation @ np.array(start, float), end, atol=1e-7)


def test_dump_loads_again_to_the_same_digest(tmp_path: Path) -> None:
    cell = load_cell("iiwa14_polish")
    (tmp_path / "again.yaml").write_text(cell.dump(), encoding="utf-8")
    again = load_cell(tmp_path / "again.yaml")
    assert again.content() == cell.content()
    assert again.digest() == cell.digest()


def test_digest_follows_content_not_comments(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(re.sub(r"(?m)^\s*#.*$", "", text))
    assert load_cell(path).digest() == load_cell("iiwa14_polish").digest()
    path.write_text(swap(text, "force: 20.0", "force: 20.5")[0])
    assert load_cell(path).digest() != load_cell("iiwa14_polish").digest()


def test_every_fault_is_told_at_once_with_its_line(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    changes = [
        ("port: 0 ", "port: 70000 ", "robot.fri.port", "70000", "65535"),
        ("adds: [gravity]", "adds: [gravity, magic]", "robot.adds[1]", "'magic'", "friction"),
        ("mass: 1.2", "mass: .nan", "tool.mass", "nan", "finite"),
        ("com: [0.0, 0.002, 0.060]", "com: [0.0, 2.0, 60.0]", "tool.com", "60.0", "not mm"),
        ("bandwidth: 30.0", "bandwith: 30.0", "observer.bandwith", "'bandwith'", "did you mean 'bandwidth'"),
        ("rate: 800", "rate: fast", "sensors[0].rate", "'fast'", "a number"),
        ("kind: sinusoid", "kind: sinusoidal", "motions.warmup.kind", "'sinusoidal'", "did you mean 'sinusoid'"),
        ("force: 20.0", "force: -20.0", "motions.polish.force", "-20.0", "more than 0"),
        ("qd_max: [1.2,", "qd_max: [9.2,", "robot.limits.overrides.qd_max", "9.2", "only tighten"),
        ("port: mock", "port: /dev/ttyUSB0", "sensors[0].port", "/dev/ttyUSB0", "mock"),
    ]
    lines = {}
    for old, new, key, _, _ in changes:
        text, lines[key] = swap(text, old, new)
    found = {fault.key: fault for fault in faults(text)}
    assert sorted(found) == sorted(lines)
    for _, _, key, read, allowed in changes:
        assert found[key].line == lines[key], key
        assert read in found[key].read, key
        assert allowed in found[key].allowed, key


def test_the_message_names_every_fault(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(swap(swap(text, "seed: 0", "seed: -1")[0], "mass: 1.2", "mass: heavy")[0])
    with pytest.raises(CellError) as caught:
        load_cell(path)
    message = str(caught.value)
    assert message.startswith("2 mistakes in the cell file; nothing was started:")
    assert re.search(rf"{path}:\d+: tool\.mass: read 'heavy'; allowed: a number", message)
    assert re.search(rf"{path}:\d+: mock\.seed: read -1; allowed: 0 or more", message)


def test_a_missing_key_points_at_its_section(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    changed, _ = swap(text, "  mass: 1.2", "  #")
    (fault,) = faults(changed)
    assert (fault.key, fault.read) == ("tool.mass", "nothing")
    assert changed.splitlines()[fault.line - 1].startswith("tool:")
    assert "this key is needed: kg" in fault.allowed


def test_a_motion_without_kind_says_so(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    changed, line = swap(text, "kind: polish", "#")
    (fault,) = faults(changed)
    assert (fault.key, fault.line, fault.read) == ("motions.polish.kind", line - 1, "nothing")


@pytest.mark.parametrize(
    ("old", "new", "key", "allowed"),
    [
        ("mocks: true ", "mocks: yes ", "mocks", "true or false"),
        ("mocks: true ", 'mocks: "true" ', "mocks", "true or false"),
        ("mocks: true ", "mocks: 1 ", "mocks", "true or false"),
        ("mass: 1.2", 'mass: "1.2"', "tool.mass", "a number"),
        ("mass: 1.2", "mass: true", "tool.mass", "a number"),
        ("mass: 1.2", "mass: 1e999", "tool.mass", "a finite number"),
        ("mass: 1.2", "mass: .inf", "tool.mass", "a finite number"),
        ("seed: 0", "seed: 0.5", "mock.seed", "a whole number"),
        ("home: [0.0, 0.55, 0.0,", "home: [0.0, 0.55,", "robot.home", "7 values, here are 6"),
        ("home: [0.0, 0.55,", "home: [0.0, 2.2,", "robot.home", "A2 -2.094 … 2.094 rad"),
        ("target: [0.0, 0.55,", "target: [3.0, 0.55,", "motions.home.target", "A1 -2.967 … 2.967 rad"),
        ('version: "1.15"', 'version: "2.6"', "robot.fri.version", "1.11, 1.14, 1.15, 1.16, 2.5, 2.7"),
        ('version: "1.15"', "version: 1.17", "robot.fri.version", "1.14, 1.15, 1.16"),
        ("driver: fri", "driver: fry", "robot.driver", "did you mean 'fri'"),
        ("driver: bota", "driver: ati", "sensors[0].driver", "'bota'"),
        ("model: iiwa14.urdf", "model: iiwa15.urdf", "robot.model", "iiwa14.urdf, iiwa7.urdf"),
        ("preset: iiwa14_r820", "preset: iiwa15", "robot.limits.preset", "iiwa7_r800"),
        ("model: iiwa14.urdf", "model: iiwa7.urdf", "robot.limits.preset", "name the limits of the arm"),
        ("inertia: [0.002,", "inertia: [0.02,", "tool.inertia", "moments of a real body"),
        ("inertia: [0.002, 0.0,", "inertia: [0.002,", "tool.inertia", "here are 5"),
        ("adds: [gravity]", "adds: []", "robot.adds", "gravity"),
        ("adds: [gravity]", "adds: gravity", "robot.adds", "a list, as in [gravity]"),
        ("tcp: {xyz: [0.0, 0.0, 0.12], rpy: [0.0, 0.0, 0.0]}", "tcp: [0.0, 0.0, 0.12]", "tool.tcp", "it: xyz, rpy"),
        ("kind: momentum", "kind: my_lab.observer.Mine", "observer.kind", "did you mean `my_lab.observer:Mine`?"),
        ("kind: sinusoid", "kind: my_lab.motion.Two", "motions.warmup.kind", "did you mean `my_lab.motion:Two`?"),
        ("name: iiwa14_polish", "name: a b", "name", "letters, digits"),
        ("size: [0.5, 0.5, 0.04]", "size: [0.5, 0.5, 0]", "mock.plate.size", "above 0"),
        ("host: 127.0.0.1 ", "host: 192.170.10.1 ", "robot.fri.host", "on this machine"),
        ("tolerance_rel: 0.15", "tolerance_rel: 0.9", "robot.standstill.tolerance_rel", "0.5 or less"),
    ],
)
def test_one_fault(
    text: str, faults: Callable[[str], list[CellFault]], old: str, new: str, key: str, allowed: str
) -> None:
    """One wrong value is one fault, at its line and key, and the message says what would be right."""
    changed, line = swap(text, old, new)
    (fault,) = faults(changed)
    assert (fault.key, fault.line) == (key, line if key != "robot.limits.preset" or "preset" in old else fault.line)
    assert allowed in fault.allowed


def test_an_unquoted_fri_version_is_understood(text: str, tmp_path: Path) -> None:
    (tmp_path / "cell.yaml").write_text(swap(text, 'version: "1.15"', "version: 1.15")[0])
    assert load_cell(tmp_path / "cell.yaml").robot.fri.version == "1.15"


def test_a_number_with_exponent_is_a_number(text: str, tmp_path: Path) -> None:
    """YAML 1.1 reads 1e-3 as a word; a technician does not."""
    (tmp_path / "cell.yaml").write_text(swap(text, "mass: 1.2", "mass: 12e-1")[0])
    assert load_cell(tmp_path / "cell.yaml").tool.mass == 1.2


def test_anchors_work(text: str, tmp_path: Path) -> None:
    changed = swap(text, "home: [0.0,", "home: &home [0.0,")[0]
    changed = swap(changed, "target: [0.0, 0.55, 0.0, -1.52, 0.0, 1.07, 0.0]", "target: *home")[0]
    (tmp_path / "cell.yaml").write_text(changed)
    assert load_cell(tmp_path / "cell.yaml").digest() == load_cell("iiwa14_polish").digest()


def test_a_key_twice(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    changed = text.replace("  mass: 1.2", "  mass: 1.2\n  mass: 3.0")
    (fault,) = faults(changed)
    assert fault.key == "tool.mass"
    assert f"line {fault.line - 1}" in fault.allowed


@pytest.mark.parametrize(
    ("content", "line", "expected"),
    [
        (b"name: a\nrobot:\n\tdriver: fri\n", 3, "spaces"),
        (b"name: a\nrobot: [1, 2\n", 3, "valid YAML"),
        (b"name: a\n  mocks: true\n", 2, "the indentation of this line or of the one above"),
        (b"name: a\n# caf\xe9\n", 2, "UTF-8"),
        (b"name: a\ndescription: bell \x07\n", 2, "control character"),
        (b"", 1, "sections of a cell"),
        (b"# nothing but a comment\n", 1, "sections of a cell"),
        (b"- name: a\n", 1, "keys of a cell"),
        (b"just words\n", 1, "keys of a cell"),
        (b"name: " + b"a" * 300_000, 1, "right file"),
        (b"name: " + b"[" * 5000, 1, "right file"),
    ],
)
def test_what_is_no_cell_file_at_all(
    faults: Callable[[bytes], list[CellFault]], content: bytes, line: int, expected: str
) -> None:
    (fault,) = faults(content)
    assert fault.line == line
    assert expected in fault.allowed


@pytest.mark.parametrize("tag", ["!mine 3", "!!python/object/apply:os.getcwd []", "!!set {a}", "!!binary aGk="])
def test_tags_are_refused(text: str, faults: Callable[[str], list[CellFault]], tag: str) -> None:
    changed, line = swap(text, "seed: 0", f"seed: {tag}")
    found = faults(changed)
    assert ("mock.seed", line) in {(fault.key, fault.line) for fault in found}
    assert any("without tags" in fault.allowed for fault in found)


def test_aliases_cannot_grow_without_end(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    bomb = "x0: &x0 [1,1,1,1,1,1,1,1,1,1]\n"
    bomb += "".join(f"x{i}: &x{i} [{','.join([f'*x{i - 1}'] * 10)}]\n" for i in range(1, 12))
    assert any("without end" in fault.read for fault in faults(bomb + text))
    assert any("contains itself" in fault.read for fault in faults("loop: &loop [*loop]\n" + text))


def test_overrides_bind_each_joint_and_say_what_is_allowed(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    """A higher q_min is tighter, a lower one looser; equal is allowed."""
    old = "qd_max: [1.2, 1.2, 1.4, 1.1, 1.8, 1.9, 1.9]"
    changed, _ = swap(text, old, "q_min: [-3.0, -2, -2, -2, -2, -2, -3]\n      tau_max: 500\n      window: 0.001")
    found = {fault.key.rpartition(".")[2]: fault for fault in faults(changed)}
    assert set(found) == {"q_min", "tau_max", "window"}
    assert "or more" in found["q_min"].allowed
    assert "or less" in found["tau_max"].allowed
    assert found["tau_max"].line == found["q_min"].line + 1
    assert "0.02 or more" in found["window"].allowed


def test_an_override_equal_to_the_data_sheet_is_allowed(text: str, tmp_path: Path) -> None:
    old = "qd_max: [1.2, 1.2, 1.4, 1.1, 1.8, 1.9, 1.9]"
    (tmp_path / "cell.yaml").write_text(swap(text, old, "tau_max: [320, 320, 176, 176, 110, 40, 40]")[0])
    limits = load_cell(tmp_path / "cell.yaml").robot.limits.joint_limits()
    np.testing.assert_array_equal(limits.tau_max, IIWA14_R820.tau_max)


def test_no_cell_lands_on_a_mock_by_accident(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    """mocks: false with everything else still simulated: each trace of a mock is a fault."""
    changed, _ = swap(text, "mocks: true ", "mocks: false ")
    assert {fault.key for fault in faults(changed)} == {"mock", "sensors[0].port", "robot.fri.host", "robot.fri.port"}


def test_no_mock_cell_touches_a_device(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    changed, _ = swap(text, "port: mock", "port: /dev/ttyUSB0")
    changed, _ = swap(changed, "send_period_ms: 1", 'send_period_ms: 1\n    peer: "192.170.10.2:30200"')
    assert {fault.key for fault in faults(changed)} == {"sensors[0].port", "robot.fri.peer"}


def test_a_mock_cell_needs_its_world(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    (fault,) = faults(text[: text.index("\nmock:")])
    assert fault.key == "mock"
    assert "profile" in fault.allowed


def test_two_sensors_of_one_name(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    second = "  - {name: ft, driver: bota, port: mock, mount: {}}\n\ntool:"
    changed = text.replace("\ntool:", second, 1)
    (fault,) = faults(changed)
    assert fault.key == "sensors[1].name"


def test_permission() -> None:
    """A simulated cell runs, and only without --real; a real one is refused either way, in plain words."""
    mock, real = load_cell("iiwa14_polish"), load_cell("iiwa14_real.example")
    require_permission(mock, real=False)
    with pytest.raises(CellRefused, match="leave out --real"):
        require_permission(mock, real=True)
    with pytest.raises(CellRefused, match="names a real robot"):
        require_permission(real, real=False)
    with pytest.raises(CellRefused, match="--real is refused"):
        require_permission(real, real=True)


def test_shipped_cells_are_plain_yaml() -> None:
    """Any YAML reader sees the same values as ours, so that other tools can read cell files."""

    def lists(value: object) -> object:
        if isinstance(value, dict):
            return {key: lists(item) for key, item in value.items()}
        return tuple(lists(item) for item in value) if isinstance(value, list) else value

    from hil.cell.source import read_source

    for path in shipped_cells().values():
        assert read_source(path).data == lists(yaml.safe_load(path.read_text(encoding="utf-8")))


def with_controller(text: str, section: str) -> str:
    """``text`` with another controller section."""
    return re.sub(r"(?ms)^controller:.*?^(?=\S)", f"controller: {section}\n", text)


def test_gains_left_out_are_those_of_the_controllers(text: str, tmp_path: Path) -> None:
    """An empty controller section means the controllers' own defaults, and it knows each of their parameters."""
    (tmp_path / "cell.yaml").write_text(with_controller(text, "{}"))
    controller = load_cell(tmp_path / "cell.yaml").controller
    assert controller.joint.params() == ComputedTorqueParams()
    assert controller.cartesian.params() == ImpedanceParams()
    own = [f.name for f in dataclasses.fields(ComputedTorqueParams)]
    assert list(JointController.model_fields) == [*own, "learned"]
    assert list(CartesianController.model_fields) == [f.name for f in dataclasses.fields(ImpedanceParams)]


def test_gains_of_the_file_reach_the_controllers(text: str, tmp_path: Path) -> None:
    section = "{joint: {bandwidth: 15, integral_time: null}, cartesian: {force: {ki: 0}}}"
    (tmp_path / "cell.yaml").write_text(with_controller(text, section))
    controller = load_cell(tmp_path / "cell.yaml").controller
    assert controller.joint.params().bandwidth == (15.0,) * 7
    assert controller.joint.params().integral_time == np.inf
    assert controller.cartesian.params().force.ki == 0.0


def test_gains_that_the_cycle_cannot_carry_are_faults(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    found = faults(with_controller(text, "{joint: {bandwidth: 500}, cartesian: {bandwidth: 0}}"))
    assert [fault.key for fault in found] == ["controller.cartesian.bandwidth", "controller.joint.bandwidth"]
    assert "60 or less" in found[1].allowed
    (one,) = faults(with_controller(text, "{joint: {bandwidth: [20, 20, 500, 20, 20, 20, 20]}}"))
    assert (one.key, one.read) == ("controller.joint.bandwidth[2]", "500")


def test_safety_of_the_file_reaches_monitors_and_stops(text: str, tmp_path: Path) -> None:
    cell = load_cell("iiwa14_polish")
    assert cell.safety.stop_params() == StopParams()
    assert cell.safety.monitor_params() == MonitorParams()
    changed, _ = swap(text, "brake_damping: 30.0", "brake_damping: 15.0\n  speed_fraction: 0.5\n  max_age_ms: 8\n  #")
    changed, _ = swap(changed, "max_age_ms: 5.0", "#")
    (tmp_path / "cell.yaml").write_text(changed)
    safety = load_cell(tmp_path / "cell.yaml").safety
    stop = safety.stop_params()
    assert (stop.damping, stop.max_age) == (15.0, 0.008)
    assert stop.kp == stop.damping**2 / 4.0
    assert stop.ki < stop.kp * stop.damping
    assert (safety.monitor_params().speed_fraction, safety.monitor_params().max_age) == (0.5, 0.008)


def test_every_motion_of_the_shipped_cells_can_be_built() -> None:
    for name in shipped_cells():
        cell = load_cell(name)
        for motion_name, section in cell.motions.items():
            motion = section.build(motion_name, cell)
            motion.start(np.array(cell.robot.home), np.array([0.57, 0.0, 0.28]), np.diag([1.0, -1.0, -1.0]))
            assert motion.name == motion_name
            assert 0.0 < motion.duration < 60.0


def test_a_motion_beyond_the_limits_is_a_fault(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    changed, _ = swap(text, "amplitude: [0.10,", "amplitude: [1.10,")
    (fault,) = faults(changed)
    assert fault.key == "motions.warmup"
    assert changed.splitlines()[fault.line - 1] == "  warmup:"
    assert "joint 1" in fault.allowed
    assert "rad/s" in fault.allowed


def test_a_motion_that_does_not_fit_together_is_a_fault(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    (fault,) = faults(swap(text, "duration: 8.0", "duration: 1.5")[0])
    assert fault.key == "motions.warmup"
    assert "fading in and out" in fault.allowed


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("{kind: nan, device: iiwa, at_tick: 5}", "mock.faults[0]"),
        ("{kind: drop, device: iiwa, at_tick: 5, field: sideways}", "mock.faults[0]"),
        ("{kind: kill, device: mock, at_tick: 5, probability: 0.5}", "mock.faults[0]"),
        ("{kind: explode, device: iiwa, at_tick: 5}", "mock.faults[0].kind"),
        ("{kind: drop, device: iiwa, at_tick: -1}", "mock.faults[0].at_tick"),
        ("{kind: drop, device: iiwa}", "mock.faults[0].at_tick"),
    ],
)
def test_a_fault_that_makes_no_sense(text: str, faults: Callable[[str], list[CellFault]], entry: str, key: str) -> None:
    (fault,) = faults(swap(text, "seed: 0", f"faults: [{entry}]")[0])
    assert fault.key == key


def test_a_motions_name_is_a_word_for_the_command_line(text: str, faults: Callable[[str], list[CellFault]]) -> None:
    changed, line = swap(text, "  warmup:", "  Warm up!:")
    (fault,) = faults(changed)
    assert (fault.key, fault.line) == ("motions.Warm up!", line)


def test_the_page_of_keys_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "cell-file.md"
    assert page.read_text(encoding="utf-8") == reference.page(), "run python -m hil.cell.reference > docs/cell-file.md"
    assert all(f"`{name}`" in reference.page() for name in Cell.model_fields)
