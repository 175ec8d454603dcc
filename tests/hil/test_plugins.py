"""Classes of the user's own: how they are found, and what is said when they cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hil.build import build_motion, check_plugins
from hil.cell import CellError, load_cell
from hil.motion import MotionError
from hil.plugins import PluginError, build_controller, build_observer, check_estimate, find
from tests.hil.running import shipped

MODULE = '''
import numpy as np
from hil.motion import JointReference

class Good:
    kind = "joint"
    def __init__(self, n, adds, gain=1.0):
        self.n, self.gain = n, gain
    def reset(self, sample, dyn, tau_initial=None): ...
    def torque(self, sample, dyn, reference, wrench_measured, dt):
        return np.zeros(self.n)

class NoTorque:
    kind = "joint"
    def __init__(self, n, adds): ...
    def reset(self, sample, dyn, tau_initial=None): ...

class Sideways(Good):
    kind = "sideways"

class Far:
    kind, duration = "joint", 1.0
    def start(self, q, x, R): self.q = q
    def at(self, t): return JointReference(self.q + 10.0 * t, np.zeros(7), np.zeros(7))
    def phase(self, t): return "far"

class Endless(Far):
    duration = property(lambda self: 1.0)

class NoDuration:
    kind = "joint"
    start = at = phase = lambda *a: None

constant = 3
'''


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path with the module ``plug_mod``."""
    (tmp_path / "plug_mod.py").write_text(MODULE)
    (tmp_path / "plug_broken.py").write_text("1 / 0\n")
    (tmp_path / "plug_needs.py").write_text("import no_such_dependency\n")
    info = tmp_path / "plug_pkg-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-pkg\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hil.controllers]\ngood = plug_mod:Good\ngone = plug_mod:Gone\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("plug_mod", "plug_broken", "plug_needs"):
        sys.modules.pop(name, None)


def cell_file(folder: Path, **sections: Any) -> Path:
    content = yaml.safe_load(shipped().dump())
    for name, section in sections.items():
        content[name].update(section)
    path = folder / "cell.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["plug_mod:Good", "good"])
def test_a_class_is_found_by_its_place_and_by_entry_point(plug: Path, name: str) -> None:
    controller = build_controller(name, 7, frozenset(), {"gain": 2.0})
    assert type(controller).__name__ == "Good"
    assert controller.gain == 2.0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plug_mod:God", "has no 'God'; did you mean 'Good'"),
        ("goood", "did you mean 'good'"),
        ("gone", "has no 'Gone'"),
        ("no_such_module:Good", "no module 'no_such_module' on Python's path"),
        ("plug_needs:Good", "cannot be imported: No module named 'no_such_dependency'"),
        ("plug_broken:Good", "ZeroDivisionError"),
        ("plug_mod:Good()", "expected module:Class"),
        ("__import__('os'):x", "expected module:Class"),
        ("plug_mod:NoTorque", r"lacks torque\(…\); hil.control.Controller"),
        ("plug_mod:Sideways", "kind is 'sideways'; allowed: 'joint', 'cartesian'"),
        ("plug_mod:constant", "is int; expected a class"),
    ],
)
def test_what_cannot_be_used_is_explained(plug: Path, name: str, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        build_controller(name, 7, frozenset(), {})


def test_wrong_parameters_name_the_call(plug: Path) -> None:
    with pytest.raises(PluginError, match=r"Good\(n, adds, gian=1\) failed: TypeError: .*gian"):
        build_controller("plug_mod:Good", 7, frozenset(), {"gian": 1})


def test_an_observer_lacks_what_it_lacks(plug: Path) -> None:
    with pytest.raises(PluginError, match="lacks step"):
        build_observer("plug_mod:Good", 7, {"adds": ()})
    with pytest.raises(PluginError, match=r"\[\(6,\), \(6, 6\)\]"):
        check_estimate((np.zeros(6), np.zeros((6, 6))), 7)
    with pytest.raises(PluginError, match="NoneType"):
        check_estimate(None, 7)


def test_find_imports_and_nothing_before_does(plug: Path) -> None:
    path = cell_file(plug, controller={"kind": "plug_mod:Good"}, motions={"far": {"kind": "plug_mod:Far"}})
    cell = load_cell(path)
    assert "plug_mod" not in sys.modules
    assert load_cell_again(cell, plug).digest() == cell.digest()
    find("controller", "plug_mod:Good")
    assert "plug_mod" in sys.modules


def load_cell_again(cell: Any, folder: Path) -> Any:
    (folder / "again.yaml").write_text(cell.dump(), encoding="utf-8")
    return load_cell(folder / "again.yaml")


def test_an_own_joint_motion_is_held_to_the_limits_before_it_runs(plug: Path) -> None:
    cell = load_cell(cell_file(plug, motions={"far": {"kind": "plug_mod:Far"}}))
    with pytest.raises(MotionError, match="'far' asks joint"):
        build_motion("far", cell)
    with pytest.raises(MotionError):
        check_plugins(cell, ["far"])
    check_plugins(cell, ["warmup"])


def test_a_motion_without_duration_says_so(plug: Path) -> None:
    cell = load_cell(cell_file(plug, motions={"bad": {"kind": "plug_mod:NoDuration"}}))
    with pytest.raises(PluginError, match="has no duration"):
        build_motion("bad", cell)


@pytest.mark.parametrize(
    ("section", "content", "key", "said"),
    [
        ("controller", {"kind": "no_entry_point"}, "controller.kind", "module:Class"),
        ("observer", {"kind": "momentun"}, "observer.kind", "allowed: momentum"),
        ("observer", {"params": {"x": 1}}, "observer.params", "kind: momentum"),
        ("motions", {"m": {"kind": "sinus"}}, "motions.m.kind", "'module:Class'"),
        ("motions", {"m": {"kind": "a:B", "parms": {}}}, "motions.m.parms", "did you mean 'params'"),
        ("motions", {"m": {"kind": "a:B", "params": {"1x": 2}}}, "motions.m.params.1x", ""),
    ],
)
def test_a_name_that_cannot_be_is_a_fault_of_the_file(
    tmp_path: Path, section: str, content: dict[str, Any], key: str, said: str
) -> None:
    with pytest.raises(CellError) as error:
        load_cell(cell_file(tmp_path, **{section: content}))
    (fault,) = error.value.faults
    assert fault.key == key
    assert said in fault.allowed
