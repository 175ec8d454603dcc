"""The SVDKL campaign: what it plans, one short training, and a page that follows made-up results."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hil.campaigns import svdkl_plant
from hil.campaigns.svdkl_pick import cases
from hil.cli.every import app
from hil.reproduce.group import DataError
from hil.reproduce.page import UNDRAWN
from hil.reproduce.store import Store, to_json
from hil.reproduce.svdkl import paper, plan, recordings, sets
from hil.reproduce.svdkl.command import settings_of
from hil.reproduce.svdkl.models import METHODS
from hil.reproduce.svdkl.page import write_page
from hil.reproduce.svdkl.plan import Settings
from hil.reproduce.svdkl.results import Results
from hil.reproduce.svdkl.sections_accuracy import accuracy
from hil.reproduce.svdkl.sections_sigma import fractions
from hil.reproduce.svdkl.trial import faster, moved, run

N, M = 7, 50
RNG = np.random.default_rng(0)


def test_the_plan_has_every_fraction_and_size_once() -> None:
    groups = plan.groups(Settings(trials=(0, 1)))
    parts = [part for group in groups for part in group.parts()]
    assert len(parts) == len(set(parts))
    for method in plan.FRACTIONED:
        for motions in (64, 192, 256, 320):
            assert f"fit/{method}-1/{motions}" in parts
    assert "fit/svgp-0/40" in parts, "the case of little diversity"
    assert "fit/dkl-0/320x2000" in parts
    assert parts.count("leaking/svdkl/random") == 1
    assert groups[0].only(("320",)).parts() == [groups[0].part("320")]
    few = [part for group in plan.groups(settings_of(True, 5, None, None, None)) for part in group.parts()]
    assert len(few) < 20
    assert not any(part.startswith("leaking") for part in few)


def test_pick_and_place_has_a_group_for_each_warm_start() -> None:
    groups = plan.groups(Settings(parts=("pick",)))
    assert [group.subject for group in groups] == ["parallel-both", "parallel-near", "tong-both"]
    assert groups[0].parts()[0].startswith("pick/svdkl_")
    assert len({part for group in groups for part in group.parts()}) == len(cases())
    assert "pick" not in settings_of(True, 1, None, None, None).parts


def test_only_parts_that_are_asked_for() -> None:
    groups = plan.groups(settings_of(False, 2, ["svdkl"], ["fractions"], None))
    assert [group.names for group in groups] == [("320", "256", "192", "64")] * 2


def test_the_simulated_arm_is_the_nominal_one_where_nothing_is_wrong() -> None:
    arm = svdkl_plant.draw(0, "ideal")
    one, model = svdkl_plant.rhythmic(arm, 3), svdkl_plant.nominal_model()
    rows = list(zip(one.q, one.qd, one.qdd, strict=True))
    np.testing.assert_allclose([model.rnea(*row) for row in rows], one.tau, atol=1e-9)
    # Velocity and acceleration are derivatives of the position.
    fine = svdkl_plant.rhythmic(arm, 3, 1.0, 1000.0)
    np.testing.assert_allclose(np.gradient(fine.q, 1e-3, axis=0)[1:-1], fine.qd[1:-1], atol=1e-4)
    np.testing.assert_allclose(np.gradient(fine.qd, 1e-3, axis=0)[1:-1], fine.qdd[1:-1], atol=1e-2)
    assert (np.abs(one.qd).max(axis=0) <= arm.model.velocityLimit).all()


def test_a_real_arm_is_heavier_rubs_and_is_the_same_each_time() -> None:
    arm = svdkl_plant.draw(1)
    one, again, model = svdkl_plant.rhythmic(arm, 0), svdkl_plant.rhythmic(arm, 0), svdkl_plant.nominal_model()
    np.testing.assert_array_equal(one.tau, again.tau)
    left = one.tau - [model.rnea(*row) for row in zip(one.q, one.qd, one.qdd, strict=True)]
    assert (np.sqrt((left**2).mean(axis=0)) > arm.tau_noise).all()
    qd = np.full(N, 1.0)
    np.testing.assert_allclose(arm.friction(-qd), -arm.friction(qd))
    np.testing.assert_allclose(arm.friction(qd), arm.coulomb + arm.viscous, rtol=1e-3)


def test_one_training_from_scratch_through_a_whole_trial() -> None:
    found = sets.simulated(0, (4, 1, 1))
    assert len(found.shown) == sets.SHOWN * found.rate
    result, arrays = run(found, "svgp", 0, 4, quick=True)
    json.loads(to_json(result))
    assert result["samples"] == 1000
    assert 0.0 < result["test"]["mean_rmse"] < np.mean(found.test.tau.std(axis=0))
    assert arrays["kp"].shape == arrays["mean"].shape == found.shown.tau.shape
    assert (arrays["kp"] >= 0.1 - 1e-9).all()
    assert (arrays["kp"] <= 1.0).all()
    where = {name: np.mean(share) for name, share in result["gains"]["elsewhere"].items()}
    assert where["positions"] > where["known"], "it is less sure where nothing was learnt"
    assert where["speeds"] > where["known"]


def test_elsewhere_is_elsewhere() -> None:
    test = sets.simulated(0, (6, 2, 2)).test
    np.testing.assert_allclose(np.abs(moved(test).q - test.q), 1.0)
    np.testing.assert_allclose(faster(test).qdd, 6.25 * test.qdd)


def test_a_random_split_shares_motions() -> None:
    found = sets.simulated(0, (6, 2, 2))
    leaking = sets.leaking(found, 0)
    assert [len(leaking.train), len(leaking.test)] == [len(found.train), len(found.test)]
    assert set(leaking.train.trajectories) & set(leaking.test.trajectories)
    assert not set(found.train.trajectories) & set(found.test.trajectories)


def test_recordings_are_found_by_their_files(tmp_path: Path) -> None:
    assert recordings.there(None) == ()
    (tmp_path / "sarcos_inv.mat").write_bytes(b"nonsense")
    assert recordings.there(str(tmp_path)) == ("sarcos",)
    with pytest.raises(DataError, match="sarcos_inv"):
        recordings.computer("sarcos", str(tmp_path), False)


def test_a_mistake_on_the_command_line_gets_a_sentence(tmp_path: Path) -> None:
    for options, words in (
        (["--method", "mlp"], "svdkl_semi"),
        (["--part", "three"], "fractions"),
        (["--data", str(tmp_path)], sets.FROZEN),
    ):
        result = CliRunner().invoke(app, ["reproduce", "svdkl", "--out", str(tmp_path / "runs"), *options])
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split())
    assert not (tmp_path / "runs").exists()


def fit(method: str, seed: int, motions: int, error: float, sigma: float) -> tuple[dict[str, Any], dict[str, Any]]:
    scores = {
        "rmse": [error] * N, "nmse": [0.01] * N, "nll": [0.4] * N, "msll": [-1.0] * N, "constant_nll": [0.5] * N,
        "coverage68": [0.7] * N, "coverage95": [0.95] * N, "sigma": [sigma] * N, "mean_rmse": error,
    }  # fmt: skip
    subset = 2000 if method == "dkl" else None
    gains: dict[str, Any] = {"sigma_n": [0.1] * N, "sigma_f": [3.0] * N, "test": [0.2] * N, "shown": [0.2] * N}
    if motions == 320:
        where = {"known": [0.125] * N, "positions": [0.8] * N, "speeds": [0.9] * N}
        gains |= {"elsewhere": where, "calibrated": where, "sensitivity": 3.0}
    result = {
        "method": method, "seed": seed, "motions": motions, "all_motions": 320, "samples": subset or 250 * motions,
        "subset": subset, "seconds": 0.25 * motions, "noise": [0.09] * N, "test": scores, "gains": gains,
        "shown": scores | {"within": 0.95, "rate": 25.0},
    }  # fmt: skip
    arrays = {name: RNG.standard_normal((M, N)) for name in ("mean", "tau")}
    return result, arrays | {"sigma": np.full((M, N), sigma), "kp": np.full((M, N), 0.2)}


def filled(folder: Path, settings: Settings, sigma: float = 20.0) -> tuple[Store, list[str]]:
    store, parts = Store(folder), []
    for group in plan.groups(settings):
        for name in group.names:
            part = group.part(name)
            parts.append(part)
            if group.kind == "real":
                result, arrays = fit(group.subject, 0, 1, 0.3, 0.3)
                result |= {"recording": group.subject, "method": name, "deep": name != "svgp",
                           "sigma_validation": [0.1] * N} | ({"physics_rmse": [0.5] * N} if name == "semi" else {})
            else:
                motions = 320 if name == "random" else int(name.partition("x")[0])
                error = 0.2 if group.subject == "svdkl" else 0.4
                error *= 0.5 if group.kind == "leaking" else 320.0 / motions
                result, arrays = fit(group.subject, group.seed, motions, error, sigma / motions**0.5)
            store.write(part, result, arrays)
    return store, parts


@pytest.fixture
def everything(tmp_path: Path) -> tuple[Settings, Store, list[str]]:
    data = tmp_path / "data"
    data.mkdir()
    for each in recordings.RECORDED.values():
        for file in each.files:
            (data / file).touch()
    settings = Settings(trials=(0, 1), data=str(data), parts=plan.QUICK_PARTS)
    store, parts = filled(tmp_path / "run", settings)
    return settings, store, parts


def test_the_page_has_every_section_and_needs_no_network(
    everything: tuple[Settings, Store, list[str]], tmp_path: Path
) -> None:
    settings, store, parts = everything
    found = Results.read(store, settings, parts)
    page = write_page(found, tmp_path / "report.html", {"made": "now"}).read_text()
    assert UNDRAWN not in page
    assert "Not part of this run." not in page
    assert page.count("Not part of this run: hil reproduce svdkl --part pick computes it.") == 4
    for word in ("Table I", "Fig. 1", "Experiment II", "eqs (6)–(8)", "UR10e", "SARCOS", "KISS-GP", "stand-in"):
        assert word in page, word
    assert page.count("data:image/png;base64,") >= 8
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    for text in paper.CAVEATS:
        assert escape(text) in page
    json.loads(to_json(found.to_mapping()))
    findings = found.findings
    assert "SVDKL has 0.50 times the error of SVGP" in findings["accuracy"]
    assert "With 40 motions only, SVDKL has 1.600 and SVGP 3.200 N·m: the deep kernel is ahead" in (
        findings["training_time"]
    )
    assert "SVDKL 0.100 instead of 0.200 N·m" in findings["random_split"]
    assert "falls with each step, from 2.500 to 1.118 N·m" in findings["fractions"]
    assert "at 12 % of Kmax" in findings["gains"]
    assert "(physics alone 0.500)" in findings["recordings"]


def test_findings_follow_the_data(everything: tuple[Settings, Store, list[str]]) -> None:
    settings, store, parts = everything
    for part in parts:
        result = store.read(part)
        assert result is not None
        if part == "fit/svdkl-0/256":
            result["test"]["sigma"] = [9.0] * N
        if part == "fit/lstm-0/64":
            result["test"]["coverage95"] = [0.8] * N
        if part.startswith("fit/svdkl-"):
            result["test"]["mean_rmse"] = 0.8
        store.write(part, result, store.arrays(part))
    found = Results.read(store, settings, parts)
    told = fractions(found).finding
    assert "SVDKL: mean σ does not fall monotonically over the test motions" in told
    assert "9.000 at 80 %" in told
    assert "the 95 % band of B-LSTM is outside" in told
    assert "SVDKL has 2.00 times the error of SVGP" in accuracy(found).finding


def test_what_was_not_computed_is_not_claimed(tmp_path: Path) -> None:
    settings = Settings(trials=(0,), methods=("svdkl",), parts=("fractions",))
    store, parts = filled(tmp_path, settings)
    store.write(parts[0], {"error": "ParameterError: training diverged"})
    found = Results.read(store, settings, parts)
    page = write_page(found, tmp_path / "report.html", {}).read_text()
    assert UNDRAWN not in page
    assert "training diverged" in page
    assert "recordings were not given. hil reproduce svdkl --data" in page
    for title in (METHODS["lstm"].title, METHODS["svgp"].title):
        assert f'<td class="">{title}' not in page
