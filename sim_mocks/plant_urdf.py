"""From the nominal URDF to the plant: perturbed inertials, and the tool on a sensor joint at the flange.

The plant is what the physics simulates and nobody else sees. Compared with the nominal model every moving link's
mass, centre of mass and inertia are off as the profile's ``plant_inertials`` say; kinematics and limits are the
same. The flange frame is replaced by a fixed joint ``ft_sensor`` to a link ``tool`` whose frame is the sensor's
measuring frame; everything beyond the sensor (tool and payload, merged into one rigid body) is that link's inertial.
"""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from collections.abc import Iterable

import numpy as np
import pinocchio as pin

from drivers.contract import Array
from estimators.errors import ModelError
from estimators.rigid_body import BodyInertia
from sim_mocks.errors import WorldError
from sim_mocks.profiles import Profile
from sim_mocks.world import WorldConfig

SENSOR_JOINT = "ft_sensor"
TOOL_LINK = "tool"
PAYLOAD_RADIUS = 0.03
"""A payload is a solid ball of this radius, m: only that gives it an inertia of its own."""
_LEAST_MASS = 1e-6
"""kg of the tool link where there is no tool: the physics engine takes a link without mass for a fixed one."""


def nominal_tool(config: WorldConfig) -> BodyInertia:
    """The configured tool in the flange frame. Raises WorldError for an inertia that no body has."""
    try:
        return BodyInertia(config.tool_mass, np.array(config.tool_com), np.array(config.tool_inertia))
    except ModelError as error:
        raise WorldError(f"tool of the world: {error}") from None


def plant_tool(config: WorldConfig, profile: Profile) -> BodyInertia:
    """The real tool, which weighs ``tool_mass_factor`` times what the configuration says."""
    factor = profile.section("plant_inertials").number("tool_mass_factor", 1.0)
    nominal = nominal_tool(config)
    return BodyInertia(nominal.mass * factor, nominal.com, nominal.inertia * factor)


def payload_body(mass: float, com: Array) -> BodyInertia:
    """A payload as a rigid body: a solid ball of ``PAYLOAD_RADIUS``. Raises WorldError for what cannot be."""
    com = np.asarray(com, dtype=np.float64)
    if com.shape != (3,) or not np.isfinite(com).all() or not np.isfinite(mass) or mass <= 0.0:
        raise WorldError(f"read a payload of {mass} kg at {com}; expected a finite mass above 0 and three coordinates")
    return BodyInertia(mass, com, np.eye(3) * 0.4 * mass * PAYLOAD_RADIUS**2)


def perturbed(urdf: str, flange: str, profile: Profile) -> ET.Element:
    """The arm with its real inertials, the flange link still on it. Raises WorldError for a URDF of another form."""
    try:
        root = ET.fromstring(urdf)
    except ET.ParseError as error:
        raise WorldError(f"the URDF is not well-formed XML: {error}") from None
    links = moving_links(root)
    if len(links) != profile.n:
        raise WorldError(f"the URDF has {len(links)} moving joints, the start configuration {profile.n}")
    for link in root.findall("link"):
        if link.get("name") not in (flange, _base(root)) and link.find("inertial") is None:
            raise WorldError(f"link {link.get('name')!r} has no <inertial>; the physics would take it for 1 kg")
    section = profile.section("plant_inertials")
    mass = section.vector("mass_factor", 1.0)
    inertia = section.vector("inertia_factor", 1.0) * mass
    com_factor, com_shift = section.vector("com_factor", 1.0), section.array("com_shift", (profile.n, 3))
    by_name = {link.get("name"): link for link in root.findall("link")}
    for i, name in enumerate(links):
        body = read_inertial(by_name[name])
        changed = BodyInertia(body.mass * mass[i], body.com * com_factor[i] + com_shift[i], body.inertia * inertia[i])
        write_inertial(by_name[name], changed)
    return root


def with_tool(arm: ET.Element, config: WorldConfig, tool: BodyInertia) -> str:
    """URDF text of the arm with its flange replaced by the sensor joint and ``tool`` (given in the flange frame)."""
    root = copy.deepcopy(arm)
    flange = next((link for link in root.findall("link") if link.get("name") == config.flange), None)
    mount = next((j for j in root.findall("joint") if _name(j, "child") == config.flange), None)
    if flange is None or mount is None or mount.get("type") != "fixed" or flange.find("inertial") is not None:
        raise WorldError(
            f"expected link {config.flange!r} to be an empty frame on a fixed joint; the sensor and tool take its place"
        )
    in_flange = se3(config.sensor_pos, config.sensor_rpy)
    origin = mount.find("origin")
    flange_in_link = se3(_floats(origin, "xyz"), _floats(origin, "rpy"))
    root.remove(flange)
    root.remove(mount)

    joint = ET.SubElement(root, "joint", name=SENSOR_JOINT, type="fixed")
    ET.SubElement(joint, "parent", link=_name(mount, "parent"))
    ET.SubElement(joint, "child", link=TOOL_LINK)
    _write_origin(joint, flange_in_link * in_flange)
    link = ET.SubElement(root, "link", name=TOOL_LINK)
    to_sensor = in_flange.inverse()
    rotation = to_sensor.rotation
    com = to_sensor.act(tool.com)
    if tool.mass < _LEAST_MASS:
        write_inertial(link, BodyInertia(_LEAST_MASS, com, np.eye(3) * _LEAST_MASS * 1e-4))
    else:
        write_inertial(link, BodyInertia(tool.mass, com, rotation @ tool.inertia @ rotation.T))
    tcp = to_sensor * se3(config.tcp_pos, config.tcp_rpy)
    collision = ET.SubElement(link, "collision")
    _write_origin(collision, tcp * se3((0.0, 0.0, -config.tip_radius), (0.0, 0.0, 0.0)))
    ET.SubElement(ET.SubElement(collision, "geometry"), "sphere", radius=repr(config.tip_radius))
    return ET.tostring(root, encoding="unicode")


def moving_links(root: ET.Element) -> list[str]:
    """Children of the moving joints from the base to the flange. Raises WorldError unless they form one chain."""
    after = {_name(joint, "parent"): joint for joint in root.findall("joint")}
    if len(after) != len(root.findall("joint")):
        raise WorldError("a link of the URDF carries two joints; expected one chain from base to flange")
    links, at = [], _base(root)
    while at in after:
        joint, at = after[at], _name(after[at], "child")
        if joint.get("type") == "revolute":
            links.append(at)
        elif joint.get("type") != "fixed":
            raise WorldError(f"joint {joint.get('name')!r} is {joint.get('type')!r}; expected revolute or fixed")
    return links


def read_inertial(link: ET.Element) -> BodyInertia:
    """Mass, centre of mass and inertia of a link, in the axes of the link's frame."""
    inertial = link.find("inertial")
    mass, inertia = (None, None) if inertial is None else (inertial.find("mass"), inertial.find("inertia"))
    if inertial is None or mass is None or inertia is None:
        raise WorldError(f"link {link.get('name')!r} lacks <mass> or <inertia> in its <inertial>")
    entry = {key: float(inertia.get(key, "0")) for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")}
    about_com = np.array(
        [
            [entry["ixx"], entry["ixy"], entry["ixz"]],
            [entry["ixy"], entry["iyy"], entry["iyz"]],
            [entry["ixz"], entry["iyz"], entry["izz"]],
        ]
    )
    placement = se3(_floats(inertial.find("origin"), "xyz"), _floats(inertial.find("origin"), "rpy"))
    return BodyInertia(
        float(mass.get("value", "0")), placement.translation, placement.rotation @ about_com @ placement.rotation.T
    )


def write_inertial(link: ET.Element, body: BodyInertia) -> None:
    """Replace a link's inertial, along principal axes: PyBullet would find them only to five digits itself."""
    old = link.find("inertial")
    if old is not None:
        link.remove(old)
    moments, axes = np.diag(body.inertia), np.eye(3)
    if np.abs(body.inertia - np.diag(moments)).max() > 0.0:
        moments, axes = np.linalg.eigh(body.inertia)
        if np.linalg.det(axes) < 0.0:
            axes = axes * np.array([1.0, 1.0, -1.0])
    inertial = ET.SubElement(link, "inertial")
    _write_origin(inertial, pin.SE3(axes, body.com))
    ET.SubElement(inertial, "mass", value=repr(float(body.mass)))
    ixx, iyy, izz = (repr(float(moment)) for moment in moments)
    ET.SubElement(inertial, "inertia", ixx=ixx, ixy="0", ixz="0", iyy=iyy, iyz="0", izz=izz)


def _base(root: ET.Element) -> str:
    children = {_name(joint, "child") for joint in root.findall("joint")}
    roots = [name for link in root.findall("link") if (name := link.get("name", "")) not in children]
    if len(roots) != 1:
        raise WorldError(f"the URDF has the root links {roots}; expected exactly one base")
    return roots[0]


def _name(joint: ET.Element, end: str) -> str:
    element = joint.find(end)
    name = None if element is None else element.get("link")
    if name is None:
        raise WorldError(f"joint {joint.get('name')!r} names no {end} link")
    return name


def _floats(origin: ET.Element | None, key: str) -> tuple[float, ...]:
    return (0.0, 0.0, 0.0) if origin is None else tuple(float(x) for x in origin.get(key, "0 0 0").split())


def se3(pos: Iterable[float], rpy: Iterable[float]) -> pin.SE3:
    """A pose from position (m) and roll, pitch, yaw about fixed axes (rad), as URDF has them."""
    return pin.SE3(pin.rpy.rpyToMatrix(np.array([*rpy], dtype=np.float64)), np.array([*pos], dtype=np.float64))


def _write_origin(parent: ET.Element, placement: pin.SE3) -> None:
    xyz = " ".join(repr(float(x)) for x in placement.translation)
    rpy = " ".join(repr(float(x)) for x in pin.rpy.matrixToRpy(placement.rotation))
    ET.SubElement(parent, "origin", xyz=xyz, rpy=rpy)
