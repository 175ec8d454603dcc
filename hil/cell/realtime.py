"""What a run by the wall clock asks of the operating system."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from hil.cell.parts import Section

CpuNumber = Annotated[int, Field(ge=0, le=1023)]


class Cpus(Section):
    """CPUs by number, each process on its own; nothing: wherever the system puts it."""

    supervisor: tuple[CpuNumber, ...] = Field(default=(), description="of the cycle; best isolated (isolcpus)")
    recorder: tuple[CpuNumber, ...] = Field(default=(), description="of the process that writes the log")
    mock: tuple[CpuNumber, ...] = Field(default=(), description="of the simulated devices")

    @field_validator("supervisor", "recorder", "mock")
    @classmethod
    def _once(cls, cpus: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(cpus)) != len(cpus):
            raise ValueError("allowed: each CPU once")
        return cpus


class RealTime(Section):
    """What a run with `--realtime` asks of the operating system; realtime.md says how a computer grants it."""

    priority: Annotated[int, Field(ge=1, le=98)] | Literal["off"] = Field(
        default=80, description="SCHED_FIFO priority of the cycle; a mock gets one more"
    )
    lock_memory: bool = Field(default=True, description="keep the supervisor's memory in RAM (mlockall)")
    cpus: Cpus = Field(default=Cpus(), description="which process runs where")
    required: bool = Field(default=False, description="true: no run where any of this is refused")
