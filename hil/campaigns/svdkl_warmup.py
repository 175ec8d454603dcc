"""What the models of the pick-and-place experiment know before it: rhythmic motions, recorded through the mock's wire.

Every motion is one trajectory: all joints swing sinusoidally, each at its own frequency, about a random posture. On the
``near`` side the elbow stands where the task has it. Its mirror image in the base's x-z plane turns A1, A3, A5 and A7
round; there A3 carries the arm's weight with the other sign, so a model that has seen the near side alone has to
generalise. ``both`` takes one side and the other in turn.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from estimators.dynamics.prior import fingerprint
from estimators.dynamics.samples import Samples
from estimators.errors import ModelError
from estimators.files import DAMAGED, read, write
from hil import session
from hil.build import build_model, check_motion
from hil.cell import Cell
from hil.learning.dynamics_data import commanded, from_segment
from hil.learning.dynamics_split import by_trajectory
from hil.learning.feed_forward import COMMANDED
from hil.learning.segments import Segment
from hil.motion import JointSinusoids, MotionError
from hil.motion.inverse import mirrored_posture

if TYPE_CHECKING:
    from hil.learning.dynamics import Family, Physics

Array = npt.NDArray[np.float64]
Side = Literal["near", "both"]

SECONDS = 6.0
"""Of each trajectory."""
LOW = np.array([-0.40, 0.20, 0.35, -1.80, -0.70, 0.80, -0.10])
HIGH = np.array([0.50, 0.85, 0.80, -1.15, -0.05, 1.45, 0.90])
"""Between these lie the postures about which it swings, rad, on the near side."""
AMPLITUDE = np.array([0.30, 0.25, 0.30, 0.30, 0.40, 0.35, 0.45])
"""Largest, rad."""
FREQUENCY = (0.15, 0.60)
"""Hz."""
PACE = 0.6
"""Largest share of the speed limits."""
_PER_SESSION = 10
"""Motions after which the mock is started anew, so that its record of the truth stays small."""
_TRIES = 50
_NAMES = ("q", "qd", "qdd", "tau", "trajectory")


def motion(cell: Cell, side: Side, k: int, seed: int) -> tuple[Array, JointSinusoids]:
    """Posture (n,) rad that trajectory ``k`` begins in, and its motion. Raises MotionError for a cell without room."""
    rng = np.random.default_rng([seed, k])
    limits = cell.robot.joint_limits
    for _ in range(_TRIES):
        frequency = rng.uniform(*FREQUENCY, 7)
        amplitude = AMPLITUDE * rng.uniform(0.3, 1.0, 7)
        amplitude = np.minimum(amplitude, PACE * limits.qd_max / (2.0 * np.pi * frequency))
        centre = rng.uniform(LOW, HIGH)
        if side == "both" and k % 2:
            centre = mirrored_posture(build_model(cell), centre)
        made = JointSinusoids(amplitude, frequency, SECONDS, name=f"rhythm{k}")
        made.start(centre, np.zeros(3), np.eye(3))
        try:
            check_motion(made, cell)
        except MotionError:
            continue
        return centre, made
    raise MotionError(f"{_TRIES} rhythmic motions all left the limits of {cell.name}")


def arm_of(cell: Cell) -> dict[str, str]:
    """What a recording is of: rigid body with tool, and which simulated plant."""
    assert cell.mock is not None
    return {"arm": fingerprint(build_model(cell)), "plant": f"{cell.mock.profile} {cell.mock.seed}"}


def record(cell: Cell, side: Side, count: int, seed: int, path: Path) -> Samples:
    """``count`` trajectories; kept in ``path``, and taken from there once they are. Raises what a session raises.

    Rhythmic motions of the same arm that were recorded otherwise may be put there with :func:`keep`.
    """
    about = arm_of(cell) | {"side": side, "motions": f"sinusoids of {SECONDS:g} s, seed {seed}"}
    kept = _kept(path, about)
    parts = [] if kept is None else [kept]
    done = 0 if kept is None else len(kept.trajectories)
    while done < count:
        last = min(count, done + _PER_SESSION)
        parts += _session(cell, side, range(done, last), seed)
        done = last
        whole = _joined(parts)
        parts = [whole]
        keep(path, about, whole)
    return first(_joined(parts), count)


def keep(path: Path, about: dict[str, str], samples: Samples) -> None:
    """Write a recording; ``about``: :func:`arm_of`, ``side``, and ``motions`` in words. Raises OSError."""
    write(path, about, {name: getattr(samples, name) for name in _NAMES})


def first(samples: Samples, count: int) -> Samples:
    """The first ``count`` trajectories."""
    rows = samples.trajectory < count
    own = (getattr(samples, name)[rows] for name in _NAMES)
    return Samples(*own)


def train(cell: Cell, samples: Samples, family: Family, physics: Physics, seed: int, path: Path) -> Path:
    """A model of the commanded torque from ``samples``, kept in ``path``. Raises as ``train_dynamics``."""
    # PyTorch takes seconds to import: only who trains waits for it.
    from hil.learning.dynamics import Request, train_dynamics

    if not path.is_file():
        request = Request(family=family, physics=physics, seed=seed, device="cpu")
        about = {"torque": COMMANDED, "trajectories": len(samples.trajectories)}
        made = train_dynamics(by_trajectory(samples, seed=seed), request, build_model(cell), about)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        made.save(part)
        part.replace(path)
    return path


def _session(cell: Cell, side: Side, numbers: range, seed: int) -> list[Samples]:
    found = []
    with session.open(cell) as arm:
        arm.bring_up()
        arm.enable()
        for k in numbers:
            centre, swing = motion(cell, side, k, seed)
            arm.move_to(centre)
            trace = arm.run(swing)
            q, qd, tau, tau_cmd, g = (
                np.array(trace[name], dtype=np.float64) for name in ("q", "qd", "tau", "tau_cmd", "g")
            )
            piece = Segment(swing.name, q, qd, tau, arm.dt, None, tau_cmd, g)
            found.append(from_segment(commanded(piece, "commanded+gravity"), k))
    return found


def _kept(path: Path, about: dict[str, str]) -> Samples | None:
    """What ``path`` holds of the same motions; None where it holds none. Raises ModelError for others."""
    if not path.is_file():
        return None
    try:
        page, arrays = read(path)
    except DAMAGED as error:
        raise ModelError(f"{path} is no recording of this campaign ({error}): remove it") from error
    for key in ("arm", "plant", "side"):
        if page.get(key) != about[key]:
            raise ModelError(
                f"{path} holds motions of the {key} {page.get(key)!r}, needed is {about[key]!r}: remove it, or take "
                "another folder"
            )
    return Samples(*(arrays[name] for name in _NAMES))


def _joined(parts: list[Samples]) -> Samples:
    return Samples(*(np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES))
