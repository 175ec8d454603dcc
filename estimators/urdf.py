"""From a URDF's text to a Pinocchio model, with every reason to refuse it named."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pinocchio as pin

from estimators.errors import ModelError
from estimators.inertia import inertia_problem


def build_model(urdf_xml: str) -> pin.Model:
    """Parse and check a URDF; ModelError names the first thing that makes it unusable."""
    try:
        root = ET.fromstring(urdf_xml)
    except ET.ParseError as error:
        raise ModelError(f"the URDF is not well-formed XML ({error}); pass the file's text, not its path") from error
    if root.tag != "robot":
        raise ModelError(f"the URDF's root element is <{root.tag}>; expected <robot>")
    try:
        model = pin.buildModelFromXML(urdf_xml)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"Pinocchio refuses the URDF: {error}") from error
    if model.nv == 0:
        raise ModelError("the URDF has no moving joint")
    for i in range(1, model.njoints):
        name, joint, body = model.names[i], model.joints[i], model.inertias[i]
        if joint.nq != 1 or joint.nv != 1:
            raise ModelError(
                f"joint {name!r} is {joint.shortname()}; expected revolute or prismatic with limits "
                "(a continuous joint must be given limits)"
            )
        if not np.isfinite(body.mass) or body.mass <= 0.0:
            raise ModelError(
                f"the link moved by joint {name!r} has mass {body.mass}; every moving link needs <inertial>"
            )
        problem = inertia_problem(np.asarray(body.inertia))
        if problem:
            raise ModelError(f"the link moved by joint {name!r}: {problem}")
        low, high = model.lowerPositionLimit[i - 1], model.upperPositionLimit[i - 1]
        qd_max, tau_max = model.upperVelocityLimit[i - 1], model.upperEffortLimit[i - 1]
        limits = (low, high, qd_max, tau_max)
        if not np.isfinite(limits).all() or not low < high or qd_max <= 0.0 or tau_max <= 0.0:
            raise ModelError(
                f"joint {name!r} has limits lower {low}, upper {high}, velocity {qd_max}, effort {tau_max}; "
                "expected finite values, lower < upper, velocity and effort > 0"
            )
    return model
