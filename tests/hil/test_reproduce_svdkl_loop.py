"""The closed loop in the SVDKL campaign, from results that are made up here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil.campaigns.svdkl_load import WINDOWS
from hil.campaigns.svdkl_loop import LOADED, RUNS, Effort
from hil.reproduce.store import Store
from hil.reproduce.svdkl import loops, plan
from hil.reproduce.svdkl.command import settings_of
from hil.reproduce.svdkl.plan import Settings
from hil.reproduce.svdkl.results import Results
from hil.reproduce.svdkl.sections_loop import CONTROLLERS, closed_loop

SETTINGS = Settings(trials=(0, 1), parts=("loop",))
GAIN: dict[str, float | None] = {"learnt": 0.11, "rnea": 0.5, "paper": 0.14, "computed-torque": None}


def figures(name: str, error: float) -> dict[str, Any]:
    """Of one part, as the campaign keeps it."""
    base = {"recorded_seconds": 250.0, "known": [0.11] * 7}
    if name not in LOADED:
        return base | {"followed": {name: {"rmse": error, "gain": GAIN[name]}}}
    mass = 3.0 if name == "load" else None
    gain = None if name == "load-computed-torque" else 0.2
    windows = [
        {"from": begin, "to": end, "rmse": error if begin >= 5.0 else 20.0 * error, "gain": gain, "mass": mass}
        for begin, end in WINDOWS
    ]
    return base | {"followed": {}, "loaded": {name: {"mass": 3.0, "windows": windows}}}


def found(folder: Path, errors: dict[tuple[int, str], float]) -> Results:
    """All parts, 0.5 mrad with what was learnt and 10 mrad otherwise unless ``errors`` says so."""
    store, parts = Store(folder), []
    for group in plan.groups(SETTINGS):
        for name in group.names:
            usual = 0.5e-3 if name in ("learnt", "load") else 10e-3
            error = errors.get((group.seed, name), usual)
            result = {"seed": group.seed, **figures(name, error)} if np.isfinite(error) else {"error": "FaultError: x"}
            store.write(group.part(name), result)
            parts.append(group.part(name))
    return Results.read(store, SETTINGS, parts)


def test_a_group_for_each_seed_and_none_in_a_first_look() -> None:
    groups = plan.groups(SETTINGS)
    assert [group.names for group in groups] == [(*RUNS, *LOADED)] * 2
    assert groups[1].parts()[0] == "loop/seed1/learnt"
    assert "loop" in settings_of(False, 5, None, None, None).parts
    assert "loop" not in settings_of(True, 5, None, None, None).parts
    assert set(CONTROLLERS) == set(RUNS)
    assert {names[2] for names in CONTROLLERS.values()} == set(LOADED)


def test_a_part_makes_its_own_run_in_the_seeds_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def trial(seed: int, folder: Path, effort: Effort, tell: Any, runs: tuple[str, ...]) -> dict[str, Any]:
        asked.append((seed, folder, effort.recorded, runs))
        return {"seed": seed, "followed": {name: {} for name in runs}}

    def loaded(seed: int, folder: Path, tell: Any, runs: tuple[str, ...]) -> dict[str, Any]:
        asked.append((seed, folder, runs))
        return {name: {} for name in runs}

    monkeypatch.setattr(loops, "trial", trial)
    monkeypatch.setattr(loops, "loaded", loaded)
    compute = plan.groups(SETTINGS)[1].computer(tmp_path)
    work = tmp_path / "work" / "loop" / "seed1"
    assert compute("rnea")[0]["followed"] == {"rnea": {}}
    assert compute("load-paper")[0]["loaded"] == {"load-paper": {}}
    assert asked == [(1, work, 24, ("rnea",)), (1, work, 24, ()), (1, work, ("load-paper",))]
    assert work.is_dir()


def test_errors_and_gains_stand_beside_their_targets(tmp_path: Path) -> None:
    results = found(tmp_path, {(1, "learnt"): 0.7e-3})
    section = closed_loop(results)
    assert "learnt torque with calibrated gains 0.60 mrad at 11 % of Kmax" in section.finding
    assert "within the target of 1 mrad at 15 % with seeds 0 and 1" in section.finding
    assert "within the target of 1.5 mrad at 25 % with seeds 0 and 1" in section.finding
    assert "computed torque of the cell 10.00 mrad. The first" in section.finding, "it has no gains to tell of"
    table = section.body[1]
    for cell in ("1.00 at 15.0 %", "1.50 at 25.0 %", "0.60 at 11.0 %", "0.70 at 11.0 %", "10.00 at 50.0 %"):
        assert cell in table, cell
    assert "10.00 at 20.0 %" in section.body[3], "from 5 s on"
    assert "200.00 at 20.0 %" in section.body[3], "before"
    assert "estimated mass" in section.body[3]
    assert set(results.to_mapping()["loop"]) == {0, 1}


def test_a_missed_target_is_named(tmp_path: Path) -> None:
    told = closed_loop(found(tmp_path, {(1, "learnt"): 1.2e-3, (0, "load"): 2e-3})).finding
    assert "outside the target of 1 mrad at 15 % with seed 1." in told
    assert "outside the target of 1.5 mrad at 25 % with seed 0." in told


def test_a_gain_that_is_not_known_is_not_within_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GAIN, "learnt", None)
    assert "outside the target of 1 mrad at 15 % with seeds 0 and 1" in closed_loop(found(tmp_path, {})).finding


def test_a_run_that_failed_leaves_the_others(tmp_path: Path) -> None:
    nan = float("nan")
    results = found(tmp_path, {(1, name): nan for name in (*RUNS, *LOADED)} | {(0, "learnt"): nan})
    assert sorted(results.loop) == [0]
    section = closed_loop(results)
    assert "learnt torque with calibrated gains" not in section.finding.split("With 3 kg")[0]
    assert "rigid-body torque with full gains 10.00 mrad at 50 %" in section.finding
    assert "One seed." in section.finding
    failed = closed_loop(found(tmp_path / "none", {(seed, name): nan for seed in (0, 1) for name in (*RUNS, *LOADED)}))
    assert "FaultError" in failed.finding


def test_what_was_not_run_says_how_to_run_it() -> None:
    assert "hil reproduce svdkl --part loop" in closed_loop(Results(Settings(parts=("fit",)))).finding
