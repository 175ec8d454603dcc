"""Mock cells for tests: an iiwa 14 with a tool, over a plate or in free air."""

from __future__ import annotations

from importlib.resources import files

from sim_mocks.config import FtConfig, IiwaConfig, MockConfig
from sim_mocks.faults import Fault
from sim_mocks.world import WorldConfig

URDF = files("hil").joinpath("models/iiwa14.urdf").read_text(encoding="utf-8")
Q0 = (0.0, 0.5, 0.0, -1.2, 0.0, 1.0, 0.0)


def mock_config(
    profile: str = "ideal",
    *,
    seed: int = 0,
    ft: bool = False,
    faults: tuple[Fault, ...] = (),
    iiwa: IiwaConfig | None = None,
    control_dir: str = "",
    truth: str = "full",
    paced: bool = False,
    realtime: bool = False,
) -> MockConfig:
    """A cell in free air with a tool of 1.2 kg."""
    world = WorldConfig(
        urdf=URDF,
        q0=Q0,
        tool_mass=1.2,
        tool_com=(0.0, 0.002, 0.06),
        tool_inertia=((2e-3, 0.0, 0.0), (0.0, 2e-3, 0.0), (0.0, 0.0, 1e-3)),
        tcp_pos=(0.0, 0.0, 0.12),
        profile=profile,
        seed=seed,
    )
    sensor = FtConfig(profile=profile) if ft else None
    return MockConfig(
        world,
        seed,
        iiwa or IiwaConfig(),
        sensor,
        faults,
        paced=paced,
        realtime=realtime,
        truth=truth,
        control_dir=control_dir,
    )
