"""Guiding by hand: a spring of 300 N/m pulls the flange along a path of 0.3 m, then lets go."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

import hil
from drivers.contract import Array
from hil.control import ControlError, FreeDrive, FreeDriveParams
from hil.control.free_drive import SpeedCap
from hil.guiding import Guided, GuidingEnd
from hil.motion.profiles import min_jerk
from safety.states import State
from safety.stops import StopParams

LENGTH, STIFFNESS, DURATION = 0.3, 300.0, 5.0
SIDEWAYS, OUT, UP = np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.3]), np.array([-0.3, 0.5, 0.8])
STANDS = StopParams().standstill_speed
"""rad/s below which every joint stands."""


@dataclass
class Hand:
    """Holds the key, pulls through a spring on every tick, and lets go of one or both after ``until`` s."""

    session: hil.Session
    direction: Array
    duration: float = DURATION
    until: float = DURATION + 0.5
    key_too: bool = True
    after: float = 1.5
    forces: list[float] = field(default_factory=list)
    begin: Array | None = None
    left_ns: int = -1
    left_at: Array | None = None

    def tip(self) -> Array:
        return np.array(self.session.mock.state()["tcp"])

    def held(self) -> bool:
        motion = self.session.supervisor.motion
        if motion is None or motion.name != "free drive":
            return True  # the bias is being taken: the hand keeps off
        if self.begin is None:
            self.begin = self.tip()
        t = len(self.forces) * 1e-3
        if t < self.until:
            way = min_jerk(min(t, self.duration), self.duration)[0] * LENGTH
            force = STIFFNESS * (self.begin + way * self.direction / np.linalg.norm(self.direction) - self.tip())
            self.forces.append(float(np.linalg.norm(force)))
            self.session.mock.push([*force, 0.0, 0.0, 0.0])
            return True
        if self.left_ns < 0:
            self.session.mock.push(None)
            self.left_ns, self.left_at = round(self.session.time * 1e9), self.tip()
        return not self.key_too and self.session.time - self.left_ns * 1e-9 < self.after

    def guide(self, cap: SpeedCap | None = None) -> Guided:
        guided, _ = self.session.free_drive(self.held, cap=cap)
        return guided

    def since(self) -> tuple[Array, Array]:
        """Truth from the moment of letting go: q and largest joint speed of each tick."""
        truth = self.session.truth()
        k = int(np.searchsorted(truth["t_ns"], self.left_ns))
        return truth["q"][k:], np.abs(truth["qd"][k:]).max(axis=1)


def check(seed: int, direction: Array, *, half_way: bool = False, key_too: bool = True) -> None:
    """Moves the flange the whole way (or half), lets go, and looks at force, stop and creep."""
    with hil.open("iiwa14_polish", seed=seed) as session:
        session.bring_up()
        session.enable()
        hand = Hand(session, direction, until=DURATION / 2 if half_way else DURATION + 0.5, key_too=key_too)
        guided = hand.guide()
        if key_too:
            session.step(1500)
            assert session.state is State.STOPPING  # held under power
        assert guided.end is GuidingEnd.RELEASED
        assert session.supervisor.machine.faults == []
        assert max(hand.forces) <= 15.0
        assert hand.begin is not None
        assert hand.left_at is not None
        moved = float(np.linalg.norm(hand.left_at - hand.begin))
        assert moved >= (0.1 if half_way else LENGTH - 0.03)
        q, speed = hand.since()
        window = slice(200, 1500)
        assert speed[window].max() < STANDS, f"seed {seed}: {speed[window].max()} rad/s"
        creep = np.abs(q[window] - q[200]).max()
        assert creep < (0.003 if key_too else 0.02), f"seed {seed}: {creep} rad"


@pytest.mark.parametrize("seed", [0, 1])
def test_a_hand_moves_the_flange_and_letting_go_of_the_key_stops_it(seed: int) -> None:
    check(seed, SIDEWAYS, half_way=seed == 0)


@pytest.mark.accept
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("direction", [SIDEWAYS, OUT, UP], ids=["sideways", "out", "up"])
@pytest.mark.parametrize("half_way", [False, True], ids=["at the end", "half way"])
def test_every_seed_in_every_direction(seed: int, direction: Array, half_way: bool) -> None:
    check(seed, direction, half_way=half_way)


@pytest.mark.accept
@pytest.mark.parametrize("seed", range(5))
def test_a_hand_that_lets_go_while_the_key_is_held(seed: int) -> None:
    check(seed, SIDEWAYS, half_way=True, key_too=False)


def test_faster_than_the_cap_is_a_stop_of_category_2_and_no_fault() -> None:
    with hil.open("iiwa14_polish") as session:
        session.bring_up()
        session.enable()
        hand = Hand(session, SIDEWAYS, duration=1.5)
        guided = hand.guide(SpeedCap(tcp=0.1))
        session.mock.push(None)
        session.step(100)
        assert guided.end is GuidingEnd.TOO_FAST
        assert 0.1 < guided.speed < 0.12
        assert session.state is State.STOPPING
        assert session.supervisor.stop_category == 2
        assert session.supervisor.machine.faults == []
        session.stop()
        session.enable()
        assert session.state is State.ENABLED


@pytest.mark.parametrize("wrong", [{"share": 1.0}, {"smooth": 0.0}, {"hand": -1.0}, {"damping": float("nan")}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ControlError, match=next(iter(wrong))):
        FreeDriveParams(**wrong)


def test_a_bias_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ControlError, match="bias"):
        FreeDrive(7, frozenset(), np.full(7, -2.0), np.full(7, 2.0), np.full(7, np.nan))
