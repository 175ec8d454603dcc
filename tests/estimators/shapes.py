"""An oracle for distances of an arm's collision shapes that shares no code with the one under test.

The URDF is read and its kinematics computed here; the distance of two convex shapes is found by projecting onto them in
turn, which converges to the nearest points. All postures at once, in numpy.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shape:
    """``kind`` sphere, cylinder or box with ``size`` (radius; radius and length; edges) on a link."""

    name: str
    link: str
    kind: str
    size: tuple[float, ...]
    pose: Array
    """(4, 4) link ← shape."""


def _vector(text: str | None) -> Array:
    return np.array([float(x) for x in (text or "0 0 0").split()])


def _pose(origin: ET.Element | None) -> Array:
    pose = np.eye(4)
    if origin is None:
        return pose
    (cr, cp, cy), (sr, sp, sy) = (f(_vector(origin.get("rpy"))) for f in (np.cos, np.sin))
    turn_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    turn_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    turn_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    pose[:3, :3] = turn_z @ turn_y @ turn_x
    pose[:3, 3] = _vector(origin.get("xyz"))
    return pose


def shapes(urdf_xml: str) -> list[Shape]:
    """All collision shapes, named as Pinocchio names them."""
    found = []
    for link in ET.fromstring(urdf_xml).iter("link"):
        for k, collision in enumerate(link.iter("collision")):
            geometry = collision.find("geometry")
            assert geometry is not None
            (kind,) = list(geometry)
            keys = {"sphere": ("radius",), "cylinder": ("radius", "length")}[kind.tag]
            size = tuple(float(kind.get(key, "nan")) for key in keys)
            link_name = link.get("name", "")
            found.append(Shape(f"{link_name}_{k}", link_name, kind.tag, size, _pose(collision.find("origin"))))
    return found


def link_poses(urdf_xml: str, q: Array) -> dict[str, Array]:
    """(m, 4, 4) base ← link for postures (m, n)."""
    root = ET.fromstring(urdf_xml)
    poses: dict[str, Array] = {}
    joints = list(root.iter("joint"))
    children = {joint.find("child").get("link") for joint in joints}  # type: ignore[union-attr]
    for link in root.iter("link"):
        if link.get("name") not in children:
            poses[link.get("name", "")] = np.broadcast_to(np.eye(4), (len(q), 4, 4))
    moving = 0
    for joint in joints:
        parent = joint.find("parent").get("link", "")  # type: ignore[union-attr]
        child = joint.find("child").get("link", "")  # type: ignore[union-attr]
        pose = poses[parent] @ _pose(joint.find("origin"))
        if joint.get("type") == "revolute":
            axis = _vector(joint.find("axis").get("xyz"))  # type: ignore[union-attr]
            K = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
            angle = q[:, moving, None, None]
            turn = np.broadcast_to(np.eye(4), (len(q), 4, 4)).copy()
            turn[:, :3, :3] = np.eye(3) + np.sin(angle) * K + (1.0 - np.cos(angle)) * (K @ K)
            pose = pose @ turn
            moving += 1
        poses[child] = pose
    return poses


def _onto(shape: Shape, local: Array) -> Array:
    """The nearest points of a shape to (m, 3), in its own frame."""
    if shape.kind == "sphere":
        length = np.maximum(np.linalg.norm(local, axis=1, keepdims=True), 1e-12)
        return local * np.minimum(1.0, shape.size[0] / length)
    radius, height = shape.size
    wide = np.maximum(np.linalg.norm(local[:, :2], axis=1, keepdims=True), 1e-12)
    flat = local[:, :2] * np.minimum(1.0, radius / wide)
    return np.hstack((flat, np.clip(local[:, 2:], -height / 2.0, height / 2.0)))


def distance(a: Shape, b: Shape, poses: dict[str, Array], rounds: int = 150) -> Array:
    """(m,) m; about 0 where the two overlap."""
    frames = [poses[each.link] @ each.pose for each in (a, b)]
    point = frames[0][:, :3, 3]
    last = point
    for k in range(2 * rounds):
        shape, frame = ((a, b)[k % 2 - 1], frames[k % 2 - 1])
        local = np.einsum("mji,mj->mi", frame[:, :3, :3], point - frame[:, :3, 3])
        last, point = point, np.einsum("mij,mj->mi", frame[:, :3, :3], _onto(shape, local)) + frame[:, :3, 3]
    gap: Array = np.linalg.norm(point - last, axis=1)
    return gap
