"""Samples from every kind of file, what is wrong with those that cannot be read, and splits by whole trajectories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from estimators.dynamics.samples import Samples
from hil.learning.dynamics_data import RATE, TORQUE_UNITS, DataError, from_segment, read
from hil.learning.dynamics_split import by_trajectory, leaking
from hil.learning.segments import Segment


def columns(trajectories: int = 3, samples: int = 20, n: int = 7) -> np.ndarray:
    """q, qd, qdd, tau side by side; trajectories lie 1 rad apart."""
    rng = np.random.default_rng(0)
    table = 0.01 * rng.standard_normal((trajectories * samples, 4 * n))
    table[:, :n] += np.repeat(np.arange(trajectories), samples)[:, None]
    return table


def npz(path: Path, table: np.ndarray, **more: np.ndarray) -> Path:
    q, qd, qdd, tau = np.hsplit(table, 4)
    np.savez(path, q=q, qd=qd, qdd=qdd, tau=tau, **more)
    return path


def test_npz_with_its_own_trajectories(tmp_path: Path) -> None:
    table = columns()
    numbers = np.repeat([9, 4, 7], 20)
    found = read([npz(tmp_path / "a.npz", table, traj=numbers)])
    assert np.array_equal(found.samples.trajectory, numbers)
    assert np.array_equal(found.samples.tau, table[:, 21:])
    assert found.names[9] == "a.npz #9"


def test_several_files_are_counted_anew(tmp_path: Path) -> None:
    paths = [npz(tmp_path / name, columns(2)) for name in ("a.npz", "b.npz")]
    found = read(paths)
    assert found.samples.trajectories.tolist() == [0, 1, 2, 3]
    assert found.names[2] == "b.npz #0"
    npz(tmp_path / "c.npz", columns(2, n=6))
    with pytest.raises(DataError, match="6 joints"):
        read([paths[0], tmp_path / "c.npz"])


@pytest.mark.parametrize("layout", ["kuka-sim", "kuka-real", "si"])
@pytest.mark.parametrize("comma", [False, True])
def test_text_of_28_columns(tmp_path: Path, layout: str, comma: bool) -> None:
    table = columns()
    np.savetxt(tmp_path / "SIM.txt", table, delimiter="," if comma else " ")
    samples = read([tmp_path / "SIM.txt"], layout).samples
    np.testing.assert_allclose(samples.tau, table[:, 21:] * np.array(TORQUE_UNITS[layout]))
    np.testing.assert_allclose(samples.qdd, table[:, 14:21])
    assert samples.trajectories.tolist() == [0, 1, 2], "a jump begins another trajectory"


def test_the_scale_of_the_torques_is_the_published_one() -> None:
    assert TORQUE_UNITS["kuka-sim"] == (50, 70, 20, 20, 4, 4, 2)
    assert TORQUE_UNITS["kuka-real"] == (40, 40, 20, 20, 4, 4, 2)


def test_sarcos(tmp_path: Path) -> None:
    table = columns()
    savemat(tmp_path / "sarcos_inv.mat", {"sarcos_inv": table})
    samples = read([tmp_path / "sarcos_inv.mat"]).samples
    np.testing.assert_allclose(samples.tau, table[:, 21:])
    assert samples.n == 7


def test_csv_with_and_without_units(tmp_path: Path) -> None:
    table = columns(2, n=2)
    parts = (("q", "rad"), ("qd", "rad/s"), ("qdd", "rad/s²"), ("tau", "N·m"))
    plain = ",".join([f"{name}{j}" for name, _ in parts for j in (1, 2)] + ["traj"])
    units = ",".join([f"{name}_{j} [{unit}]" for name, unit in parts for j in (0, 1)] + ["trajectory"])
    with_numbers = np.hstack((table, np.repeat([3, 5], 20)[:, None]))
    for header in (plain, units):
        np.savetxt(tmp_path / "a.csv", with_numbers, delimiter=",", header=header, comments="", encoding="utf-8")
        samples = read([tmp_path / "a.csv"]).samples
        np.testing.assert_allclose(samples.qdd, table[:, 4:6])
        assert samples.trajectories.tolist() == [3, 5]
    np.savetxt(tmp_path / "a.csv", with_numbers, delimiter=",", header=units.replace("[rad]", "[deg]"), comments="")
    with pytest.raises(DataError, match=r"'q_0 \[deg\]' is in deg; expected rad"):
        read([tmp_path / "a.csv"])
    np.savetxt(tmp_path / "a.csv", with_numbers, delimiter=",", header=plain.replace("qdd", "x"), comments="")
    with pytest.raises(DataError, match="qdd of 0 joints"):
        read([tmp_path / "a.csv"])


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_a_log_gives_the_acceleration_that_the_torque_caused(lag: int) -> None:
    """Simulated as the mock does: the torque of a tick acts until the next one; the measurement comes ``lag`` later."""
    dt, m = 1e-3, 3000
    t = np.arange(m) * dt
    tau = np.stack((np.sin(2.0 * np.pi * 1.5 * t), 2.0 * np.cos(2.0 * np.pi * 2.0 * t)), axis=1)
    qd = np.vstack((np.zeros((1, 2)), np.cumsum(tau / np.array([2.0, 0.5]) * dt, axis=0)[:-1]))
    q = np.cumsum(qd, axis=0) * dt
    measured = np.vstack((np.repeat(tau[:1], lag, axis=0), tau))[:m]
    samples = from_segment(Segment("piece", q, qd, measured, dt), 3, lag)
    np.testing.assert_allclose(samples.tau, samples.qdd * np.array([2.0, 0.5]), atol=2e-3)
    assert set(samples.trajectory) == {3}
    assert len(samples) == pytest.approx(RATE * 2.8, abs=2)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    def refused(name: str, match: str, layout: str | None = None) -> None:
        with pytest.raises(DataError, match=match):
            read([tmp_path / name], layout)

    refused("none.npz", "cannot be read")
    (tmp_path / "x.npz").write_bytes(b"junk")
    refused("x.npz", "no .npz file")
    (tmp_path / "x.mat").write_bytes(b"junk")
    refused("x.mat", "no .mat file")
    savemat(tmp_path / "y.mat", {"z": np.zeros((3, 5))})
    refused("y.mat", "28 columns")
    np.savez(tmp_path / "y.npz", q=np.zeros((3, 2)))
    refused("y.npz", "has no qd, qdd, tau")
    np.savez(tmp_path / "p.npz", q=np.array([{}], dtype=object), qd=0, qdd=0, tau=0)
    refused("p.npz", "allow_pickle")
    (tmp_path / "x.txt").write_text("1 2 3\n")
    refused("x.txt", "name the layout")
    refused("x.txt", "3 columns", "si")
    (tmp_path / "x.csv").write_text("")
    refused("x.csv", "q of 0 joints")
    refused("x.doc", "data are read from .mcap")
    table = columns()
    table[5, 3] = np.nan
    npz(tmp_path / "nan.npz", table)
    refused("nan.npz", "q is not finite at 1 of 60")


def samples(trajectories: int) -> Samples:
    table = columns(trajectories, n=2)
    return Samples(*np.hsplit(table, 4), np.repeat(np.arange(trajectories), 20))


@pytest.mark.parametrize("count", [3, 10, 37])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_split_by_trajectory_shares_none(count: int, seed: int) -> None:
    split = by_trajectory(samples(count), seed=seed)
    sets = [set(part.trajectories.tolist()) for part in (split.train, split.validate, split.test)]
    assert set.union(*sets) == set(range(count))
    assert sum(len(part) for part in sets) == count
    assert not split.leaking
    assert split.about()["test"] == sorted(sets[2])


def test_a_split_takes_the_trajectories_that_are_named() -> None:
    split = by_trajectory(samples(10), validate=[7], test=[8, 9])
    assert split.test.trajectories.tolist() == [8, 9]
    assert split.validate.trajectories.tolist() == [7]
    assert split.train.trajectories.tolist() == list(range(7))
    for arguments, match in (
        ({"test": [11]}, "no trajectory 11"),
        ({"test": [1], "validate": [1]}, "cannot both"),
        ({"test": [0, 1, 2, 3, 4], "validate": [5, 6, 7, 8, 9]}, "at least three"),
    ):
        with pytest.raises(DataError, match=match):
            by_trajectory(samples(10), **arguments)
    with pytest.raises(DataError, match="2 trajectories; expected at least three"):
        by_trajectory(samples(2))


def test_a_random_split_says_that_it_leaks() -> None:
    split = leaking(samples(5))
    assert split.leaking
    assert split.about()["leaking"] is True
    assert len(split.train) + len(split.validate) + len(split.test) == 100
    assert len(set(split.test.trajectories) & set(split.train.trajectories)) > 0
