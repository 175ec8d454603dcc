"""The page of a campaign, from results that are made up here: everything on it follows them."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from estimators.kvark.methods import METHODS
from hil.reproduce.kvark import paper, plan
from hil.reproduce.kvark import sections_contact as contact
from hil.reproduce.kvark import sections_models as models
from hil.reproduce.kvark import sections_scores as scores
from hil.reproduce.kvark.illustrations import ILLUSTRATIONS
from hil.reproduce.kvark.page import write_page
from hil.reproduce.kvark.plan import Settings
from hil.reproduce.kvark.recordings import RECORDINGS
from hil.reproduce.kvark.results import Results
from hil.reproduce.page import UNDRAWN
from hil.reproduce.store import Store, to_json

N, M = 6, 60
TESTS = ("test_free_fourier", "test_free_ptp", "test_load_fourier", "test_load_ptp", "test_polish")
RNG = np.random.default_rng(0)


def trial(method: str, family: str, error: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    tests, traces = {}, {}
    for test in TESTS:
        tests[test] = {
            "rmse": [error] * N, "nis": 1.0, "nees": 1.0, "coverage": 0.94, "coverage_filter_alone": 0.3,
            "sigma": error, "nll": 1.0, "nll_constant": 1.2, "rmse_apparent": [error + 0.1] * N,
            "apparent_error": [0.45] * N,
            "wrench_rmse": [3.0, 3.0, 3.0, 1.0, 1.0, 1.0], "force_rmse": [2.0 * error] * 3,
        }  # fmt: skip
        for key in ("x", "sd", "truth", "apparent"):
            traces[f"{test}/{key}"] = RNG.standard_normal((M, N))
        for key in ("force", "force_truth"):
            traces[f"{test}/{key}"] = RNG.standard_normal((M, 3))
    if method == "kvark":
        for test in TESTS:
            tests[test]["band"] = {"coverage": 0.9, "sigma": 1.0, "nees": 1.0, "nll": 1.0, "nll_constant": 1.1}
    result = {
        "method": method, "family": family, "case": f"{family}, robot 0", "residual": METHODS[method].residual,
        "residual_rmse": {test: [error / 2] * N for test in TESTS}, "tests": tests, "score": error, "seed": 0,
        "detection": {"rate": 0.8, "delay": 0.05, "false_per_minute": error, "pulses": 30},
    }  # fmt: skip
    return result, traces


def curves(names: str, *shape: int) -> dict[str, np.ndarray]:
    return {name: RNG.standard_normal(shape) for name in names.split()}


def figures() -> dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]]:
    mixture, speed = {}, {}
    for j in range(N):
        mixture |= {
            f"weights{j}": np.full(2, 0.5), f"means{j}": np.zeros((2, 2)), f"covariances{j}": np.stack([np.eye(2)] * 2),
            f"grid{j}": np.linspace(-1, 1, M), f"mean{j}": np.zeros(M), f"sd{j}": np.ones(M),
            f"s{j}": np.zeros(M), f"tau{j}": np.zeros(M),
        }  # fmt: skip
        speed |= {f"s{j}": np.zeros(M), f"tau{j}": np.zeros(M), f"up{j}": np.arange(M) % 2}
    region = {"rmse": 1.5, "coverage": 0.9, "sd": 2.0, "samples": 10}
    process = curves("s tau", M) | {"grid": np.linspace(-1, 1, M)}
    for name in ("gp", "kmp"):
        process |= {f"{name}/{key}": np.abs(RNG.standard_normal(M)) for key in ("mean", "sd", "x", "band", "truth")}
    kinds = ("gmr", "gmr_gp", "kmp", "sparse_gp", "network", "semiparametric")
    predicted = {f"{kind}/{key}": np.ones((M, N)) for kind in kinds for key in ("mean", "sd")}
    count = {"train": 0.5, "unseen": 4.25, "velocity_train": 1.5, "velocity_unseen": 1.6, "numbers": 8399}
    count["seconds"] = 1.0
    spent = {name: {"p50": 20.0, "p99": 50.0} for name in ("momentum", "kvark", "kvark_semi", "model")}
    return {
        "components": ({"components": 20, "slow_over_fast_sd": [7.25] * N}, mixture),
        "velocity": ({"explained": [0.8] * N, "gap_at_low_speed": [3.5] * N}, speed),
        "predictions": (
            {"rmse": {kind: [1.0 + 0.1 * k] * N for k, kind in enumerate(kinds)},
             "coverage": dict.fromkeys(kinds, 0.9)},
            predicted | {"label": RNG.standard_normal((M, N))},
        ),
        "process_models": (
            {"joint": 2, "limit": 0.3, "kept_share": 0.01,
             "filters": {name: {"dense": region, "sparse": region} for name in ("gp", "kmp")}},
            process,
        ),
        "wide_mixture": (
            {"joint": 2, "samples": 900, "components": {"5": count, "40": count}}, curves("label wide narrow", M),
        ),
        "relevance": (
            {"own_velocity_first": [True] * N, "share_of_own_velocity": [0.4] * N}, {"share": np.ones((N, 2 * N))},
        ),
        "timing": ({"samples": 100, "microseconds": spent}, {}),
    }  # fmt: skip


def bus() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    names = ("momentum", "kvark", "kvark_semi")
    scores = {
        name: {"force_rmse": [1.0] * 3, "force_vector_rmse": 20.0 - 5 * k, "wrench_rmse": [1.0] * 6,
               "polish_rmse": [1.0] * N, "loaded_rmse": [1.0] * N, "coverage": 0.9, "scale": 1.0}
        for k, name in enumerate(names)
    }  # fmt: skip
    arrays = {"t": np.arange(M), "sensor": np.zeros((M, 3))} | {f"{name}/force": np.zeros((M, 3)) for name in names}
    return {"cell": "cobot", "seed": 0, "pressing_s": 9.0, "trained_s": 30.0, "methods": scores}, arrays


def real() -> dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]]:
    rows = [
        {"model": "velocity", "gains": gains, "chosen": True, "mass": 2.6, "mass_error": -0.07, "vertical": 1.0,
         "before": [9.0] * N, "after": [1.0] * N, "coverage": 0.9, "coverage_contacts": 0.9, "sigma": [1.0] * N}
        for gains in ("given", "refitted")
    ]  # fmt: skip
    way = {"rmse": [0.5, 0.6], "coverage": [0.9, 0.9], "nll": [1.0, 1.0], "mean": 0.55, "worst": 1.02}
    plain = way | {"coverage": [None, None], "nll": [None, None], "mean": 0.75}
    return {
        "ur10e": (
            {"load": 2.805, "scores": rows, "step": 0.1, "shown": "velocity"},
            curves("loaded fit free push push_sd", M, N),
        ),
        "panda": (
            {"runs": ["a", "b"], "pseudo_inverse": [0.7, 0.8], "methods": {"weighted": way, "plain": plain},
             "shown": "weighted"},
            curves("sensor force sd", M, 3) | {"t": np.arange(M)},
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("run"))
    for family in ("maxwell_slip", "memoryless"):
        for seed in (0, 1):
            for k, method in enumerate(METHODS):  # only the first robot of a family has traces
                result, traces = trial(method, family, 1.0 + 0.1 * k + 0.01 * seed)
                made.write(f"simulated/{family}-{seed}/{method}", result, traces if not seed else {})
    for name, found in figures().items():
        made.write(f"figures/{name}", *found)
    made.write("mocked/cobot", *bus())
    for name, found in real().items():
        made.write(f"real/{name}", *found)
    return made


def results(store: Store, parts: list[str] | None = None) -> Results:
    settings = Settings(families=("maxwell_slip", "memoryless"), seeds=(0, 1))
    return Results.read(store, settings, store.names() if parts is None else parts)


def test_the_page_has_every_section_and_needs_no_network(store: Store, tmp_path: Path) -> None:
    found = results(store)
    page = write_page(found, tmp_path / "report.html", {"made": "now"}).read_text()
    for word in ("Fig. 1", "Figs 3–4", "Figs 4–6", "Table III", "Figs 7–8", "Fig. 9, Table IV", "Fig. 10", "Fig. 11",
                 "Fig. 12", "Fig. 13", "UR10e", "Panda", "CAN bus", "Before comparing"):  # fmt: skip
        assert word in page, word
    assert UNDRAWN not in page
    assert "Not computed" not in page
    assert "Not part of this run" not in page
    assert page.count("data:image/png;base64,") >= 14
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    for text in paper.CAVEATS:
        assert escape(text) in page
    assert len(found.findings) >= 16
    assert all(f'id="{key}"' in page for key in found.findings)
    to_json(found.to_mapping())


def findings(store: Store) -> dict[str, str]:
    found = results(store)
    made = [scores.scores(found, "simulated"), models.components(found), contact.free_loaded(found)]
    return {section.key: section.finding for section in [*made, contact.mocked(found), scores.detection(found)]}


def test_findings_follow_the_data(store: Store, tmp_path: Path) -> None:
    before = findings(store)
    assert "momentum observer with Maxwell-slip" in before["score_simulated"]
    assert "Against the best baseline" in before["score_simulated"]
    assert "7.2 to 7.2 times" in before["components"] or "7.3 to 7.3 times" in before["components"]
    assert "itself off by 0.45 N·m" in before["free_loaded"]
    assert "-25 %" in before["mocked"]
    other = Store(tmp_path)
    for name in store.names():
        found = store.read(name)
        assert found is not None
        if name.endswith("/kvark_semi"):
            found["score"] = 0.125
            found["detection"]["rate"] = 1.0
        other.write(name, found, store.arrays(name))
    after = findings(other)
    assert "K-VARK, semi-parametric with Maxwell-slip friction (0.12 N·m)" in after["score_simulated"]
    assert "semi-parametric finds most pulses, 100 %" in after["detection"]
    assert after["components"] == before["components"]


def test_what_was_not_computed_is_not_claimed(store: Store, tmp_path: Path) -> None:
    store_names = [name for name in store.names() if name.startswith("simulated/maxwell_slip-0/")]
    found = results(store, [*store_names, "figures/timing_", "mocked/cobot_"])
    page = write_page(found, tmp_path / "report.html", {}).read_text()
    assert UNDRAWN not in page
    assert "memoryless" not in page.split('<section id="score_simulated">')[1].split("</section>")[0]
    assert "figures/timing_" in page, "parts that failed are listed"
    assert page.count("Not part of this run") + page.count("Not computed in this run") >= 8


def test_every_part_that_is_planned_can_be_drawn() -> None:
    assert set(figures()) == set(ILLUSTRATIONS)
    assert set(RECORDINGS) == set(plan.REAL) == set(real())
