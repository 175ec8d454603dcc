"""The artefact store: versions, acceptance, roll-back, what is refused, and nothing half-written whatever fails."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hil.store import disk
from hil.store.fit import Identity
from hil.store.page import StoreError, fingerprints, package_versions
from hil.store.store import Store

KIND = "residual"
CELL = Identity("bench", "a" * 64, 6, "bench.yaml", "b" * 64, {"observer": {"delay_ticks": 1}})


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


def make(folder: Path, cell: Identity = CELL, clock: Clock | None = None) -> Store:
    return Store(folder, cell, now=clock or Clock(), wait=lambda s: None, who=lambda: "anna")


def content(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "model.npz").write_text(text)

    return write


def add(store: Store, text: str, **about: Any) -> int:
    return store.add(KIND, store.cell.about(headline=text, **about), content(text)).page.version


def test_versions_are_numbered_and_used_only_when_accepted(tmp_path: Path) -> None:
    store = make(tmp_path / "artefacts" / "bench")
    assert store.kinds() == []
    assert store.versions(KIND) == []
    with pytest.raises(StoreError, match=r"has no residual .*hil train residual LOG… --cell bench.yaml"):
        store.load(KIND)
    assert [add(store, "one"), add(store, "two")] == [1, 2]
    with pytest.raises(StoreError, match=r"no version of residual is in use.*hil models use bench.yaml residual 2"):
        store.load(KIND)
    store.use(KIND, 1)
    stored = store.load(KIND)
    assert stored.path.read_text() == "one"
    assert (stored.page.made, stored.page.made_by) == ("2026-01-01T12:00:00Z", "anna")
    assert str(stored) == "residual version 1 of bench, accepted by anna on 2026-01-01T12:00:00Z"
    assert store.kinds() == [KIND]
    assert add(store, "three") == 3
    assert store.active(KIND) == 1


def test_a_roll_back_goes_to_what_was_in_use_before_and_the_history_tells_it(tmp_path: Path) -> None:
    clock = Clock()
    store = make(tmp_path, clock=clock)
    for text in ("one", "two", "three"):
        add(store, text)
    with pytest.raises(StoreError, match="was in use before"):
        store.rollback(KIND)
    for version in (1, 3, 2, 2):  # the last one changes nothing
        store.use(KIND, version, by="berta")
    clock.at = datetime(2026, 2, 1, tzinfo=UTC)
    assert store.rollback(KIND).page.version == 3
    assert store.rollback(KIND).page.version == 1
    with pytest.raises(StoreError, match="was in use before"):
        store.rollback(KIND)
    assert [(each.version, each.action, each.by) for each in store.history(KIND)] == [
        (1, "use", "berta"),
        (3, "use", "berta"),
        (2, "use", "berta"),
        (3, "rollback", "anna"),
        (1, "rollback", "anna"),
    ]
    assert store.history(KIND)[-1].at == "2026-02-01T00:00:00Z"


def test_numbers_are_never_given_twice(tmp_path: Path) -> None:
    store = make(tmp_path)
    for text in ("one", "two"):
        store.use(KIND, add(store, text))
    shutil.rmtree(tmp_path / KIND / "0002")
    assert add(store, "three") == 3
    with pytest.raises(StoreError, match="there is no version 2"):
        store.load(KIND)


def test_what_is_not_for_this_cell_is_refused_with_the_reason(tmp_path: Path) -> None:
    clock = Clock()
    store = make(tmp_path, clock=clock)
    add(store, "one", needs={"observer.delay_ticks": 1}, expires="2026-03-01T00:00:00Z")
    store.use(KIND, 1)
    others = {
        "made for the cell 'bench', this one is 'other'": replace(CELL, name="other"),
        "for 6 joints, the cell's robot has 7": replace(CELL, joints=7),
        "another robot model": replace(CELL, urdf="c" * 64),
        "made with observer.delay_ticks: 1, the cell file says 0": replace(
            CELL, content={"observer": {"delay_ticks": 0}}
        ),
        "the cell file says None": replace(CELL, content={}),
    }
    for reason, cell in others.items():
        with pytest.raises(StoreError, match=reason) as caught:
            make(tmp_path, cell).load(KIND)
        assert "hil models" in str(caught.value)
        assert caught.value.reason
        with pytest.raises(StoreError, match=reason):
            make(tmp_path, cell).use(KIND, 1)
    clock.at = datetime(2026, 2, 28, tzinfo=UTC)
    assert store.load(KIND).page.version == 1
    clock.at = datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(StoreError, match="expired on 2026-03-01"):
        store.load(KIND)


@pytest.mark.parametrize("name", ["model.npz", "page.json", "page.json.sha256"])
def test_damage_is_refused_wherever_it_is(tmp_path: Path, name: str) -> None:
    store = make(tmp_path)
    for text in ("one", "two"):
        store.use(KIND, add(store, text))
    path = tmp_path / KIND / "0002" / name
    good = path.read_bytes()
    for at in range(0, len(good), 5):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        if name.endswith("sha256") and at >= 64:
            break  # behind the digest stands the name, for sha256sum
        with pytest.raises(StoreError, match=r"version 2 .* is refused"):
            store.load(KIND)
    for bad in (good[: len(good) // 2], b"", b"\xff\xfe"):
        path.write_bytes(bad)
        with pytest.raises(StoreError, match="is refused"):
            store.load(KIND)
    path.unlink()
    with pytest.raises(StoreError, match=f"{name} is missing"):
        store.load(KIND)
    assert store.rollback(KIND).page.version == 1


def test_a_version_that_was_exchanged_after_it_was_accepted_is_refused(tmp_path: Path) -> None:
    store, other = make(tmp_path / "a"), make(tmp_path / "b")
    store.use(KIND, add(store, "one"))
    add(other, "another")
    shutil.rmtree(tmp_path / "a" / KIND / "0001")
    shutil.copytree(tmp_path / "b" / KIND / "0001", tmp_path / "a" / KIND / "0001")
    with pytest.raises(StoreError, match="another one than anna accepted"):
        store.load(KIND)
    store.use(KIND, 1)  # somebody has looked at it
    assert store.load(KIND).path.read_text() == "another"


def test_a_damaged_list_of_acceptances_is_told_kept_and_mended_by_choosing(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.use(KIND, add(store, "one"))
    path = tmp_path / KIND / "active.json"
    good = path.read_bytes()
    for bad in (b"", good[:-5], good.replace(b'"format": 1', b'"format": 9'), good.replace(b"Z", b"")):
        path.write_bytes(bad)
        with pytest.raises(StoreError, match=r"hil models use bench\.yaml residual VERSION"):
            store.load(KIND)
    store.use(KIND, 1)
    assert store.load(KIND).page.version == 1
    assert [each.read_bytes() for each in (tmp_path / KIND).glob("damaged-*")] == [bad]


def test_names_that_are_none_and_versions_without_files_are_refused(tmp_path: Path) -> None:
    store = make(tmp_path)
    for kind in ("../other", "Residual", "", "a/b"):
        with pytest.raises(StoreError, match="no kind of artefact"):
            store.versions(kind)
    with pytest.raises(ValueError, match="needs files of its own"):
        store.add(KIND, CELL.about(), lambda folder: None)
    with pytest.raises(ValueError, match="finite"):
        CELL.about(figures={"rms, N·m": float("nan")})
    assert store.versions(KIND) == []


class Killed(BaseException):
    """The process is gone: nothing it would have done follows."""


class Failing:
    """``os`` whose call number ``at`` fails; ``dead``: every later one, too, as after a kill."""

    def __init__(self, at: int, dead: bool) -> None:
        self.at, self.dead = at, dead
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in ("open", "write", "fsync", "mkdir", "rename", "replace"):
            return real  # constants, and close, which frees what a kill frees as well

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) == self.at or (self.dead and len(self.calls) > self.at):
                raise Killed if self.dead else OSError(28, "No space left on device", str(args[0]))
            return real(*args, **kwargs)

        return call


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("what", ["add", "use", "rollback"])
def test_whatever_fails_the_old_version_stays_in_use_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, dead: bool
) -> None:
    names: list[str] = []
    start = make(tmp_path / "start")
    for text in ("one", "two", "three"):
        add(start, text)
    for version in (1, 2):
        start.use(KIND, version)
    actions: dict[str, Callable[[Store], object]] = {
        "add": lambda store: add(store, "four"),
        "use": lambda store: store.use(KIND, 3),
        "rollback": lambda store: store.rollback(KIND),
    }
    for at in range(1, 100):
        folder = tmp_path / str(at)
        shutil.copytree(start.folder, folder)
        store = make(folder)
        failing = Failing(at, dead)
        with monkeypatch.context() as patch:
            patch.setattr(disk, "os", failing)
            if dead:  # a dead process tidies nothing
                patch.setattr(disk, "sweep", lambda folder: None)
            said = ""
            try:
                actions[what](store)
                failed = False
            except (StoreError, Killed) as error:
                failed, said = True, str(error)
        assert dead or not failed or "No space left" in said
        after = make(folder)
        names = failing.calls
        if not failed:
            break
        # Once the last rename is done, the new state may be the visible one: it is whole, too.
        renamed = {"add": "rename", "use": "replace", "rollback": "replace"}[what] in names[: at - 1]
        expected = {"add": 2, "use": 3 if renamed else 2, "rollback": 1 if renamed else 2}[what]
        assert after.load(KIND).page.version == expected, f"{names} at {at}"
        for version in after.versions(KIND):
            after.check(KIND, version)
        assert after.versions(KIND) == ([1, 2, 3, 4] if what == "add" and renamed else [1, 2, 3])
        add(after, "five")
        assert after.use(KIND, after.versions(KIND)[-1]).path.read_text() == "five"
        assert not [each for each in (folder / KIND).iterdir() if each.name.endswith(disk.PART)], "nothing is left over"
    else:
        pytest.fail("it never came to its end")
    assert at > 4
    # On the disk before it has its name, and the name on the disk before it is said to be done.
    last = max(k for k, name in enumerate(names) if name in ("rename", "replace"))
    assert "fsync" in names[:last]
    assert names[-1] == "fsync"
    assert names.index("fsync") < last < len(names) - 1


def _write_five(folder: Path, name: str) -> None:
    store = Store(folder, CELL)
    for _ in range(5):
        version = store.add(KIND, CELL.about(note=name), content(name)).page.version
        store.use(KIND, version, by=name)


def test_two_processes_that_write_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=_write_five, args=(tmp_path, name)) for name in ("first", "second")]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert [each.exitcode for each in both] == [0, 0]
    store = make(tmp_path)
    assert store.versions(KIND) == list(range(1, 11))
    found = [store.check(KIND, version) for version in store.versions(KIND)]
    assert sorted(each.path.read_text() for each in found) == ["first"] * 5 + ["second"] * 5
    assert all(each.path.read_text() == each.page.note for each in found)
    history = store.history(KIND)
    assert sorted(each.version for each in history) == list(range(1, 11))
    assert all(found[each.version - 1].page.note == each.by for each in history)


def test_a_writer_that_never_ends_is_told_and_nothing_waits_for_ever(tmp_path: Path) -> None:
    waited: list[float] = []
    store = Store(tmp_path, CELL, wait=waited.append)
    add(store, "one")
    with disk.locked(tmp_path / KIND), pytest.raises(StoreError, match="another process has been writing"):
        store.use(KIND, 1)
    assert sum(waited) == pytest.approx(disk.WAIT)
    assert store.use(KIND, 1).page.version == 1


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = make(tmp_path / "file" / "bench")
    with pytest.raises(StoreError, match=r"artefacts\.dir"):
        store.require_writable()
    with pytest.raises(StoreError, match="cannot be written"):
        add(store, "one")
    make(tmp_path / "new" / "bench").require_writable()
    assert not (tmp_path / "new").exists()


def test_fingerprints_are_those_of_sha256sum_and_versions_those_installed(tmp_path: Path) -> None:
    (tmp_path / "run.mcap").write_bytes(b"abc")
    (data,) = fingerprints([tmp_path / "run.mcap"])
    assert (data.name, data.size) == (f"{tmp_path.name}/run.mcap", 3)
    assert data.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    import numpy as np

    found = package_versions(("no-such-package",))
    assert found["numpy"] == np.__version__
    assert "no-such-package" not in found


def test_the_page_is_json_and_its_digest_is_checked_by_sha256sum(tmp_path: Path) -> None:
    store = make(tmp_path)
    add(store, "one", seed=3, devices={"ft": "SN 12"}, figures={"rms, N·m": (0.1, 0.2)})
    folder = tmp_path / KIND / "0001"
    page = json.loads((folder / "page.json").read_bytes())
    assert (page["seed"], page["devices"], page["cell"]) == (3, {"ft": "SN 12"}, "bench")
    if shutil.which("sha256sum"):
        assert subprocess.run(["sha256sum", "--check", "--quiet", "page.json.sha256"], cwd=folder).returncode == 0
