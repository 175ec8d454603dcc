"""Pushes on an arm that is held: observer, F/T sensor and the mock's truth agree in sign and, within bounds, in size.

Measured over seeds 0 to 4 of the standard profile, 110 ms after the push is complete, mean of 50 ms: the F/T sensor is
within 0.6 N and 0.06 N·m of the truth on every axis, the observer within 0.5 N and 0.05 N·m.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drivers.contract import Array
from hil.procedure import check_and_tare, connect, follow
from safety.states import State
from tests.hil.running import Running

FORCE, MOMENT = 15.0, 0.5
"""N, N·m; about each axis of the base, at the TCP."""
RAMP, SETTLE, MEAN = 40, 110, 50
"""Ticks: to change from one push to the next, to wait, to average over."""
FT_BOUND = np.repeat((1.0, 0.1), 3)
OBSERVER_BOUND = np.repeat((1.0, 0.15), 3)
PUSHES = [(axis, sign) for axis in range(6) for sign in (1.0, -1.0)]
_AXES = ("x", "y", "z", "about x", "about y", "about z")


def _push_all(running: Running) -> dict[tuple[int, float], dict[str, Array]]:
    """By push: mean F/T, observer and true wrench (6,), and for the first two the extreme on the pushed axis."""
    seen: dict[tuple[int, float], dict[str, Array]] = {}
    supervisor, last = running.supervisor, np.zeros(6)
    for axis, sign in PUSHES:
        wrench = np.zeros(6)
        wrench[axis] = sign * (FORCE if axis < 3 else MOMENT)
        for k in range(1, RAMP + 1):
            running.control.push((last + (wrench - last) * (k / RAMP)).tolist())
            running.steps(1)
        last = wrench
        running.steps(SETTLE)
        rows = []
        for _ in range(MEAN):
            running.steps(1)
            estimate = supervisor.estimate
            rows.append((estimate.wrench_ft, estimate.wrench, running.mock.world.wrench_contact))
        ft, observer, truth = (np.array(column) for column in zip(*rows, strict=True))
        assert supervisor.commanded, running.said
        seen[axis, sign] = {
            "ft": ft.mean(axis=0),
            "observer": observer.mean(axis=0),
            "truth": truth.mean(axis=0),
            "least": np.array([(sign * ft[:, axis]).min(), (sign * observer[:, axis]).min()]),
        }
    running.control.push(None)
    return seen


def _tared(start: type[Running], seed: int) -> Running:
    running = start(seed=seed)
    supervisor = running.supervisor

    def bring_up() -> Any:
        yield from connect(supervisor)
        yield from check_and_tare(supervisor, running.cell, running.result)

    follow(supervisor, bring_up())
    assert supervisor.state is State.READY, running.said
    running.hold(150)
    return running


@pytest.mark.parametrize("seed", range(5))
def test_pushes_are_seen_alike_by_observer_sensor_and_truth(start: type[Running], seed: int) -> None:
    running = _tared(start, seed)
    seen = _push_all(running)
    problems = []
    for (axis, sign), means in seen.items():
        size = FORCE if axis < 3 else MOMENT
        name = f"{sign:+.0f} {_AXES[axis]}"
        # What the world felt is what was asked for: the arm is in free air and nothing else touches it.
        assert means["truth"] == pytest.approx(np.eye(6)[axis] * sign * size, abs=1e-6), name
        # every single estimate has the sign of the push, not only their mean
        if not (means["least"] > 0.5 * size).all():
            problems.append(f"{name}: least on the pushed axis (F/T, observer) {means['least']}")
        for who, bound in (("ft", FT_BOUND), ("observer", OBSERVER_BOUND)):
            error = np.abs(means[who] - means["truth"])
            if not (error <= bound).all():
                problems.append(f"{name}: {who} is off by {error}")
    assert problems == []


def test_sensor_and_observer_see_nothing_where_nothing_pushes(start: type[Running]) -> None:
    """After the tare both read about zero, although sensor and torque sensors have offsets and the masses are off."""
    running = _tared(start, 0)
    estimates = []
    raw = []
    for _ in range(100):
        running.steps(1)
        estimate, wrench = running.supervisor.estimate, running.supervisor.wrench
        assert wrench is not None
        estimates.append((estimate.wrench_ft, estimate.wrench))
        raw.append(wrench.wrench)
    ft, observer = (np.mean(column, axis=0) for column in zip(*estimates, strict=True))
    assert np.abs(np.mean(raw, axis=0))[:3].max() > 3.0  # weight of the tool and offset
    assert (np.abs(ft) <= FT_BOUND).all(), ft
    assert (np.abs(observer) <= OBSERVER_BOUND).all(), observer
