"""A made-up run that looks like a polishing run, with numbers known beforehand; written without any process."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hil.telemetry.mcapfile import AttachedFile, LogWriter
from hil.telemetry.row import row_layout
from hil.telemetry.schema import Event

N = 7
LIMITS = np.array([320.0, 320.0, 176.0, 176.0, 110.0, 40.0, 40.0])
PRESS_N = 20.0
CYCLE_NS = 180_000
PHASES = ("home", "approach", "touch", "polish", "retreat")
SHARES = (0.2, 0.3, 0.4, 0.9, 1.0)


def write_run(path: Path, rows: int = 4000, *, seed: int = 1, mock: bool = True, fault: bool = False) -> Path:
    """``rows`` ticks of 1 ms: joint motion, approach, touch, polishing at 20 N ± 0.5 N, retreat."""
    rng = np.random.default_rng(seed)
    layout = row_layout(N)
    table = np.frombuffer(bytearray(layout.blank * rows), dtype=layout.dtype)
    k = np.arange(rows)
    s = k / rows
    table["tick"], table["t_ns"] = k, k * 1_000_000
    table["arm_seq"], table["arm_valid"], table["arm_fresh"], table["arm_age_ns"], table["arm_state"] = k, 1, 1, 0, 4
    table["phase"] = np.searchsorted(SHARES, s, side="right")
    joint = (s < SHARES[0])[:, None]
    q = 0.4 * np.sin(2 * np.pi * s[:, None] * 3 + np.arange(N))
    table["q_ref"] = np.where(joint, q, np.nan)
    table["q"] = q + 0.001 * rng.standard_normal((rows, N)) + 0.002
    table["qd"], table["qdd"] = np.gradient(q, 1e-3, axis=0), 0.0
    pressing = (s >= SHARES[1]) & (s < SHARES[3])
    ramp = np.clip((s - SHARES[1]) / (SHARES[2] - SHARES[1]), 0, 1) * pressing
    table["force_ref"] = np.stack((0 * s, 0 * s, -PRESS_N * ramp), axis=1)
    angle = 2 * np.pi * 4 * s
    ref = np.stack((0.55 + 0.05 * np.cos(angle), 0.05 * np.sin(angle), 0.2 - 0 * s), axis=1)
    table["x_ref"] = np.where(joint, np.nan, ref)
    lag = 0.0008 * np.stack((-np.sin(angle), np.cos(angle), 0 * s), axis=1)
    table["x"] = ref + lag + 1e-5 * rng.standard_normal((rows, 3)) - np.outer(ramp, [0, 0, 0.01])
    table["rot_err"] = 0.003 * np.sin(angle)[:, None] + 0.0002 * rng.standard_normal((rows, 3))
    contact = np.zeros((rows, 6))
    contact[:, 2] = PRESS_N * ramp
    contact[:, 0] = -4 * ramp * np.sin(angle)
    contact[:, 3:] = 0.2 * ramp[:, None] * np.sin(angle)[:, None]
    table["wrench_ft"] = contact + rng.standard_normal((rows, 6)) * np.array([0.5, 0.5, 0.5, 0.02, 0.02, 0.02])
    spread = np.array([2.0, 2.0, 2.5, 0.4, 0.4, 0.4])
    table["wrench_est"] = contact + rng.standard_normal((rows, 6)) * spread * 0.5 + np.array([0.8, -0.5, 1, 0, 0, 0])
    table["wrench_est_sd"] = spread
    table["ft_raw"], table["ft_seq"], table["ft_valid"] = table["wrench_ft"], k // 2, 1
    gravity = LIMITS * np.array([0.0, 0.35, 0.1, 0.3, 0.05, 0.1, 0.0])
    table["g"] = gravity * np.cos(q)
    wanted = LIMITS * 0.04 * np.sin(2 * np.pi * s[:, None] * 5 + np.arange(N)) + 0.2 * rng.standard_normal((rows, N))
    table["tau_wanted"] = table["tau_cmd"] = wanted
    table["tau_cmd"][: rows // 50] = np.nan
    table["tau_total"] = wanted + table["g"]
    table["tau"] = table["tau_total"] + 0.3 * rng.standard_normal((rows, N))
    table["tau_ext"], table["tau_ext_sd"], table["tau_ext_robot"] = 0.0, 0.5, 0.0
    table["limited"][rows // 2 : rows // 2 + 5, 5] = 1
    table["quality"] = table["tracking"] = 1.0
    table["gaps"] = k // (rows // 2)
    wall = rng.lognormal(np.log(CYCLE_NS), 0.25, rows).astype(np.int64)
    wall[rows // 3] = 1_400_000
    table["wall_cycle_ns"], table["wall_write_ns"], table["wall_wake_ns"] = wall, wall * 6 // 10, k * 1_000_000
    return _write(path, table.tobytes(), rows, mock, fault)


def _write(path: Path, content: bytes, rows: int, mock: bool, fault: bool) -> Path:
    layout = row_layout(N)
    size, split, stamp = len(layout.blank), layout.split, layout.cycle.offsets[1] + 8
    text = b"name: polishing\nrobot:\n  driver: fri\n  # <b>no markup</b>\n"
    cell = AttachedFile("cell.yaml", "application/yaml", text)
    metadata = {
        "recording": {"n": str(N), "lockstep": "true"},
        "run": {"cell": "polishing", "mock": "true" if mock else "false", "started": "2025-01-01 12:00"},
        "limits": {"tau_max": str(LIMITS.tolist())},
        "versions": {"python": "3.11", "numpy": "2"},
    }
    writer = LogWriter(path, metadata, [cell])
    for index, name in enumerate(PHASES):
        writer.event(Event(-1, 0, "phase", f"phase {index} is '{name}'", {"index": index, "name": name}))
    for tick in range(rows):
        row = content[tick * size : (tick + 1) * size]
        writer.row(row[:split], row[:stamp] + row[split + stamp :], tick * 1_000_000)
        if fault and tick == rows // 2:
            writer.event(Event(tick, tick * 1_000_000, "fault", "A6 above its torque limit", {"joint": 6}))
    t_ns = (rows - 1) * 1_000_000
    end = {"rows": rows, "missed": 0, "reason": "end of the run"}
    writer.event(Event(rows - 1, t_ns, "recorded", "recording ended", end))
    writer.finish()
    return path
