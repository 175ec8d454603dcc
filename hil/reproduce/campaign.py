"""Carries out a campaign through joblib: each finished part is kept at once, and an interrupted one goes on.

Where the work is done is configuration alone: a YAML file of arguments for :func:`joblib.parallel_config`, so that
processes, threads, or a Dask or Ray cluster take the same groups.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from joblib import Parallel, delayed, parallel_config

from estimators.errors import EstimatorError
from hil.reproduce.group import DataError, Group, Part
from hil.reproduce.store import Store
from hil.reproduce.work import carry_out

LOOK = 0.5
"""How often the progress looks at the store, s."""


class BackendError(ValueError):
    """A configuration of workers that joblib does not take; the message says what to write."""


def read_backend(path: Path | None, jobs: int) -> dict[str, Any]:
    """Arguments for :func:`joblib.parallel_config`. Raises BackendError.

    The file may name ``register``: ``module:function`` that makes a backend known to joblib, e.g.
    ``ray.util.joblib:register_ray``.
    """
    if path is None:
        return {"n_jobs": jobs, **({"backend": "loky", "inner_max_num_threads": 1} if jobs != 1 else {})}
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise BackendError(f"{path} cannot be read: {error}") from error
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise BackendError(
            f"{path}: read {options!r}; expected arguments of joblib.parallel_config, e.g. backend: dask"
        )
    register = options.pop("register", None)
    if register is not None:
        module, _, function = str(register).partition(":")
        try:
            getattr(importlib.import_module(module), function)()
        except (ImportError, AttributeError, ValueError) as error:
            raise BackendError(f"{path}: register: read {register!r}; expected module:function ({error})") from error
    return {"n_jobs": jobs, **options}


def run(
    groups: Sequence[Group],
    store: Store,
    backend: Mapping[str, Any],
    tell: Callable[[int, str], None] = lambda done, what: None,
    work: Callable[[Group, str | None], list[Part]] | None = None,
) -> None:
    """Carry out what is not in ``store`` yet. ``tell(done, what)`` hears how many parts are finished.

    Raises BackendError for workers that cannot be had. A part that fails is kept with its ``error`` and tried again
    by the next run; the others go on.
    """
    open_groups = [left for left in (_left(group, store) for group in groups) if left.names]
    work = work or carry_out
    with _watched(groups, store, tell):
        try:
            # As written by joblib 1.4: a generator gives each group's results when it is done, in any order.
            with parallel_config(**backend):
                tasks = (delayed(work)(group, str(store.folder)) for group in open_groups)
                for found in Parallel(return_as="generator_unordered", pre_dispatch="n_jobs")(tasks):
                    for name, result, arrays in found:
                        # A worker that shares our disk has written it already.
                        if store.read(name) is None or ("error" not in result and not store.has(name)):
                            store.write(name, result, arrays)
        except (ValueError, TypeError, ImportError) as error:
            if isinstance(error, (DataError, EstimatorError)):
                raise
            raise BackendError(f"the workers cannot be had with {dict(backend)}: {error}") from error


def _left(group: Group, store: Store) -> Group:
    return group.only(tuple(name for name in group.names if not store.has(group.part(name))))


@contextlib.contextmanager
def _watched(groups: Sequence[Group], store: Store, tell: Callable[[int, str], None]) -> Iterator[None]:
    """Counts files while the workers work: it needs no word from them, wherever they are."""
    names = [(name, group.title) for group in groups for name in group.parts()]
    waiting = dict(names)
    stop = threading.Event()

    def look() -> None:
        for name in [each for each in waiting if store.path(each).exists() and store.has(each)]:
            title = waiting.pop(name)
            tell(len(names) - len(waiting), f"{title}: {name.rsplit('/', 1)[-1]}")

    def watch() -> None:
        while not stop.wait(LOOK):
            look()

    look()
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        look()
