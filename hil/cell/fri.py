"""The FRI connection of a cell, as the robot application on the cabinet sets it up."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from drivers.fri.versions import VERSIONS
from drivers.fri.wire import MAX_IO_NAME, MAX_IOS, IoType
from hil.cell.parts import Section

MAX_RECEIVE_PERIOD_MS = 10
"""Longest time between two answers with which a controller takes commands."""
IoName = Annotated[str, Field(min_length=1, max_length=MAX_IO_NAME)]
IoKind = Literal["boolean", "digital", "analog"]


def _version(value: Any) -> Any:
    """``version: 1.15`` without quotes reads as a number."""
    return f"{value:g}" if isinstance(value, float) else value


class FriLink(Section):
    """The FRI connection of a KUKA LBR."""

    version: Annotated[str, BeforeValidator(_version)] = Field(
        description=f"FRI version of the robot: {', '.join(VERSIONS)}"
    )
    host: str = Field(default="127.0.0.1", description="our own address, on which the robot's packets arrive")
    port: int = Field(
        default=30200, ge=0, le=65535, description="UDP port; 0 takes a free one, which only a mock can be told"
    )
    peer: str | None = Field(default=None, description="robot's address:port; nothing locks to the first good sender")
    send_period_ms: int = Field(default=1, ge=1, le=10, description="as the robot application opened the session")
    receive_multiplier: int = Field(
        default=1, ge=1, le=10, description="packets for each answer, as the application opened the session"
    )
    command_mode: Literal["torque", "position", "wrench", "pose"] = Field(
        default="torque",
        description="client command mode of the application's overlay; supervised runs need torque, pose needs FRI 2",
    )
    moment_order: Literal["xyz", "zyx"] | None = Field(
        default=None, description="how moments travel, as measured on this robot; without it moments are refused"
    )
    inputs: dict[IoName, IoKind] = Field(default={}, description="inputs that the application registers, by type")
    outputs: dict[IoName, IoKind] = Field(default={}, description="outputs that may be written, by type")

    @field_validator("version")
    @classmethod
    def _known(cls, version: str) -> str:
        if version not in VERSIONS:
            raise ValueError(f"allowed: {', '.join(VERSIONS)}")
        return version

    @field_validator("peer")
    @classmethod
    def _address(cls, peer: str | None) -> str | None:
        match = re.fullmatch(r"([^:\s]+):(\d{1,5})", peer) if peer is not None else None
        if peer is not None and (match is None or not 0 < int(match[2]) <= 65535):
            raise ValueError('allowed: "address:port", as in "192.170.10.2:30200"')
        return peer

    @model_validator(mode="after")
    def _commanding(self) -> FriLink:
        answer = self.send_period_ms * self.receive_multiplier
        if answer > MAX_RECEIVE_PERIOD_MS:
            raise ValueError(
                f"allowed: send_period_ms × receive_multiplier up to {MAX_RECEIVE_PERIOD_MS} ms, here it is {answer} ms"
            )
        if self.command_mode == "pose" and not self.version.startswith("2"):
            raise ValueError(
                f"allowed with FRI {self.version}: torque, position and wrench as command_mode; Cartesian poses came "
                "with FRI 2"
            )
        count = len(self.inputs) + len(self.outputs)
        if count > MAX_IOS or (count and self.version == "1.11"):
            raise ValueError(f"allowed: up to {MAX_IOS} inputs and outputs, and none with FRI 1.11; here are {count}")
        both = sorted(set(self.inputs) & set(self.outputs))
        if both:
            raise ValueError(f"allowed: each name once, as input or as output; both are {', '.join(both)}")
        return self

    @property
    def period(self) -> float:
        """From answer to answer, s."""
        return 1e-3 * self.send_period_ms * self.receive_multiplier

    @property
    def output_types(self) -> dict[str, IoType]:
        """Outputs in the words of the driver."""
        return {name: IoType[kind.upper()] for name, kind in self.outputs.items()}

    @property
    def peer_address(self) -> tuple[str, int] | None:
        """``peer`` as a socket address."""
        host, _, port = (self.peer or "").rpartition(":")
        return (host, int(port)) if self.peer else None
