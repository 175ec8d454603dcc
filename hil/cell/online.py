"""What a cell with a learnt feed-forward goes on learning while it runs, as a cell file states it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from hil.cell.parts import Positive, Section
from hil.learning.online_params import LoadParams, OnlineParams

_LOAD, _ONLINE = LoadParams(), OnlineParams()
Count = Annotated[int, Field(gt=0, le=10_000)]
Part = Annotated[float, Field(ge=0.0, le=1.0)]


class OnlineLearning(Section):
    """What goes on being learnt while the arm moves (docs/dynamics.md). An empty section: all of it."""

    payload: bool = Field(default=True, description="estimate what the arm carries, once the innovation jumps")
    posterior: bool = Field(default=True, description="learn the model on, in a process of its own")
    jump: Annotated[float, Field(gt=1.0)] = Field(
        default=_LOAD.jump, description="factor of the innovation from which the load is another one"
    )
    rest: Positive = Field(default=_LOAD.rest, description="time after a jump without another, s")
    payload_every: Count = Field(default=_LOAD.every, description="ticks from one sample of the load to the next")
    batch: Count = Field(default=_ONLINE.batch, description="samples that the model learns at once")
    every: Count = Field(default=_ONLINE.every, description="ticks from one sample of the model to the next")
    settle: Count = Field(
        default=_ONLINE.settle, description="in lockstep: ticks from a full batch to the model that has learnt it"
    )
    keep: Part = Field(default=_ONLINE.keep, description="κ: what each batch leaves of the batches before")
    weight: Part = Field(default=_ONLINE.weight, description="w: how much the offline data count as witnesses of today")
    guarded: bool = Field(
        default=_ONLINE.guarded,
        description="take over only what proves no worse; without, whatever a batch teaches, even a load that nothing "
        "takes off",
    )
    retrain: bool = Field(
        default=_ONLINE.retrain,
        description="train network and kernel on between the batches; needs torch, `posterior` and `guarded`",
    )

    @model_validator(mode="after")
    def _in_time(self) -> OnlineLearning:
        if self.settle >= self.batch * self.every:
            raise ValueError(
                f"allowed: settle below batch times every, here {self.batch * self.every} ticks: a batch must be dealt "
                "with before the next is complete"
            )
        if self.retrain and not (self.posterior and self.guarded):
            raise ValueError("allowed: retrain with posterior and guarded, which decide whether its models are used")
        return self

    def load_params(self) -> LoadParams | None:
        """For :class:`hil.learning.load.LoadWatch`; None where loads are not estimated."""
        return LoadParams(jump=self.jump, rest=self.rest, every=self.payload_every) if self.payload else None

    def online_params(self) -> OnlineParams | None:
        """For :class:`hil.learning.online.Learner`; None where the model is not learnt on."""
        if not self.posterior:
            return None
        return OnlineParams(self.batch, self.every, self.settle, self.keep, self.weight, self.guarded, self.retrain)
