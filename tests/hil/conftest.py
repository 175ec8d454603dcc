"""Cells for end-to-end tests: in this process, and as the processes of a real run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hil import launch as launcher
from hil.launch import Run
from tests.hil.running import Recorded, Running, short_cell


@pytest.fixture
def start() -> Iterator[type[Running]]:
    """``Running`` whose instances are closed at the end of the test."""
    made: list[Running] = []

    class Closed(Running):
        def __init__(self, *args: Any, **how: Any) -> None:
            made.append(self)
            super().__init__(*args, **how)

    yield Closed
    for running in made:
        running.close()


class Launches:
    """Runs of the short cell through processes of their own, two at a time, each started once and by its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.cell = short_cell(folder)
        self._pool = ThreadPoolExecutor(2)
        self._futures: dict[str, Future[Run]] = {}

    def begin(
        self,
        name: str,
        motions: tuple[str, ...] = ("polish",),
        seed: int = 0,
        faults: tuple[dict[str, Any], ...] = (),
    ) -> None:
        """Start a run in the background."""
        if name not in self._futures:
            self._futures[name] = self._pool.submit(
                launcher.launch,
                self.cell,
                motions,
                self._folder / name,
                seed=seed,
                paced=False,
                faults=faults,
                pictures=False,  # the report's pictures have tests of their own
            )

    def get(self, name: str) -> Run:
        """Wait for the end of a run that was begun."""
        return self._futures[name].result(180.0)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def launches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launches]:
    """One set of launches for all tests."""
    made = Launches(tmp_path_factory.mktemp("launches"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def polished(launches: Launches) -> Iterator[Recorded]:
    """The same run in this process, every cycle kept."""
    recorded = Recorded(Running(launches.cell))
    recorded.run(["polish"])
    yield recorded
    recorded.running.close()


@pytest.fixture(scope="session")
def undisturbed(launches: Launches) -> Run:
    """The short run of seed 0, in which nothing goes wrong. Its twins are begun with it, to fill both cores."""
    launches.begin("undisturbed")
    launches.begin("again")
    launches.begin("other seed", (), seed=1)
    return launches.get("undisturbed")
