"""What the recorder writes into a row beyond plain copies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.contract import LinkHealth
from hil.cycle import Decision
from hil.recording import TelemetryWriter
from hil.telemetry.publisher import Publisher
from tests.hil.running import Running


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    made = Publisher(f"ipc://{tmp_path}/telemetry", 7, lockstep=False)
    yield made
    made.close()


@pytest.fixture
def cell() -> Iterator[Running]:
    running = Running()
    running.steps(20)
    yield running
    running.close()


def _write(publisher: Publisher, cell: Running, stiffness: Any) -> tuple[Decision, Any]:
    supervisor = cell.supervisor
    sample, dyn = supervisor.sample, supervisor.dyn
    assert sample is not None
    assert dyn is not None
    tau = np.arange(7.0)
    decision = Decision(tau, tau, sample.q + 0.01 * np.arange(7), np.zeros(7, dtype=np.int64), sent=True)
    TelemetryWriter(publisher, stiffness).write(supervisor, decision, 0, 0, 0)
    return decision, (sample.q, dyn.g)


def test_total_torque_holds_the_robots_own_spring(publisher: Publisher, cell: Running) -> None:
    """Command, gravity and spring, as the gate adds them up."""
    stiffness = np.array([100.0, 200.0, 0.0, 50.0, 0.0, 10.0, 300.0])
    decision, (q, g) = _write(publisher, cell, stiffness)
    expected = decision.tau + g + stiffness * (decision.q_ref - q)
    np.testing.assert_allclose(publisher.fields["tau_total"], expected, rtol=1e-12)
    assert np.abs(expected - decision.tau - g).max() > 1.0
    _write(publisher, cell, None)
    np.testing.assert_allclose(publisher.fields["tau_total"], decision.tau + g, rtol=1e-12)


def test_losses_of_the_sensor_stand_in_the_row(
    publisher: Publisher, cell: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing and refused frames; bytes that were skipped are no frames."""
    health = LinkHealth(gaps=4, rejected={"crc": 2, "flags": 1, "skipped_bytes": 70})
    monkeypatch.setattr(cell.sensor, "health", lambda: health)
    _write(publisher, cell, None)
    assert (publisher.fields["ft_gaps"][()], publisher.fields["ft_rejected"][()]) == (4, 3)
    assert (publisher.fields["gaps"][()], publisher.fields["rejected"][()]) == (0, 0)
