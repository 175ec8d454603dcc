"""Rigid-body model of an arm with its tool: one ``update`` a cycle gives all that observer and controllers need.

Equation of motion (signs as everywhere in the toolkit)::

    M(q) qdd + C(q, qd) qd + g(q) = tau + tau_ext − tau_residual,    tau_ext = Jᵀ F

with F the wrench of the environment on the robot at the TCP, base axes. ``C`` is the Christoffel matrix, the only
factorisation for which ``Ṁ = C + Cᵀ`` and thus the momentum form ``ṗ = tau + Cᵀqd − g + tau_ext`` holds.
Computed with Pinocchio; gravity is (0, 0, −9.81) m/s² in the base frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pinocchio as pin

from estimators.errors import ModelError
from estimators.inertia import BodyInertia, combined, pseudo_inertia
from estimators.pose import checked_pose
from estimators.urdf import build_model

__all__ = ["BodyInertia", "Dynamics", "RigidBodyModel"]

Array = npt.NDArray[np.float64]

_RF = pin.ReferenceFrame.LOCAL_WORLD_ALIGNED


@dataclass(slots=True, eq=False)
class Dynamics:
    """What one :meth:`RigidBodyModel.update` computed, at one (q, qd). SI, TCP quantities in base axes.

    The arrays are read-only buffers of the model, **overwritten by its next update**: copy what must live longer.
    """

    q: Array
    """Joint positions of the update, (n,) rad (the caller's array)."""
    qd: Array
    """Joint velocities of the update, (n,) rad/s (the caller's array)."""
    M: Array
    """Joint-space inertia with armature, (n, n), symmetric."""
    C: Array
    """Christoffel matrix, (n, n)."""
    g: Array
    """Gravity torque, (n,) N·m: what holds the arm still."""
    Cqd: Array
    """C qd, (n,) N·m."""
    J: Array
    """Jacobian of the TCP, (6, n): rows linear then angular velocity, base axes."""
    Jdot_qd: Array
    """J̇ qd, (6,): TCP acceleration at qdd = 0."""
    x: Array
    """TCP position, (3,) m."""
    R: Array
    """TCP orientation, (3, 3), base ← TCP."""
    p: Array
    """Generalised momentum M qd, (n,) N·m·s."""
    beta: Array
    """Cᵀqd − g, (n,) N·m: ṗ = tau + beta + tau_ext."""
    owner: object = None
    """Keeps the memory behind the arrays alive."""
    g_payload: Array = field(default_factory=lambda: np.zeros(0))
    """The payload's share of ``g``, (n,) N·m; zeros without one. A robot that adds gravity by itself knows its tool and
    not what a gripper picked up: this is what it leaves to us."""


def _read_only(array: Array) -> Array:
    """The same memory, not to be written to through this array."""
    view = array.view()
    view.setflags(write=False)
    return view


class RigidBodyModel:
    """Fixed-base serial arm from a URDF, with a tool on its flange and a TCP.

    ``urdf_xml`` is the URDF *text*; every moving joint must be revolute or prismatic with limits. ``tool`` is given
    in flange axes and rigidly added to the link that carries ``flange``. ``tcp_pos`` (3,) m and ``tcp_R`` (3, 3) are
    the TCP's pose in the flange frame (default: the flange itself). ``armature`` (n,) kg m² is the rotor inertia
    reflected to the joints. Raises ModelError, which says what is wrong with the description.
    """

    def __init__(
        self,
        urdf_xml: str,
        tool: BodyInertia | None = None,
        tcp_pos: Array | None = None,
        tcp_R: Array | None = None,
        flange: str = "flange",
        armature: Array | None = None,
    ) -> None:
        model = build_model(urdf_xml)
        if not model.existFrame(flange):
            bodies = ", ".join(f.name for f in model.frames if f.type == pin.FrameType.BODY)
            raise ModelError(f"the URDF has no link {flange!r} to carry tool and TCP; it has: {bodies}")
        flange_frame = model.frames[model.getFrameId(flange)]
        joint = flange_frame.parentJoint
        if joint == 0:
            raise ModelError(f"link {flange!r} is fixed to the base: no joint moves it")
        n: int = model.nv
        if armature is not None:
            armature = np.asarray(armature, dtype=np.float64)
            if armature.shape != (n,) or not np.isfinite(armature).all() or (armature < 0.0).any():
                raise ModelError(f"armature is {armature}; expected {n} finite values >= 0 kg m²")
            model.armature = armature
        self._own_tool = self._tool = BodyInertia(0.0, np.zeros(3), np.zeros((3, 3))) if tool is None else tool
        if tool is not None:
            model.appendBodyToJoint(joint, pin.Inertia(tool.mass, tool.com, tool.inertia), flange_frame.placement)
        tcp_in_flange = pin.SE3(*reversed(checked_pose(tcp_pos, tcp_R, "TCP")))
        self._flange_placement = flange_frame.placement.copy()
        placement = self._flange_placement * tcp_in_flange
        self._tcp = model.addFrame(pin.Frame("__tcp__", joint, 0, placement, pin.FrameType.OP_FRAME))
        self._flange_joint = joint
        self._own_inertia = model.inertias[joint].copy()
        self._tcp_in_flange = tcp_in_flange
        self.payload: BodyInertia | None = None
        """What a gripper holds, flange frame; :meth:`set_payload` changes it."""
        self._payload_at = np.zeros(3)

        self.model = model
        self.n = n
        self.joint_names: tuple[str, ...] = tuple(model.names)[1:]
        self.q_min: Array = np.array(model.lowerPositionLimit)
        self.q_max: Array = np.array(model.upperPositionLimit)
        self.qd_max: Array = np.array(model.upperVelocityLimit)
        self.tau_max: Array = np.array(model.upperEffortLimit)

        self._data = model.createData()
        # Queries between two updates use a data of their own, so that they do not disturb the cycle's Dynamics.
        self._aux = model.createData()
        data = self._data
        q0 = np.clip(np.zeros(n), self.q_min, self.q_max)
        pin.crba(model, data, q0)
        pin.computeCoriolisMatrix(model, data, q0, np.zeros(n))
        pin.computeGeneralizedGravity(model, data, q0)
        oMf = data.oMf[self._tcp]
        self._Cqd, self._p, self._beta, self._g_payload = (np.zeros(n) for _ in range(4))
        self._Jdot_qd = np.zeros(6)
        # M, C, g, x and R are live views of Pinocchio's memory: refreshed in place, no copy in the cycle. All that is
        # handed out is read-only: checks and log go by the same arrays as anybody's controller.
        self._dyn = Dynamics(
            q=q0,
            qd=np.zeros(n),
            M=_read_only(data.M),
            C=_read_only(data.C),
            g=_read_only(data.g),
            Cqd=_read_only(self._Cqd),
            J=_read_only(np.zeros((6, n))),
            Jdot_qd=_read_only(self._Jdot_qd),
            x=_read_only(oMf.translation),
            R=_read_only(oMf.rotation),
            p=_read_only(self._p),
            beta=_read_only(self._beta),
            owner=data,
            g_payload=_read_only(self._g_payload),
        )
        self._Ct = self._dyn.C.T

    def update(self, q: Array, qd: Array) -> Dynamics:
        """All dynamic quantities at ``q`` (n,) rad and ``qd`` (n,) rad/s. Valid until the next update.

        Raises ValueError for wrong shapes. NaN in gives NaN out: check a sample before, not here.
        """
        model, data, dyn = self.model, self._data, self._dyn
        # Also fills the joint placements, J and J̇ that the frame queries below read.
        self.momentum(q, qd)
        pin.updateFramePlacement(model, data, self._tcp)
        dyn.q = q
        dyn.qd = qd
        J = dyn.J = pin.getFrameJacobian(model, data, self._tcp, _RF)
        J.setflags(write=False)
        np.dot(pin.getFrameJacobianTimeVariation(model, data, self._tcp, _RF), qd, out=self._Jdot_qd)
        np.dot(dyn.C, qd, out=self._Cqd)
        if self.payload is not None:
            # Height of the payload's centre of mass by joint position, times its weight.
            x, y, _ = dyn.R.dot(self._payload_at).tolist()
            weight = -self.payload.mass * float(model.gravity.linear[2])
            np.multiply(dyn.J[2] + y * dyn.J[3] - x * dyn.J[4], weight, out=self._g_payload)
        return dyn

    def momentum(self, q: Array, qd: Array) -> tuple[Array, Array]:
        """p = M qd and β = Cᵀqd − g, (n,) each: what a momentum observer needs, at half the cost of :meth:`update`.

        Read-only buffers, those of the last :class:`Dynamics`: overwritten by the next call of either.
        """
        model, data, dyn = self.model, self._data, self._dyn
        pin.crba(model, data, q)
        pin.computeCoriolisMatrix(model, data, q, qd)
        pin.computeGeneralizedGravity(model, data, q)
        np.dot(dyn.M, qd, out=self._p)
        np.dot(self._Ct, qd, out=self._beta)
        self._beta -= dyn.g
        return dyn.p, dyn.beta

    def inertial_regressor(self, q: Array, qd: Array, qdd: Array) -> Array:
        """∂RNEA/∂π (n, 11 n), fresh: ten parameters a link (mass, first moments, inertia about the joint), armatures.

        Order of a link's ten: m, m c (3), Ixx, Ixy, Iyy, Ixz, Iyz, Izz, in the frame of its joint.
        """
        links = pin.computeJointTorqueRegressor(self.model, self._aux, q, qd, qdd)
        return np.hstack((links, np.diag(qdd)))

    def load_regressor(self, q: Array, qd: Array, qdd: Array) -> Array:
        """The ten columns of :meth:`inertial_regressor` that belong to the link with the flange, (n, 10), fresh."""
        first = 10 * (self._flange_joint - 1)
        links = pin.computeJointTorqueRegressor(self.model, self._aux, q, qd, qdd)
        return np.array(links[:, first : first + 10])

    def load_parameters(self, body: BodyInertia) -> Array:
        """What multiplies :meth:`load_regressor` for ``body`` (flange frame), (10,): mass, first moments, inertia."""
        inertia = self._flange_placement.act(pin.Inertia(body.mass, body.com, body.inertia))
        return np.array(inertia.toDynamicParameters())

    def inertial_parameters(self) -> Array:
        """π (11 n,), in the order of :meth:`inertial_regressor`."""
        links = [inertia.toDynamicParameters() for inertia in self.model.inertias[1:]]
        return np.concatenate((*links, self.model.armature))

    def adjust(self, parameters: Array) -> None:
        """Take ``parameters`` π (11 n,) from now on. Raises ModelError and changes nothing if no real body has them.

        To be called without a payload: the parameters are those of the arm and its tool.
        """
        n = self.n
        if self.payload is not None:
            raise ModelError("inertial parameters cannot be adjusted while a payload is set: take it off first")
        if parameters.shape != (11 * n,) or not np.isfinite(parameters).all():
            raise ModelError(f"inertial parameters have shape {parameters.shape}; expected {11 * n} finite values")
        links, armature = parameters[: 10 * n].reshape(n, 10), parameters[10 * n :]
        if (armature < 0.0).any():
            raise ModelError(f"armature is {armature}; expected {n} values >= 0 kg m²")
        before = self.inertial_parameters()[: 10 * n].reshape(n, 10)
        for j, link in enumerate(links):
            # A description may have point masses and flat bodies; those that stay as they are may stay.
            if (link != before[j]).any() and not np.linalg.eigvalsh(pseudo_inertia(link))[0] > 0.0:
                raise ModelError(f"the parameters of link {j + 1} are those of no real body: {link.tolist()}")
        for j, link in enumerate(links):
            self.model.inertias[j + 1] = pin.Inertia.FromDynamicParameters(link)
        self.model.armature = armature.copy()
        self._own_inertia = self.model.inertias[self._flange_joint].copy()

    def set_payload(self, payload: BodyInertia | None) -> None:
        """From the next update on the arm also carries ``payload`` (flange frame), or nothing more than its tool."""
        joint, placement = self._flange_joint, self._flange_placement
        inertia = self._own_inertia.copy()
        self.payload, self._tool = payload, self._own_tool
        self._g_payload[:] = 0.0
        if payload is not None:
            inertia += placement.act(pin.Inertia(payload.mass, payload.com, payload.inertia))
            self._tool = combined(self._own_tool, payload)
            self._payload_at = np.array(self._tcp_in_flange.actInv(payload.com))
        self.model.inertias[joint] = inertia

    def gravity(self, q: Array) -> Array:
        """Gravity torque g(q), (n,) N·m, tool included; a fresh array."""
        return np.array(pin.computeGeneralizedGravity(self.model, self._aux, q))

    def rnea(self, q: Array, qd: Array, qdd: Array) -> Array:
        """Inverse dynamics M qdd + C qd + g, (n,) N·m; a fresh array."""
        return np.array(pin.rnea(self.model, self._aux, q, qd, qdd))

    def forward(self, q: Array, qd: Array, tau: Array) -> Array:
        """Forward dynamics: qdd (n,) rad/s² under the joint torque ``tau`` (external torque included)."""
        return np.array(pin.aba(self.model, self._aux, q, qd, tau))

    def fk(self, q: Array) -> tuple[Array, Array]:
        """TCP pose at ``q``: position (3,) m and orientation (3, 3) base ← TCP; fresh arrays."""
        pin.framesForwardKinematics(self.model, self._aux, q)
        oMf = self._aux.oMf[self._tcp]
        return np.array(oMf.translation), np.array(oMf.rotation)

    def jacobian(self, q: Array) -> Array:
        """TCP Jacobian (6, n) at ``q``, rows linear then angular, base axes; a fresh array."""
        return np.array(pin.computeFrameJacobian(self.model, self._aux, q, self._tcp, _RF))

    def tool_wrench(
        self,
        q: Array,
        qd: Array,
        qdd: Array,
        sensor_pos: Array | None = None,
        sensor_R: Array | None = None,
    ) -> Array:
        """Load that the tool's weight and inertia put on a wrench sensor between flange and tool.

        ``sensor_pos`` (3,) m and ``sensor_R`` (3, 3) are the sensor's pose in the flange frame (default: at the
        flange). Returns (6,) N, N·m about the sensor's origin in sensor axes, with the polarity of a sensor reading:
        the tool on the sensor, so that a hanging tool pulls along gravity. Zero without a tool.
        """
        pos, rot = checked_pose(sensor_pos, sensor_R, "sensor")
        sensor_in_flange = pin.SE3(rot, pos)
        to_sensor = (self._flange_placement * sensor_in_flange).inverse()
        tool = self._tool
        inertia = sensor_in_flange.inverse().act(pin.Inertia(tool.mass, tool.com, tool.inertia))
        data, joint = self._aux, self._flange_joint
        pin.forwardKinematics(self.model, data, q, qd, qdd)
        gravity = data.oMi[joint].actInv(self.model.gravity)
        acceleration = to_sensor.act(data.a[joint] - gravity)
        motion = to_sensor.act(data.v[joint])
        return np.array(-(inertia * acceleration + inertia.vxiv(motion)).vector)
