"""The user's table of contact limits: what a cell takes from it, what is told of a wrong one, and that it acts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hil.cell import Cell, CellError, CellFault, load_cell, shipped_cells
from hil.lint import lint
from safety.faults import FaultCode
from safety.states import State
from tests.hil.running import Running, short_cell

TABLE = """\
source: numbers made up for a test, of no standard
read_by: nobody
regions:
  hand:
    quasi_static: {force_N: 140.0, pressure_N_cm2: 100}
    transient: {force_N: 280.0}
  chest:
    quasi_static: {force_N: 120.0}
  shin:
    quasi_static: {pressure_N_cm2: 50.0}
    transient: {pressure_N_cm2: 60.0, force_N: 130.0}
  face:
    forbidden: true
"""


def write(folder: Path, contact: str, table: str = TABLE) -> Path:
    """The demo cell with a section ``safety.contact``, and its table beside it."""
    text = shipped_cells()["iiwa14_polish"].read_text(encoding="utf-8")
    assert text.count("\nsafety:\n") == 1
    path = folder / "cell.yaml"
    path.write_text(text.replace("\nsafety:\n", f"\nsafety:\n  contact: {contact}\n"), encoding="utf-8")
    (folder / "table.yaml").write_text(table, encoding="utf-8")
    return path


def faults(folder: Path, contact: str, table: str = TABLE) -> list[CellFault]:
    with pytest.raises(CellError) as caught:
        load_cell(write(folder, contact, table))
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("contact", "transient", "lasting", "by"),
    [
        ("{table: table.yaml, regions: [chest]}", 120.0, 120.0, "chest by force"),
        ("{table: table.yaml, regions: [hand], area_cm2: 4}", 280.0, 140.0, "hand by force"),
        (
            "{table: table.yaml, regions: [hand], area_cm2: 1}",
            280.0,
            100.0,
            "hand by pressure (transient: hand by force)",
        ),
        ("{table: table.yaml, regions: [hand, chest], area_cm2: 4}", 120.0, 120.0, "chest by force"),
        ("{table: table.yaml, regions: [shin], area_cm2: 2}", 120.0, 100.0, "shin by pressure"),
        (
            "{table: table.yaml, regions: [shin], area_cm2: 10}",
            130.0,
            130.0,
            "shin by pressure (transient: shin by force)",
        ),
    ],
)
def test_the_least_of_all_limits_binds(tmp_path: Path, contact: str, transient: float, lasting: float, by: str) -> None:
    limits = load_cell(write(tmp_path, contact)).contact_limits
    assert limits is not None
    assert (limits.transient, limits.quasi_static, limits.by) == (transient, lasting, by)
    assert limits.source == "numbers made up for a test, of no standard, by nobody"


def test_without_the_key_there_are_no_limits() -> None:
    assert load_cell("iiwa14_polish").contact_limits is None


def test_the_table_is_part_of_the_digest(tmp_path: Path) -> None:
    contact = "{table: table.yaml, regions: [chest]}"
    first = load_cell(write(tmp_path, contact)).digest()
    assert load_cell(write(tmp_path, contact)).digest() == first
    assert load_cell(write(tmp_path, contact, TABLE.replace("120.0", "121.0"))).digest() != first
    assert load_cell(write(tmp_path, contact, TABLE + "# looked at again\n")).digest() != first


@pytest.mark.parametrize(
    ("contact", "key", "says"),
    [
        ("{table: none.yaml, regions: [chest]}", "safety.contact.table", "a file that opens"),
        ("{table: ., regions: [chest]}", "safety.contact.table", "a file that opens"),
        ("{table: table.yaml, regions: [foot]}", "safety.contact.regions[0]", "hand, chest, shin, face"),
        ("{table: table.yaml, regions: [chest, face]}", "safety.contact.regions[1]", "permits no contact"),
        ("{table: table.yaml, regions: [hand]}", "safety.contact.area_cm2", "limit of pressure"),
        ("{table: table.yaml, regions: []}", "safety.contact.regions", "1 values"),
        ("{regions: [chest]}", "safety.contact.table", "this key is needed"),
        ("{table: table.yaml, regions: [chest], area_cm2: 0}", "safety.contact.area_cm2", "more than 0"),
    ],
)
def test_what_the_cell_asks_for_must_be_there(tmp_path: Path, contact: str, key: str, says: str) -> None:
    told = {fault.key: fault for fault in faults(tmp_path, contact)}
    assert key in told
    assert says in told[key].allowed
    assert told[key].file == str(tmp_path / "cell.yaml")


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "says"),
    [
        ("force_N: 280.0", "force_N: 139.9", 4, "regions.hand", "at least quasi_static.force_N, 140"),
        ("force_N: 280.0", "force_N: -1", 6, "regions.hand.transient.force_N", "more than 0"),
        ("force_N: 280.0", "force_N: .nan", 6, "regions.hand.transient.force_N", "finite"),
        ("force_N: 280.0", "force: 280.0", 6, "regions.hand.transient.force", "did you mean 'force_N'"),
        ("{force_N: 280.0}", "{}", 6, "regions.hand.transient", "force_N, pressure_N_cm2 or both"),
        ("{force_N: 120.0}", "120.0", 8, "regions.chest.quasi_static", "a section with keys"),
        ("forbidden: true", "forbidden: false", 12, "regions.face", "quasi_static with"),
        ("    forbidden: true", "    forbidden: true\n    quasi_static: {force_N: 1}", 12, "regions.face", "no limits"),
        ("read_by: nobody", "read_by: x", 2, "read_by", "at least 2"),
        ("source: numbers made up for a test, of no standard", "source: ISO", 1, "source", "at least 12"),
        ("source: numbers", "source: [numbers", 2, "", "valid YAML"),
        ("  face:", "  chest:", 12, "regions.chest", "line 7 already"),
    ],
)
def test_a_wrong_table_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, key: str, says: str
) -> None:
    assert TABLE.count(old) == 1
    told = faults(tmp_path, "{table: table.yaml, regions: [chest]}", TABLE.replace(old, new))
    mine = [fault for fault in told if fault.file == str(tmp_path / "table.yaml")]
    assert mine
    found = [fault for fault in mine if (key and fault.key.startswith(key)) or not key]
    assert found, mine
    assert any(says in fault.allowed for fault in found), found
    assert line in {fault.line for fault in found}


def _limited(folder: Path, force: float) -> Cell:
    """The short polishing cell with limits of its own, ``force`` and twice that, N."""
    path = short_cell(folder).path
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["safety"]["contact"] = {"table": "table.yaml", "regions": ["tip"]}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    tip = {"quasi_static": {"force_N": force}, "transient": {"force_N": 2.0 * force}}
    table = {"source": "numbers of the test's own", "read_by": "the test", "regions": {"tip": tip}}
    (folder / "table.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")
    return load_cell(path)


@pytest.mark.parametrize(
    ("pushed", "code", "first", "last"),
    [
        (25.0, None, 0, 0),
        (50.0, FaultCode.CONTACT_QUASI_STATIC, 500, 600),
        (110.0, FaultCode.CONTACT_TRANSIENT, 5, 60),
    ],
)
def test_a_push_on_a_held_arm_meets_the_table(
    start: type[Running], tmp_path: Path, pushed: float, code: FaultCode | None, first: int, last: int
) -> None:
    """Limits of 40 and 80 N, the observer's band on top; a lasting force has half a second and the observer's lag."""
    running = start(_limited(tmp_path, 40.0))
    running.hold(150)
    running.parts.observer.tare()
    running.control.push([0.0, 0.0, pushed, 0.0, 0.0, 0.0])
    if code is None:
        running.steps(650)
        assert running.codes == []
        return
    took = running.until(lambda: bool(running.codes), last)
    assert took >= first
    fault = running.supervisor.machine.faults[0]
    assert fault.code is code
    assert fault.limit == (40.0 if code is FaultCode.CONTACT_QUASI_STATIC else 80.0)
    assert fault.value > fault.limit
    assert "tip by force" in fault.headline()
    assert "numbers of the test's own" in fault.explain()
    assert running.supervisor.state is State.STOPPING


def test_lint_tells_a_table_that_the_observer_could_never_keep(tmp_path: Path) -> None:
    assert lint(_limited(tmp_path, 120.0)) == []
    rules = {finding.rule: finding for finding in lint(_limited(tmp_path, 3.0))}
    assert set(rules) == {"contact-in-noise", "contact-below-work"}
    assert rules["contact-in-noise"].severity == "error"
    assert rules["contact-in-noise"].key == "safety.contact.table"
