"""Learned inverse dynamics on the frozen simulation of an iiwa: the bounds that the models are held to.

Means over seeds, of which ``HIL_SEEDS`` says how many (2 by default, of the large rows half as many). Training time is
processor time, since others may be busy on the machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from estimators.dynamics.fitting.export import export
from estimators.dynamics.fitting.variational import VariationalModel
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.prior import Prior
from hil.campaigns import svdkl_offline as campaign

DATA = Path(os.environ.get("HIL_DATA", ""))
SEEDS = int(os.environ.get("HIL_SEEDS", "2"))
torch.set_num_threads(1)


def test_a_folder_without_the_recording_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert campaign.main([str(tmp_path), str(tmp_path / "out")]) == 1
    assert "iiwa_sim_rhythmic.npz does not exist" in capsys.readouterr().err


def test_the_campaign_writes_what_is_missing_and_prints_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def evaluate(data: Path, name: str, seed: int, **options: Any) -> dict[str, Any]:
        asked.append((name, seed))
        values = {"mean": 0.1 + 0.02 * seed, "cov95": 0.95, "nll_mean": -1.0, "constant_nll_mean": -0.9, "cpu": 60.0}
        return {"row": name, "seed": seed} | values

    monkeypatch.setattr(campaign, "evaluate", evaluate)
    rows = ["--rows", "svdkl_small", "svgp_small", "--seeds", "0", "1"]
    for _ in range(2):
        assert campaign.main([str(tmp_path), str(tmp_path / "out"), *rows]) == 0
    assert sorted(asked) == [("svdkl_small", 0), ("svdkl_small", 1), ("svgp_small", 0), ("svgp_small", 1)]
    said = capsys.readouterr().out
    assert "0.1100 (0.1000–0.1200)" in said
    assert said.index("SVGP, small") < said.index("SVDKL, small")


needs_data = [
    pytest.mark.accept,
    pytest.mark.skipif(
        "HIL_DATA" not in os.environ or not (DATA / campaign.FILE).is_file(),
        reason=f"HIL_DATA names no folder with {campaign.FILE}",
    ),
]


class Rows:
    """Results by row, each trained once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found: dict[str, list[dict[str, Any]]] = {}

    def __call__(self, name: str) -> list[dict[str, Any]]:
        count = max(1, SEEDS // 2) if name.endswith("large") else SEEDS
        if name not in self._found:
            self._found[name] = [
                campaign.evaluate(DATA, name, seed, keep=self.folder / f"{name}-{seed}.npz") for seed in range(count)
            ]
        return self._found[name]

    def model(self, name: str) -> VariationalModel:
        """Of the first seed."""
        self(name)
        return VariationalModel.load(self.folder / f"{name}-0.npz", campaign.nominal())


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[dict[str, Any]]]:
    return Rows(tmp_path_factory.mktemp("models"))


def mean(results: list[dict[str, Any]], key: str) -> float:
    return float(np.mean([each[key] for each in results]))


def calibrated(results: list[dict[str, Any]]) -> None:
    for each in results:
        assert 0.93 <= each["cov95"] <= 0.97, f"seed {each['seed']}: {each['coverage95']}"
    assert mean(results, "nll_mean") < mean(results, "constant_nll_mean")


class TestFrozen:
    pytestmark = needs_data

    def test_the_nominal_model_is_the_simulations(self) -> None:
        with np.load(DATA / campaign.FILE, allow_pickle=False) as file:
            expected = np.array(file["tau_rnea_nominal"][:500], dtype=np.float64)
        found = Prior(campaign.nominal()).of(campaign.recording(DATA).at(np.arange(500)))
        np.testing.assert_allclose(found, expected, atol=1e-5)

    @pytest.mark.parametrize(
        ("size", "honest", "ratio", "most", "seconds"),
        [("small", 0.396, 0.65, 1.0, 120.0), ("large", 0.295, 0.5, 0.15, 300.0)],
    )
    def test_a_deep_kernel_beats_an_honest_plain_one(
        self, rows: Rows, size: str, honest: float, ratio: float, most: float, seconds: float
    ) -> None:
        plain, deep = rows(f"svgp_{size}"), rows(f"svdkl_{size}")
        assert mean(plain, "mean") <= 1.15 * honest
        assert mean(deep, "mean") <= min(ratio * mean(plain, "mean"), most)
        assert mean(deep, "cpu") <= seconds
        calibrated(plain)
        calibrated(deep)

    def test_on_physics_it_reaches_the_noise(self, rows: Rows) -> None:
        found = rows("semi_small")
        assert mean(found, "mean") <= 1.08 * campaign.FLOOR
        assert mean(found, "cpu") <= 120.0
        calibrated(found)

    def test_with_few_trajectories_neither_is_good_and_both_know_it(self, rows: Rows) -> None:
        """Where a deep kernel can lose to a plain one: 40 trajectories instead of 320."""
        for name in ("svgp_few", "svdkl_few"):
            found = rows(name)
            assert mean(found, "mean") <= 0.75
            assert all(0.93 <= each["cov95"] <= 0.98 for each in found), f"{[each['cov95'] for each in found]}"

    @pytest.mark.parametrize("name", ["svdkl_small", "semi_small", "svdkl_large", "semi_large"])
    def test_the_predictor_of_a_trained_model_is_gpytorchs(self, rows: Rows, name: str) -> None:
        if name == "semi_large":
            path = rows.folder / "semi_large.npz"
            campaign.evaluate(DATA, name, trajectories=campaign.FEW, keep=path)
            model = VariationalModel.load(path, campaign.nominal())
        else:
            model = rows.model(name)
        test = campaign.split(DATA)[2].at(np.arange(0, 10000, 25))
        means, variance = model.predict(test)
        exported = export(model)
        for kernel in ("compiled", "numpy"):
            way: Any = kernel
            fast = DynamicsPredictor(exported.posterior, exported.prior, kernel=way)
            ours, sigma = fast.steps(test.q, test.qd, test.qdd)
            np.testing.assert_allclose(ours, means, rtol=1e-6, atol=1e-8)
            np.testing.assert_allclose(sigma, np.sqrt(variance), rtol=1e-6)
