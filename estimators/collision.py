"""How far an arm is from itself, from the floor and from boxes around it: one module for planners and for safety.

Shapes are those of the URDF's ``<collision>`` elements, the tool a cylinder from the flange to the TCP. Distances are
Coal's (GJK and EPA) on Pinocchio's geometry model. Not compared: shapes of one link, links that a joint connects, the
floor with the link that turns on the base, and pairs of links that overlap, or keep their distance, in every posture,
since that is how they were drawn. Boxes and floor are never left out for touching: what always touches them is wrongly
described.

Between two postures a bound holds, not a hope: no point of a link moves farther than Σ_j R_j |Δq_j|, where R_j is the
largest distance at which the links beyond joint j can carry it from that joint's axis. The distance anywhere on the
way is then at least (d₀ + d₁ − Σ R |Δq|) / 2, and where that says too little the way is halved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import coal
import numpy as np
import numpy.typing as npt
import pinocchio as pin

from estimators.errors import ModelError
from estimators.pose import checked_pose
from estimators.urdf import build_model

Array = npt.NDArray[np.float64]

ENVIRONMENT = 0
"""Pinocchio's number of the joint that nothing moves."""
FLOOR = "floor"
TOOL = "tool"
_POSTURES = 300
"""Random postures in which a pair of links must overlap to count as drawn that way."""
_STEADY = 1e-5
"""A distance that varies by less, m, is the same in every posture: no motion makes it smaller."""
_FINEST = 1e-3
"""Motion of a link, m, below which a way is not halved any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A box that stands still, base frame: middle (3,) m, axes (3, 3) base ← box, edge lengths (3,) m."""

    name: str
    position: Array
    rotation: Array
    size: Array


@dataclass(frozen=True, slots=True)
class Clearance:
    """The least distance of a posture or a way, m (negative: how deep two shapes overlap), and between what."""

    distance: float
    first: str
    second: str
    at: float = 0.0
    """On a way: position on it, in samples; 0 for a posture."""

    def __str__(self) -> str:
        return f"{self.distance * 1e3:.0f} mm between {self.first} and {self.second}"


class CollisionModel:
    """The arm of ``urdf_xml`` (the text) with a tool, above ``floor`` and among ``boxes``.

    ``tcp`` (3,) m is the TCP in the frame ``flange``, ``tool_radius`` m that of the cylinder around the way to it; no
    tool where either is zero. ``floor``: height of the ground in the base frame, m; None: no ground. Raises ModelError.
    """

    def __init__(
        self,
        urdf_xml: str,
        tcp: Array | None = None,
        tool_radius: float = 0.0,
        floor: float | None = None,
        boxes: Sequence[Box] = (),
        flange: str = "flange",
    ) -> None:
        model = self.model = build_model(urdf_xml)
        try:
            geometry = pin.buildGeomFromUrdfString(model, urdf_xml, pin.GeometryType.COLLISION)
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"the URDF's collision shapes cannot be read: {error}") from error
        moving = {shape.parentJoint for shape in geometry.geometryObjects} - {ENVIRONMENT}
        if not moving:
            raise ModelError("no moving link of the URDF has a <collision> shape: give it some before it is checked")
        self.n: int = model.nv
        if tcp is not None and tool_radius > 0.0:
            _add_tool(model, geometry, np.asarray(tcp, dtype=np.float64), tool_radius, flange)
        links = range(geometry.ngeoms)
        if floor is not None:
            if not math.isfinite(floor):
                raise ModelError(f"floor is {floor}; expected a height in m")
            half_space = coal.Halfspace(np.array([0.0, 0.0, 1.0]), float(floor))
            geometry.addGeometryObject(pin.GeometryObject(FLOOR, ENVIRONMENT, pin.SE3.Identity(), half_space))
        for box in boxes:
            _add_box(geometry, box)
        self._geometry = geometry
        self.names = tuple(shape.name for shape in geometry.geometryObjects)
        """Shapes; ``link_2_1`` is the second one of link_2."""
        self.never_compared: tuple[tuple[str, str], ...] = ()
        """Pairs of links left out because they overlap, or are equally far from each other, in every posture."""
        self.pairs: tuple[tuple[str, str], ...] = ()
        """What is compared, by name."""
        self._data = model.createData()
        self._take(self._pairs(links))
        self._leave_out_untelling(len(links))
        self._margin = -1.0

    def distances(self, q: Array) -> Array:
        """Distance of each of :attr:`pairs`, (p,) m, at ``q`` (n,) rad; −inf where ``q`` is not finite."""
        if not math.isfinite(float(q.sum())):
            return np.full(self._reach.shape[0], -math.inf)
        pin.computeDistances(self.model, self._data, self._geometry, self._geometry_data, q)
        return np.array([result.min_distance for result in self._results])

    def clearance(self, q: Array) -> Clearance:
        """The least distance at ``q`` (n,) rad; −inf where ``q`` is not finite."""
        distances = self.distances(q)
        return self._named(int(np.argmin(distances)), float(distances.min()), 0.0)

    def free(self, q: Array, margin: float) -> bool:
        """Whether nothing at ``q`` (n,) rad is nearer than ``margin`` m: a fifth of the cost of :meth:`clearance`."""
        if not math.isfinite(float(q.sum())):
            return False
        if margin != self._margin:
            self._margin = margin
            for request in self._geometry_data.collisionRequests:
                request.security_margin = margin
        return not pin.computeCollisions(self.model, self._data, self._geometry, self._geometry_data, q, True)

    def check_path(self, q: Array, margin: float, bulge: Array | float = 0.0) -> Clearance:
        """The least distance on the way through ``q`` (m, n) rad, in straight lines of the joints.

        ``bulge`` (n,) rad: how far the joints may leave those lines between two samples. If the distance returned is
        ``margin`` m or more, then it is nowhere less; it may be up to 1 mm less than it really is. If it is less, it is
        that of the first place found too near (the search ends there), or −inf where a position is not finite.
        """
        bulge = np.broadcast_to(np.asarray(bulge, dtype=np.float64), (self.n,))
        slack = self._reach @ bulge
        least = Clearance(math.inf, "", "")
        before: Array | None = None
        for k, row in enumerate(q):
            here = self.distances(row)
            worst = int(np.argmin(here))
            if not here[worst] >= margin:
                return self._named(worst, float(here[worst]), float(k))
            if before is None:
                found = self._named(worst, float(here[worst]), float(k))
            else:
                found = self._between(q[k - 1], before, row, here, margin, slack, (k - 1.0, float(k)))
                if not found.distance >= margin:
                    return found
            if found.distance < least.distance:
                least = found
            before = here
        return least

    def check_move(self, start: Array, end: Array, margin: float) -> Clearance:
        """:meth:`check_path` for the straight line of the joints from ``start`` to ``end``, each (n,) rad."""
        return self.check_path(np.vstack((start, end)), margin)

    def _between(
        self, q0: Array, d0: Array, q1: Array, d1: Array, margin: float, slack: Array, at: tuple[float, float]
    ) -> Clearance:
        """A lower bound of the distance between two samples, halving the way where it does not reach ``margin``."""
        least = Clearance(math.inf, "", "")
        todo = [(q0, d0, q1, d1, *at)]
        while todo:
            a, da, b, db, ta, tb = todo.pop()
            moved = self._reach @ np.abs(b - a)
            bound = np.minimum(np.minimum(da, db), 0.5 * (da + db - moved)) - slack
            worst = int(np.argmin(bound))
            if bound[worst] >= margin or moved[worst] < _FINEST:
                if bound[worst] < least.distance:
                    least = self._named(worst, float(bound[worst]), 0.5 * (ta + tb))
                if not bound[worst] >= margin:
                    return least
                continue
            middle, t = 0.5 * (a + b), 0.5 * (ta + tb)
            d = self.distances(middle)
            worst = int(np.argmin(d))
            if not d[worst] >= margin:
                return self._named(worst, float(d[worst]), t)
            todo += [(middle, d, b, db, t, tb), (a, da, middle, d, ta, t)]
        return least

    def _named(self, pair: int, distance: float, at: float) -> Clearance:
        first, second = self.pairs[pair]
        return Clearance(distance, first, second, at)

    def _pairs(self, links: range) -> list[tuple[int, int]]:
        shapes, parents = self._geometry.geometryObjects, self.model.parents
        pairs = []
        for a, b in combinations(links, 2):
            one, other = shapes[a].parentJoint, shapes[b].parentJoint
            if one != other and parents[one] != other and parents[other] != one:
                pairs.append((a, b))
        for b in range(len(links), len(shapes)):
            for a in links:
                joint = shapes[a].parentJoint
                turns_on_it = shapes[b].name == FLOOR and parents[joint] == ENVIRONMENT
                if joint != ENVIRONMENT and not turns_on_it:
                    pairs.append((a, b))
        return pairs

    def _take(self, pairs: Sequence[tuple[int, int]]) -> None:
        geometry = self._geometry
        geometry.removeAllCollisionPairs()
        for a, b in pairs:
            geometry.addCollisionPair(pin.CollisionPair(a, b))
        self.pairs = tuple((self.names[a], self.names[b]) for a, b in pairs)
        self._geometry_data = geometry.createData()
        self._results = self._geometry_data.distanceResults
        self._reach = np.array([self._relative_reach(a, b) for a, b in pairs]).reshape(len(pairs), self.n)

    def _leave_out_untelling(self, links: int) -> None:
        rng = np.random.default_rng(0)
        low, high = self.model.lowerPositionLimit, self.model.upperPositionLimit
        seen = np.array([self.distances(q) for q in rng.uniform(low, high, (_POSTURES, self.n))])
        telling = (seen.max(axis=0, initial=0.0) > 0.0) & (np.ptp(seen, axis=0) > _STEADY)
        pairs = [(pair.first, pair.second) for pair in self._geometry.collisionPairs]
        keep = [k for k, pair in enumerate(pairs) if telling[k] or max(pair) >= links]
        self.never_compared = tuple(self.pairs[k] for k in range(len(pairs)) if k not in keep)
        self._take([pairs[k] for k in keep])

    def _relative_reach(self, a: int, b: int) -> Array:
        """R_j for the motion of two shapes against each other, (n,): m/rad, 1 for a prismatic joint."""
        one, other = self._shape_reach(a), self._shape_reach(b)
        common = (one > 0.0) & (other > 0.0)  # what moves both moves neither against the other
        return np.where(common, 0.0, one + other)

    def _shape_reach(self, index: int) -> Array:
        """R_j of one shape: from joint j along the links to its farthest point, (n,)."""
        model, shape = self.model, self._geometry.geometryObjects[index]
        reach, joint = np.zeros(self.n), shape.parentJoint
        if joint == ENVIRONMENT:
            return reach
        shape.geometry.computeLocalAABB()
        away = float(np.linalg.norm(shape.placement.act(shape.geometry.aabb_center))) + shape.geometry.aabb_radius
        while joint != ENVIRONMENT:
            v = model.joints[joint].idx_v
            slides = "P" in model.joints[joint].shortname().removeprefix("JointModel")[:1]
            reach[v] = 1.0 if slides else away
            away += float(np.linalg.norm(model.jointPlacements[joint].translation))
            if slides:
                away += max(abs(model.lowerPositionLimit[v]), abs(model.upperPositionLimit[v]))
            joint = model.parents[joint]
        return reach


def _add_tool(model: pin.Model, geometry: pin.GeometryModel, tcp: Array, radius: float, flange: str) -> None:
    if not model.existFrame(flange):
        raise ModelError(f"the URDF has no link {flange!r} that could carry the tool")
    if tcp.shape != (3,) or not np.isfinite(tcp).all() or not math.isfinite(radius):
        raise ModelError(f"the tool's TCP is {tcp}, its radius {radius}; expected three finite values, and one, in m")
    length = float(np.linalg.norm(tcp))
    if length < 1e-6:
        return
    frame = model.frames[model.getFrameId(flange)]
    turn = pin.Quaternion.FromTwoVectors(np.array([0.0, 0.0, 1.0]), tcp).toRotationMatrix()
    placement = frame.placement * pin.SE3(turn, 0.5 * tcp)
    shape = coal.Cylinder(float(radius), length)
    geometry.addGeometryObject(pin.GeometryObject(TOOL, frame.parentJoint, placement, shape))


def _add_box(geometry: pin.GeometryModel, box: Box) -> None:
    position, rotation = checked_pose(box.position, box.rotation, box.name)
    size = np.asarray(box.size, dtype=np.float64)
    if size.shape != (3,) or not np.isfinite(size).all() or not (size > 0.0).all():
        raise ModelError(f"the box {box.name!r} has size {box.size}; expected three lengths > 0 in m")
    if geometry.existGeometryName(box.name):
        raise ModelError(f"two shapes are called {box.name!r}; give the box another name")
    placement = pin.SE3(rotation, position)
    geometry.addGeometryObject(
        pin.GeometryObject(box.name, ENVIRONMENT, placement, coal.Box(*(float(edge) for edge in size)))
    )
