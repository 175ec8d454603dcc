"""Exciting motions: exact ends, rank, what a search gains over chance, every limit on a finer grid, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from estimators.collision import Box
from estimators.errors import ModelError, ParameterError
from estimators.excitation import (
    Arena,
    Bounds,
    Budget,
    Fourier,
    InfeasibleError,
    Plan,
    Points,
    load,
    optimise,
    save,
)
from estimators.excitation.cloud import moments
from estimators.excitation.fourier import Sampled, null_bases
from estimators.excitation.genetic import minimise
from estimators.excitation.optimise import find_hub
from estimators.excitation.plan import require_fit
from estimators.excitation.search import COARSE, FINER, GRID, Run
from hil.cell import load_cell
from hil.exciting import build_arena, robot_hash

HOME = np.array([0.293, -1.448, -1.892, -1.373, 1.571, 0.293])
SMALL = Budget(runs=2, period=8.0, population=10, generations=4, points=1, points_seconds=6.0, dwell=0.5)


@cache
def arena() -> Arena:
    """The shipped cobot above its plate."""
    return build_arena(load_cell("cobot"))


@cache
def robot() -> str:
    return robot_hash(load_cell("cobot"))


@cache
def planned(seed: int = 0) -> Plan:
    return optimise(arena(), HOME, robot(), SMALL, seed)


def random_fourier(n: int, harmonics: int, period: float, seed: int = 0) -> Fourier:
    rng = np.random.default_rng(seed)
    A, B = null_bases(harmonics)
    a, b = rng.normal(size=(n, A.shape[1])) @ A.T, rng.normal(size=(n, B.shape[1])) @ B.T
    return Fourier(rng.normal(size=n), a, b, period)


# --- trajectories ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("harmonics", [3, 5, 10, 17])
@pytest.mark.parametrize("period", [2.0, 20.0])
def test_both_ends_are_at_rest_in_the_middle_posture(harmonics: int, period: float) -> None:
    fourier = random_fourier(7, harmonics, period)
    # sample() evaluates the sums themselves; at() would cut them off outside of the period
    q, qd, qdd = fourier.sample(np.array([0.0, period]))
    # Rounding of the angle 2πN at the far end, times velocities of some rad/s and accelerations of some rad/s²
    assert np.abs(q - fourier.mid).max() < 1e-12
    assert np.abs(qd).max() < 1e-12
    assert np.abs(qdd).max() / harmonics < 1e-12 * max(1.0, 20.0 / period)
    for end in (0.0, period):
        at = fourier.at(end)
        assert (at[0] == fourier.mid).all()
        assert not at[1].any()
        assert not at[2].any()


def test_velocity_and_acceleration_are_derivatives() -> None:
    fourier, h = random_fourier(3, 10, 20.0), 1e-4
    t = np.linspace(0.1, 19.9, 50)
    _, qd, qdd = fourier.sample(t)
    before, after = fourier.sample(t - h), fourier.sample(t + h)
    np.testing.assert_allclose((after[0] - before[0]) / (2 * h), qd, atol=1e-6)
    np.testing.assert_allclose((after[1] - before[1]) / (2 * h), qdd, atol=1e-5)
    one = fourier.at(7.3)
    np.testing.assert_allclose(one[0], fourier.sample(np.array([7.3]))[0][0], atol=1e-14)


def test_peaks_between_samples_stay_below_what_bernstein_allows() -> None:
    sampled = Sampled(10, 20.0, GRID * 10)
    worst = 1.0
    for seed in range(30):
        fourier = random_fourier(4, 10, 20.0, seed)
        _, qd, qdd = fourier.sample(sampled.t)
        _, fine_qd, fine_qdd = fourier.sample(np.linspace(0.0, 20.0, 20 * sampled.t.size))
        for coarse, fine in ((qd, fine_qd), (qdd, fine_qdd)):
            ratio = np.abs(fine).max(axis=0) / np.abs(coarse).max(axis=0)
            assert (ratio <= sampled.overshoot).all()
            worst = max(worst, float(ratio.max()))
    assert worst > 1.002  # between samples there is more: the allowance is needed


@pytest.mark.parametrize(("harmonics", "rank"), [(5, 9), (9, 17), (10, 18), (12, 18)])
def test_ten_harmonics_are_needed_for_a_covariance_of_full_rank(harmonics: int, rank: int) -> None:
    fourier = random_fourier(6, harmonics, 20.0)
    wide = Bounds(*(np.full(6, x) for x in (-20.0, 20.0, 10.0, 20.0, 1.0, 1.0)))
    t = np.arange(400) * (20.0 / 400)
    covariance = moments(wide, *fourier.sample(t)).covariance()
    assert np.linalg.matrix_rank(covariance, tol=1e-12) <= 2 * harmonics
    assert np.linalg.matrix_rank(covariance, tol=1e-9) >= rank - 2
    if rank == 18:
        assert np.linalg.matrix_rank(covariance, tol=1e-12) == 18


def test_too_few_harmonics_are_refused() -> None:
    with pytest.raises(ParameterError, match="2 harmonics; at least 3"):
        null_bases(2)


# --- the search -----------------------------------------------------------------------------------------------------


def test_the_minimiser_beats_chance_and_repeats_itself() -> None:
    goal = np.linspace(0.1, 0.9, 12)

    def cost(genes: np.ndarray, bound: float) -> float:
        assert ((genes >= 0.0) & (genes <= 1.0)).all()
        return float(((genes - goal) ** 2).sum())

    told: list[float] = []

    def each(generation: int, least: float) -> bool:
        told.append(least)
        return True

    found = minimise(cost, 12, np.random.default_rng(3), each=each)
    again = minimise(cost, 12, np.random.default_rng(3))
    rng = np.random.default_rng(4)
    chance = min(cost(rng.random(12), np.inf) for _ in range(found.evaluations))
    assert found.cost < 0.1 * chance
    assert (found.genes == again.genes).all()
    assert told == sorted(told, reverse=True)  # elitist: it never gets worse
    assert len(told) == 61
    assert found.cost <= cost(found.first, np.inf)


def test_a_search_that_is_stopped_gives_the_best_so_far() -> None:
    def cost(genes: np.ndarray, bound: float) -> float:
        return float(genes.sum())

    found = minimise(cost, 5, np.random.default_rng(0), each=lambda generation, least: generation < 3)
    assert not found.finished
    assert found.evaluations == 40 * 4
    assert found.cost < float(found.first.sum())


def test_log_det_gains_ten_and_more_over_chance_with_the_same_budget() -> None:
    rng = np.random.default_rng(0)
    hub = find_hub(arena(), HOME, rng)
    run = Run(arena(), hub, 20.0, 10, 1.0, None)
    found = minimise(run.cost, run.size, rng, generations=40)
    least = np.inf
    for _ in range(found.evaluations):
        least = min(least, run.cost(rng.random(run.size), least))
    assert -found.cost - -least >= 10.0


# --- limits ---------------------------------------------------------------------------------------------------------


def _fine(plan: Plan) -> list[tuple[float, np.ndarray, np.ndarray, np.ndarray]]:
    found = []
    for run, speed in zip(plan.runs, plan.speeds, strict=True):
        # Ten times as fine as what torques and distances were searched on
        t = np.linspace(0.0, run.period, FINER * GRID * run.harmonics // COARSE + 1)
        found.append((speed, *run.sample(t)))
    for points in plan.points:
        for start, end, duration in zip(points.q, points.q[1:], points.durations, strict=False):
            u = np.linspace(0.0, 1.0, 60)[:, None]
            step = np.array([6.0, -15.0, 10.0])
            q = start + (u**3 * (step[0] * u**2 + step[1] * u + step[2])) * (end - start)
            h = float(duration) / 59
            qd, qdd = np.gradient(q, h, axis=0), np.gradient(np.gradient(q, h, axis=0), h, axis=0)
            found.append((1.0, q, qd, qdd))
    return found


def test_every_limit_holds_on_a_grid_ten_times_finer() -> None:
    plan, a = planned(), arena()
    b = a.bounds
    for speed, q, qd, qdd in _fine(plan):
        assert ((q >= b.q_min) & (q <= b.q_max)).all()
        assert (np.abs(qd) <= speed * b.qd_max * (1.0 + 1e-9)).all()
        assert (np.abs(qdd) <= speed * b.qdd_max * (1.0 + 1e-9)).all()
        torque = np.array([a.model.rnea(*row) for row in zip(q, qd, qdd, strict=True)])
        assert (np.abs(torque) <= np.minimum(b.tau_max, b.tau_cmd_max)).all()
        assert min(a.collision.clearance(row).distance for row in q[::3]) >= a.margin
    # And they are used: the fastest joint of the fast run comes near its limit.
    assert (np.abs(_fine(plan)[0][2]) / b.qd_max).max() > 0.6


def test_moves_creep_dwell_and_come_back() -> None:
    (points,) = planned().points
    assert points.seconds >= SMALL.points_seconds
    assert (points.q[0] == points.q[-1]).all()
    assert (points.q[0] == planned().hub).all()
    small = np.abs(np.diff(points.q, axis=0)).max(axis=1)
    assert small[1] <= 0.15 < small[0]


def test_same_seed_same_plan_and_another_seed_another() -> None:
    again, other = optimise(arena(), HOME, robot(), SMALL, 0), planned(1)
    for one, two in zip(planned().runs, again.runs, strict=True):
        assert (one.a == two.a).all()
        assert (one.mid == two.mid).all()
    assert (planned().points[0].q == again.points[0].q).all()
    assert not np.array_equal(planned().runs[0].a, other.runs[0].a)


def test_a_stopped_search_leaves_a_whole_plan_and_tells_how_far_it_is() -> None:
    told: list[float] = []

    def progress(what: str, share: float, score: float) -> None:
        told.append(share)

    plan = optimise(arena(), HOME, robot(), SMALL, progress=progress, stop=lambda: True)
    assert len(plan.runs) == 2
    assert len(plan.points) == 1
    require_fit(plan, arena(), robot(), HOME, "the plan")
    assert told == sorted(told)
    assert told[-1] == 1.0


def with_bounds(**change: object) -> Arena:
    return replace(arena(), bounds=replace(arena().bounds, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: with_bounds(box_min=np.full(3, -0.2), box_max=np.full(3, -0.1)), "workspace box"),
        (lambda: with_bounds(q_min=HOME + 0.1), "position"),
        (lambda: with_bounds(tau_cmd_max=np.full(6, 1.0)), "commanded torque"),
        (lambda: with_bounds(tau_sigma=np.full(6, 9.0), force_sigma_max=0.01), "singularity"),
        (lambda: replace(arena(), margin=0.5), "distance"),
    ],
)
def test_where_no_motion_is_possible_the_limit_in_the_way_is_named(make: Callable[[], Arena], says: str) -> None:
    with pytest.raises(InfeasibleError, match=says) as refused:
        optimise(make(), HOME, robot(), SMALL)
    assert "cell file" in str(refused.value)


def test_limits_that_are_none_are_refused() -> None:
    with pytest.raises(ParameterError, match="finite"):
        with_bounds(qd_max=np.full(6, np.nan))
    with pytest.raises(ParameterError, match="leave nothing"):
        with_bounds(q_min=arena().bounds.q_max)
    with pytest.raises(ParameterError, match="the first corner lies below"):
        with_bounds(box_min=np.ones(3), box_max=np.zeros(3))


# --- the file -------------------------------------------------------------------------------------------------------


def test_a_plan_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "plan.npz"
    plan = replace(planned(), provenance={"cell": "cobot", "seed": 0})
    save(plan, path)
    back = load(path)
    for one, two in zip(plan.runs, back.runs, strict=True):
        assert (one.a == two.a).all()
        assert (one.b == two.b).all()
        assert one.period == two.period
    assert (plan.points[0].q == back.points[0].q).all()
    assert (plan.points[0].durations == back.points[0].durations).all()
    assert (back.score, back.before, back.speeds) == (plan.score, plan.before, plan.speeds)
    assert back.provenance == plan.provenance
    require_fit(back, arena(), robot(), HOME, "the plan")
    with np.load(path, allow_pickle=False) as file:  # plain arrays all of them
        assert json.loads(bytes(file["about"]))["kind"] == "excitation"
        assert all(file[name].dtype.kind in "fu" for name in file.files)


def test_files_that_are_no_plans(tmp_path: Path) -> None:
    whole = tmp_path / "plan.npz"
    save(planned(), whole)
    cut = tmp_path / "cut.npz"
    cut.write_bytes(whole.read_bytes()[:-200])
    other = tmp_path / "other.npz"
    np.savez(other, about=np.frombuffer(b'{"format": 1, "kind": "kvark"}', dtype=np.uint8))
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, about=np.array([{"format": 1}], dtype=object), allow_pickle=True)
    for path in (cut, other, pickled):
        with pytest.raises(ModelError, match="optimise-only"):
            load(path)
    with pytest.raises(OSError, match="absent"):
        load(tmp_path / "absent.npz")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda plan: (replace(plan, robot="0" * 64), arena()), "another URDF"),
        (lambda plan: (plan, with_bounds(qd_max=0.5 * arena().bounds.qd_max)), "run 1.*velocity"),
        (lambda plan: (plan, replace(arena(), margin=0.1)), "the way to it: .*allowed are 100 mm"),
        (lambda plan: (plan, with_bounds(tau_max=np.full(6, 2.0))), "torque"),
    ],
)
def test_a_plan_that_does_not_fit_any_more(change: Callable[[Plan], tuple[Plan, Arena]], says: str) -> None:
    plan, where = change(planned())
    with pytest.raises(ModelError, match=says) as refused:
        require_fit(plan, where, robot(), HOME, "plan.npz")
    assert "hil excite" in str(refused.value)


def test_an_obstacle_put_up_later_makes_a_plan_unfit() -> None:
    from estimators.collision import CollisionModel

    cell, plan = load_cell("cobot"), planned()
    # Where the tool is in the middle of the first run
    x, _ = arena().model.fk(plan.runs[0].sample(np.array([3.0]))[0][0])
    model = CollisionModel(
        cell.urdf_xml, cell.tool.tcp.position, 0.05, 0.0, [Box("post", x, np.eye(3), np.full(3, 0.05))]
    )
    with pytest.raises(ModelError, match="post"):
        require_fit(plan, replace(arena(), collision=model), robot(), HOME, "plan.npz")


@pytest.mark.parametrize("durations", [np.array([1.0]), np.array([1.0, np.nan]), np.array([1.0, 0.0])])
def test_points_that_are_no_moves(durations: np.ndarray) -> None:
    with pytest.raises(ParameterError):
        Points(np.zeros((3, 6)), durations, 0.5)
