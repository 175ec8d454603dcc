"""Figure of a learnt feed-forward: stiffness that follows its uncertainty, the torque with its band, the load."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import yaml
from matplotlib.figure import Figure

from hil.job import CELL_NAME
from hil.report.drawing import BAND_COLOUR, COLOURS, fill, finish, joint_names, legend, line, panels
from hil.report.summary import has
from hil.telemetry.log import Log

Array = npt.NDArray[np.float64]

SHOWN = 2
"""Joints whose torque is drawn: those where the model was the least sure."""


def feed_forward(log: Log) -> Figure | None:
    """None where no controller with a learnt feed-forward ran."""
    if not has(log, "tau_ff", "tau_ff_sd", "kp") or not np.isfinite(log.cycle["tau_ff_sd"]).any():
        return None
    t, n = log.seconds, log.cycle["kp"].shape[1]
    sd, tau = log.cycle["tau_ff_sd"], log.cycle["tau_ff"]
    unsure = np.argsort(-np.nanmax(np.where(np.isfinite(sd), sd, -1.0), axis=0))[:SHOWN]
    loaded = has(log, "load_mass") and bool(np.isfinite(log.cycle["load_mass"]).any())
    figure, axes = panels(1 + len(unsure) + loaded, 2.0)
    share, label = _share(log)
    for k, name in enumerate(joint_names(n)):
        line(axes[0], t, share[:, k], COLOURS[k % len(COLOURS)], label=name)
    axes[0].set_ylabel(label)
    legend(axes[0])
    for axis, j in zip(axes[1:], sorted(unsure), strict=False):
        fill(axis, t, tau[:, j], 2.0 * sd[:, j])
        line(axis, t, tau[:, j], BAND_COLOUR, label="feed-forward")
        if has(log, "tau_wanted"):
            wanted = np.where(np.isfinite(tau[:, j]), log.cycle["tau_wanted"][:, j], np.nan)
            line(axis, t, wanted, COLOURS[1], label="with feedback")
        axis.set_ylabel(f"torque A{j + 1} / N·m")
        legend(axis)
    if loaded:
        mass, mass_sd = log.cycle["load_mass"], log.cycle["load_mass_sd"]
        fill(axes[-1], t, mass, 2.0 * mass_sd)
        line(axes[-1], t, mass, BAND_COLOUR, label="load")
        seen = mass[np.isfinite(mass)]
        # Just after a grasp nothing is known of the load: that band would hide everything else.
        axes[-1].set_ylim(min(-0.5, float(seen.min()) - 0.5), max(1.0, float(seen.max()) + 0.5))
        axes[-1].set_ylabel("estimated load / kg")
        legend(axes[-1])
    return finish(log, figure, axes)


def _share(log: Log) -> tuple[Array, str]:
    """Stiffness in % of the largest that the cell file allows, where it can be read, else N·m/rad; its label."""
    kp: Array = log.cycle["kp"]
    try:
        learned = yaml.safe_load(log.attachments[CELL_NAME])["controller"]["joint"]["learned"]
        most = np.array(learned["kp_max"], dtype=np.float64) * np.ones(kp.shape[1])
    except (KeyError, TypeError, ValueError, yaml.YAMLError):
        return kp, "stiffness / N·m/rad"
    return kp / most * 100.0, "stiffness / % of largest"
