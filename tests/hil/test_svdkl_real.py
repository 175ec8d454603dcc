"""Learned inverse dynamics on recordings of real arms: the bounds that the rows are held to."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hil.campaigns import svdkl_real as campaign

DATA = Path(os.environ.get("HIL_DATA", ""))
torch.set_num_threads(1)

needs_data = [
    pytest.mark.accept,
    pytest.mark.skipif(
        "HIL_DATA" not in os.environ or not (DATA / "ur10e_real.npz").is_file(),
        reason="HIL_DATA names no folder with the recordings of real arms",
    ),
]


def test_a_folder_without_recordings_and_an_unknown_row_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert campaign.main([str(tmp_path), "kuka"]) == 1
    assert "kuka_polydoros_real.npz does not exist" in capsys.readouterr().err
    assert campaign.main([str(tmp_path), "puma"]) == 2
    assert "usage:" in capsys.readouterr().err


def test_no_trajectory_serves_twice() -> None:
    for arm in campaign.ARMS.values():
        sets = [set(arm.train), set(arm.validate), *map(set, arm.tests.values())]
        assert sum(map(len, sets)) == len(set.union(*sets))


@cache
def found(name: str) -> dict[str, Any]:
    return campaign.evaluate(DATA, name)


class TestRecorded:
    pytestmark = needs_data

    @pytest.mark.parametrize("name", ["kuka", "kuka_physics"])
    def test_a_kuka(self, name: str) -> None:
        own = found(name)["tests"]["9 and 10"]["model"]
        assert own["mean"] <= 0.30
        assert 0.90 <= own["cov95"] <= 0.98

    def test_a_kuka_on_physics_is_better_than_a_plain_network(self) -> None:
        assert found("kuka_physics")["tests"]["9 and 10"]["model"]["mean"] <= 0.262

    def test_a_motion_that_the_training_did_not_cover(self) -> None:
        """Both training and validation follow one path; run 2 is elsewhere. On physics the band still holds."""
        result = found("lwr4")
        own = result["tests"]["run 2"]
        assert own["model"]["cov95"] >= 0.90
        sure, unsure = np.array(result["inside"]), np.array(own["model"]["sigma"])
        assert (unsure > 1.5 * sure).all(), "it knows that it is elsewhere"
        assert own["model"]["mean"] < own["physics"]["mean"]

    @pytest.mark.parametrize(("test", "reference"), [("14harm50sec", 1.55), ("point to point", 2.34)])
    def test_a_ur10e_is_a_tenth_better_than_a_rigid_body_with_friction(self, test: str, reference: float) -> None:
        scores = found("ur10e")["tests"][test]
        assert scores["baseline"]["mean"] == pytest.approx(reference, abs=0.05)
        assert scores["model"]["mean"] <= 0.9 * min(reference, scores["baseline"]["mean"])
        assert 0.90 <= scores["model"]["cov95"] <= 0.98
        assert scores["model"]["nll"] < scores["model"]["constant_nll"]

    def test_a_ur10e_without_memory_of_its_path(self) -> None:
        scores = found("ur10e_physics")["tests"]["14harm50sec"]
        assert scores["model"]["mean"] <= 0.9 * scores["baseline"]["mean"]
