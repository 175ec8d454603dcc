"""One robot's recordings as the methods get them: nominal model, runs, virtual measurements, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.residual.semiparametric import Run as FreeRun
from estimators.rigid_body import RigidBodyModel
from hil.campaigns import kvark_frozen, kvark_plant
from hil.campaigns.kvark_friction import FAMILIES
from hil.campaigns.kvark_frozen import FREE, SCORED, TRAIN, TUNE
from hil.reproduce.group import DataError

__all__ = ["CALIBRATE", "FREE", "RUNS", "SCORED", "TRAIN", "TUNE", "VALIDATE", "Case", "frozen", "frozen_families",
           "simulated"]  # fmt: skip

Array = npt.NDArray[np.float64]

VALIDATE = "validate"
CALIBRATE = "calibrate_ptp"
RUNS = (*TRAIN, VALIDATE, "tune_ptp", CALIBRATE, *FREE, *SCORED)


@dataclass(eq=False)
class Case:
    """One robot: ``runs`` by name, each with ``q``, ``qd``, ``tau`` and in tests ``tau_ext`` and ``wrench``."""

    name: str
    """For people, e.g. ``maxwell_slip, robot 3``."""
    family: str
    make_model: Callable[[], RigidBodyModel]
    """A fresh nominal model."""
    runs: Mapping[str, kvark_plant.Run]
    dt: float = kvark_plant.DT
    _measured: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    kept: dict[str, object] = field(default_factory=dict)
    """Residual models that several methods share, by the name of their recipe."""

    def measured(self, name: str) -> tuple[Array, Array]:
        """y (m, n) of the nominal model, its first row NaN, and the Jacobians (m, 6, n) of a run."""
        if name not in self._measured:
            self._measured[name] = self.measure(self.make_model(), name)
        return self._measured[name]

    def measure(self, model: RigidBodyModel, name: str) -> tuple[Array, Array]:
        """The same with another model; not kept."""
        run = self.runs[name]
        return virtual_measurement.replay(model, run["q"], run["qd"], run["tau"], self.dt)

    def labels(self, names: tuple[str, ...]) -> tuple[Array, Array]:
        """Velocities and residual torques (k, n) of contact-free runs."""
        pairs = [virtual_measurement.labels(self.runs[name]["qd"], self.measured(name)[0], self.dt) for name in names]
        return np.concatenate([s for s, _ in pairs]), np.concatenate([tau for _, tau in pairs])

    def free(self, name: str) -> FreeRun:
        """A run in the form that residual models with memory learn from."""
        run = self.runs[name]
        return FreeRun(run["q"], run["qd"], run["tau"], self.dt)


def simulated(family: str, seed: int, shorten: float = 1.0, tell: Callable[[str], None] | None = None) -> Case:
    """The robot ``seed`` of ``family``, simulated now."""
    robot = kvark_plant.draw(family, seed)
    runs = kvark_plant.runs(robot, tell, shorten=shorten)
    return Case(f"{family}, robot {seed}", family, kvark_plant.nominal_model, runs)


def frozen_families(folder: Path) -> tuple[str, ...]:
    """Families of which ``folder`` has a frozen simulation. Raises DataError for a folder without any."""
    found = tuple(family for family in FAMILIES if (folder / f"cobot_sim_{family}.npz").is_file())
    if not found or not (folder / "cobot_sim.urdf").is_file():
        raise DataError(
            f"{folder} has no cobot_sim.urdf with cobot_sim_FAMILY.npz beside it (families: {', '.join(FAMILIES)}); "
            "name the folder of the recordings with --data"
        )
    return found


def frozen(folder: Path, family: str) -> Case:
    """The frozen simulation of ``family``. Raises DataError for a file that lacks runs or is none."""
    path = folder / f"cobot_sim_{family}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            runs: dict[str, dict[str, Array]] = {}
            for key in file.files:
                run, _, what = key.partition("/")
                runs.setdefault(run, {})[what] = np.array(file[key], dtype=np.float64)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); copy it anew") from error
    missing = [name for name in RUNS if not {"q", "qd", "tau"} <= set(runs.get(name, ()))]
    if missing:
        raise DataError(f"{path} lacks the runs {', '.join(missing)}; expected {', '.join(RUNS)}")
    return Case(f"{family}, frozen", family, lambda: kvark_frozen.rigid_body(folder), runs)
