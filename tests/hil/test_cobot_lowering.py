"""A cobot without brakes on the mock: a stop lets it down, and a lost supply drops it; both are measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from drivers.contract import StopAction, StopCategory
from hil.build_safety import build_traits
from hil.cell import Cell, load_cell, shipped_cells
from hil.session import FaultError, Session
from safety.faults import FaultCode
from safety.lowering import LoweringParams
from safety.states import State

HANGING = [0.3, 1.571, 0.0, -0.976, 1.57, 0.3]
"""Where gravity pulls no joint, rad: the arm can be there without brakes."""
RAISED = [0.3, 0.3, -1.0, -0.976, 1.57, 0.3]


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cell:
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load(shipped_cells()["cobot"].read_text(encoding="utf-8"))
    content["robot"]["can"]["channels"][0]["interface"] = "virtual"
    content["robot"]["can"]["brakes"] = False
    content["robot"]["home"] = HANGING
    content["motions"] = {"home": {"kind": "move", "target": HANGING}}
    del content["mock"]["plate"]
    path = tmp_path / "cell.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)


class Raised:
    """A session with the arm held 1.3 m above where it would hang."""

    def __init__(self, session: Session) -> None:
        self.session = session
        session.bring_up()
        session.enable()
        session.move_to(RAISED, 3.0)
        self.begin = len(session.truth()["q"])
        self.height = float(session.dyn.x[2])

    def fate(self) -> dict[str, Any]:
        """What became of it: largest joint speed (rad/s), largest speed downwards (m/s) and way down (m) of the TCP."""
        truth, model = self.session.truth(), self.session.model
        q, qd = truth["q"][self.begin :], truth["qd"][self.begin :]
        z = np.array([model.update(row.copy(), np.zeros(6)).x[2] for row in q[::20]])
        sinking = float(-np.diff(z).min() / 0.02)
        return {"qd": float(np.abs(qd).max()), "vz": sinking, "drop": self.height - float(z[-1])}


def test_a_cell_without_brakes_is_lowered(cell: Cell) -> None:
    stops = build_traits(cell).stops
    assert stops[StopCategory.OFF_NOW] is stops[StopCategory.STOP_THEN_OFF] is StopAction.LOWER


@pytest.mark.accept
def test_a_stop_lets_it_down_slowly_and_switching_off_changes_nothing(cell: Cell) -> None:
    with Session(cell) as session:
        raised = Raised(session)
        session.stop()
        assert session.state is State.READY
        assert ("off", "power off requested: the arm rests without torque") in session.events
        lowered = session.truth()["q"][-1].copy()
        session.step(500)
        assert session.truth()["q"][-1] == pytest.approx(lowered, abs=0.01)
        fate = raised.fate()
    assert fate["drop"] > 1.0
    assert fate["qd"] < 1.3 * LoweringParams().speed
    assert fate["vz"] < 0.3


@pytest.mark.accept
def test_where_the_supply_is_gone_it_falls(cell: Cell) -> None:
    with Session(cell) as session:
        raised = Raised(session)
        for drive in range(1, 7):
            session.mock.call("node_power", drive=drive, on=False)
        with pytest.raises(FaultError) as caught:
            session.step(100)
        session.mock.run_out()
        fate = raised.fate()
    assert caught.value.faults[0].code is FaultCode.NODE_LOST
    assert fate["drop"] > 1.0
    assert fate["vz"] > 3.0, "nothing held it"
