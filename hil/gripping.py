"""A cell's gripper with what the model is told of its load.

A held object is a load that the robot's own gravity compensation does not know. The model takes the payload that the
cell file declares (``gripper.payload``) when three things have come together: it is declared, a person or a program has
announced it by closing the jaws (closing jaws that hold already announces it as well), and the gripper says that it
holds something. It is given up as soon as the gripper says that nothing is held. Both are events, and the
status tells it. While the gripper says nothing (silent or contradicting inputs), nothing changes.
"""

from __future__ import annotations

from drivers.gripper import Gripper, GripSample, GripState
from estimators.rigid_body import BodyInertia, RigidBodyModel
from estimators.spatial import WristWrench


class Grip:
    """The gripper of a supervised cell; :meth:`update` once a cycle, before the model is."""

    def __init__(
        self,
        gripper: Gripper,
        model: RigidBodyModel,
        wrist: WristWrench | None,
        payload: BodyInertia | None,
        observer_model: RigidBodyModel | None = None,
    ) -> None:
        """``payload``: what the cell file declares, flange frame; None: the model never learns of a load.

        ``observer_model``: of an observer that has a model of its own, which carries the payload too.
        """
        self._observer_model = observer_model
        self.gripper = gripper
        self.payload = payload
        self.sample: GripSample | None = None
        """The newest reading; None before the first cycle."""
        self._model, self._wrist = model, wrist
        self._announced = False

    @property
    def state(self) -> GripState:
        return GripState.UNKNOWN if self.sample is None else self.sample.state

    @property
    def holding(self) -> bool:
        """Something is between the jaws."""
        return self.sample is not None and self.sample.holding

    @property
    def carried(self) -> BodyInertia | None:
        """The payload that the model reckons with now."""
        return self._model.payload

    def grasp(self) -> None:
        """Close the jaws, and announce the payload. Raises RefusedError if that cannot be commanded now."""
        self.gripper.grasp()
        self._announced = True

    def let_go(self) -> None:
        """Open the jaws. Raises RefusedError if that cannot be commanded now."""
        self.gripper.let_go()
        self._announced = False

    def update(self) -> list[str]:
        """Read the gripper and let the model follow; what has changed, in words."""
        before = self.state
        self.sample = sample = self.gripper.read()
        told = [f"{self.gripper.name}: {sample.state.value}"] if sample.state is not before else []
        if sample.state is GripState.UNKNOWN:
            return told
        if sample.holding and self._announced and self.carried is None and self.payload is not None:
            self._take(self.payload)
            told.append(f"the model carries the payload of {self.payload.mass:g} kg")
        elif not sample.holding and self.carried is not None:
            lost = "" if not self._announced else ", which the jaws have lost"
            told.append(f"the model no longer carries the payload of {self.carried.mass:g} kg{lost}")
            self._take(None)
        if not sample.holding and sample.state is not GripState.MOVING:
            self._announced = False
        return told

    def why_unknown(self) -> str:
        """Why nobody knows what hangs in the jaws, so that neither check nor tare means anything; empty if it is
        known."""
        name = self.gripper.name
        if self.state is GripState.MOVING:
            return f"{name} is on its way"
        if self.state is GripState.UNKNOWN:
            return (
                f"{name} does not tell whether it holds something: check its inputs, then `hil grip open` or "
                "`hil grip close`"
            )
        if not self.holding or self.carried is not None:
            return ""
        if self.payload is None:
            return (
                f"{name} holds something that the cell file does not know: `hil grip open`, or declare it as "
                "gripper.payload"
            )
        return (
            f"{name} holds something that nobody has announced: `hil grip close` says that it is the payload of the "
            "cell file, `hil grip open` lets it go"
        )

    def _take(self, payload: BodyInertia | None) -> None:
        self._model.set_payload(payload)
        if self._observer_model is not None:
            self._observer_model.set_payload(payload)
        if self._wrist is not None:
            self._wrist.set_payload(payload)
