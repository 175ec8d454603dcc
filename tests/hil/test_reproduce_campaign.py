"""A campaign of trials: parts kept one by one, resumed after an interruption, workers by configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hil.cli.every import app
from hil.reproduce import campaign
from hil.reproduce.campaign import BackendError, read_backend
from hil.reproduce.command import Wrong
from hil.reproduce.group import DataError, Part
from hil.reproduce.kvark import command, plan
from hil.reproduce.kvark.case import simulated
from hil.reproduce.kvark.plan import Group, Settings
from hil.reproduce.kvark.trial import run_trial
from hil.reproduce.store import FINISHED, SETTINGS, Store, to_json, unfinished

GROUPS = [
    Group("simulated", "lugre", 0, ("momentum", "kvark")),
    Group("simulated", "lugre", 1, ("momentum", "kvark")),
]


class Worker:
    """Keeps what it did; stops like Ctrl-C after ``patience`` parts."""

    def __init__(self, patience: int = 99, disk: bool = True) -> None:
        self.patience, self.disk = patience, disk
        self.did: list[str] = []

    def __call__(self, group: Group, folder: str | None) -> list[Part]:
        done = []
        for name in group.names:
            if len(self.did) == self.patience:
                raise KeyboardInterrupt
            self.did.append(group.part(name))
            result: dict[str, Any] = {"score": 1.0}
            if self.disk and folder is not None:
                Store(Path(folder)).write(group.part(name), result)
            done.append((group.part(name), result, {"x": np.ones(3)}))
        return done


def test_interrupted_it_goes_on_where_it_was(tmp_path: Path) -> None:
    store, first, second = Store(tmp_path), Worker(patience=3), Worker()
    heard: list[tuple[int, str]] = []
    with pytest.raises(KeyboardInterrupt):
        campaign.run(GROUPS, store, {"n_jobs": 1}, work=first)
    assert len(store.names()) == 3
    campaign.run(GROUPS, store, {"n_jobs": 1}, lambda done, what: heard.append((done, what)), second)
    assert second.did == ["simulated/lugre-1/kvark"]
    assert heard[-1][0] == 4
    assert set(store.names()) == {name for group in GROUPS for name in group.parts()}


def test_what_a_worker_without_our_disk_found_is_kept_here(tmp_path: Path) -> None:
    store = Store(tmp_path)
    campaign.run(GROUPS, store, {"n_jobs": 1}, work=Worker(disk=False))
    assert len(store.names()) == 4
    np.testing.assert_array_equal(store.arrays("simulated/lugre-0/kvark")["x"], np.ones(3))


def test_a_part_that_fails_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def computer(group: Group, folder: Path | None) -> Any:
        def compute(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
            if name == "kvark":
                raise ValueError("no friction here")
            return {"score": 2.0}, {}

        return compute

    monkeypatch.setattr(Group, "computer", computer)
    store = Store(tmp_path)
    campaign.run(GROUPS, store, {"n_jobs": 1})
    assert not store.has("simulated/lugre-0/kvark")
    assert store.read("simulated/lugre-0/kvark") == {"error": "ValueError: no friction here"}
    again = Worker()
    campaign.run(GROUPS, store, {"n_jobs": 1}, work=again)
    assert again.did == ["simulated/lugre-0/kvark", "simulated/lugre-1/kvark"]
    assert store.has("simulated/lugre-0/kvark")


def test_only_the_same_unfinished_campaign_is_continued(tmp_path: Path) -> None:
    settings = Settings(seeds=(0,), code="a").to_mapping()
    folder = tmp_path / "2026-01-01_00-00-00"
    folder.mkdir()
    assert unfinished(tmp_path, settings) is None
    (folder / SETTINGS).write_text(to_json(settings))
    assert unfinished(tmp_path, settings) == folder
    assert unfinished(tmp_path, Settings(seeds=(0,), code="b").to_mapping()) is None, "other code, other results"
    (folder / FINISHED).write_text("{}")
    assert unfinished(tmp_path, settings) is None


def test_results_are_json_that_any_reader_takes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write("a/b", {"nan": float("nan"), "array": np.arange(2.0), "count": np.int64(3)})
    assert json.loads(store.path("a/b").read_text()) == {"nan": None, "array": [0.0, 1.0], "count": 3}
    store.path("a/b").write_text("{")
    assert not store.has("a/b")


def test_workers_are_configuration(tmp_path: Path) -> None:
    assert read_backend(None, 1) == {"n_jobs": 1}
    assert read_backend(None, 4)["backend"] == "loky"
    file = tmp_path / "cluster.yaml"
    file.write_text("backend: threading\nprefer: threads\nregister: json:dumps_\n")
    with pytest.raises(BackendError, match="module:function"):
        read_backend(file, 2)
    file.write_text("backend: threading\n")
    options = read_backend(file, 2)
    assert options == {"n_jobs": 2, "backend": "threading"}
    store = Store(tmp_path / "run")
    campaign.run(GROUPS, store, options, work=Worker())
    assert len(store.names()) == 4
    file.write_text("backend: nowhere\n")
    with pytest.raises(BackendError, match="nowhere"):
        campaign.run(GROUPS, Store(tmp_path / "other"), read_backend(file, 2), work=Worker())
    file.write_text("- dask\n")
    with pytest.raises(BackendError, match="parallel_config"):
        read_backend(file, 2)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cobot_sim\.urdf"):
        plan.groups(Settings(data=str(tmp_path)), ())
    with pytest.raises(Wrong, match="kvark_semi"):
        command.settings_of(False, 1, None, ["svd"], None, False)


def test_a_mistake_on_the_command_line_gets_a_sentence(tmp_path: Path) -> None:
    for options, words in (
        (["--family", "coulomb"], "maxwell_slip, lugre, memoryless"),
        (["--data", str(tmp_path / "no")], "is no folder"),
        (["--data", str(tmp_path)], "--data"),
    ):
        result = CliRunner().invoke(app, ["reproduce", "kvark", "--out", str(tmp_path / "runs"), *options])
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split())
    assert not (tmp_path / "runs").exists()


def test_a_short_robot_through_a_whole_trial() -> None:
    case = simulated("memoryless", 3, 0.06)
    result, traces = run_trial(case, "dkf")
    assert set(result["tests"]) == {
        "test_free_fourier", "test_free_ptp", "test_load_fourier", "test_load_ptp", "test_polish",
    }  # fmt: skip
    loaded = result["tests"]["test_load_fourier"]
    truth = case.runs["test_load_fourier"]["tau_ext"]
    assert 0.0 < np.mean(loaded["rmse"]) < 3.0 * np.sqrt(np.mean(truth**2))
    # The difference of the two runs is nearer to the truth than nothing at all.
    assert np.mean(loaded["apparent_error"]) < 0.7 * np.sqrt(np.mean(truth[500:] ** 2, axis=0)).mean()
    assert len(result["tests"]["test_polish"]["force_rmse"]) == 3
    assert traces["test_polish/force"].shape == traces["test_polish/force_truth"].shape
    json.loads(to_json(result))
