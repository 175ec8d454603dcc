"""Versions of the artefacts of one cell: written whole or not at all, verified when they are read.

``FOLDER/KIND/0003/`` holds the files of version 3 of that kind, its page (``page.json``) and the page's SHA-256;
``FOLDER/KIND/active.json`` says which version is in use, who accepted it and when. A version appears by one rename of
a complete folder and is never written again.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hil.store import disk, history
from hil.store.fit import Identity, why_not
from hil.store.history import Acceptance
from hil.store.page import FORMAT, KIND, About, Page, StoreError, digest, parse_page, stamp

PAGE = "page.json"
PAGE_HASH = "page.json.sha256"
_MAKERS = {"residual": "hil train residual LOG…", "dynamics": "hil train dynamics LOG…"}
"""Commands that make the kinds that the toolkit knows."""
_NUMBER = re.compile(r"\d{4,}")


@dataclass(frozen=True, slots=True)
class Stored:
    """A version that was found whole and fit for the cell."""

    page: Page
    folder: Path
    accepted: Acceptance | None = None
    """None for a version that is not in use."""

    def __str__(self) -> str:
        by = f", accepted by {self.accepted.by} on {self.accepted.at}" if self.accepted else ""
        return f"{self.page.kind} version {self.page.version} of {self.page.cell}{by}"

    @property
    def path(self) -> Path:
        """Its file, where it has only one; else the first by name."""
        return self.folder / min(self.page.files)


def user() -> str:
    """Who is logged in."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


class Store:
    """The artefacts of one cell in ``folder``; ``now``, ``wait``, ``who``: the clock, its pause, the person."""

    def __init__(
        self,
        folder: Path,
        cell: Identity,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        wait: Callable[[float], None] = time.sleep,
        who: Callable[[], str] = user,
    ) -> None:
        self.folder, self.cell = folder, cell
        self._now, self._wait, self._who = now, wait, who

    def kinds(self) -> list[str]:
        """Kinds of which there is something. Raises StoreError."""
        with self._readable():
            if not self.folder.is_dir():
                return []
            return sorted(each.name for each in self.folder.iterdir() if re.fullmatch(KIND, each.name))

    def versions(self, kind: str) -> list[int]:
        """Numbers of the versions there are, ascending. Raises StoreError."""
        folder = self._kind(kind)
        with self._readable():
            if not folder.is_dir():
                return []
            return sorted(int(each.name) for each in folder.iterdir() if _NUMBER.fullmatch(each.name))

    def history(self, kind: str) -> tuple[Acceptance, ...]:
        """Every acceptance, the one in force last. Raises StoreError."""
        try:
            with self._readable():
                return history.read(self._kind(kind))
        except ValueError as error:
            raise StoreError(f"{error}: choose a version anew with `{self._command('use', kind)} VERSION`") from None

    def active(self, kind: str) -> int | None:
        """The version in use; None where none was accepted yet. Raises StoreError."""
        accepted = self.history(kind)
        return accepted[-1].version if accepted else None

    def page(self, kind: str, version: int) -> Page:
        """The page of a version, verified. Raises StoreError."""
        folder = self._version(kind, version)
        with self._readable():
            if not folder.is_dir():
                there = ", ".join(map(str, self.versions(kind))) or "none"
                raise StoreError(
                    f"there is no version {version} of {kind} (there are: {there}); `hil models {self.cell.argument}` "
                    "lists them"
                )
            try:
                content = (folder / PAGE).read_bytes()
                expected = (folder / PAGE_HASH).read_text(encoding="utf-8", errors="replace").split()[:1]
                page = parse_page(content)
            except FileNotFoundError as error:
                raise self._refused(kind, version, f"{Path(str(error.filename)).name} is missing") from None
            except ValueError as error:
                raise self._refused(kind, version, str(error)) from None
        if expected != [digest(content)]:
            raise self._refused(kind, version, f"{PAGE} was changed after it had been written")
        if (page.kind, page.version) != (kind, version):
            raise self._refused(kind, version, f"its page is that of {page.kind} version {page.version}")
        return page

    def check(self, kind: str, version: int) -> Stored:
        """A version, if it is whole and fits the cell, whether in use or not. Raises StoreError with the reason."""
        page, folder = self.page(kind, version), self._version(kind, version)
        with self._readable():
            for name, expected in page.files.items():
                if not (folder / name).is_file():
                    raise self._refused(kind, version, f"{name} is missing")
                if disk.sha256(folder / name) != expected:
                    raise self._refused(kind, version, f"{name} was changed after it had been written")
        if reason := why_not(page, self.cell, self._now()):
            raise self._refused(kind, version, reason)
        return Stored(page, folder)

    def load(self, kind: str) -> Stored:
        """The version in use, whole and fit. Raises StoreError with the reason and the command that mends it."""
        accepted = self.history(kind)
        if not accepted:
            there = self.versions(kind)
            if there:
                raise StoreError(
                    f"no version of {kind} is in use in the cell {self.cell.name}; there are: "
                    f"{', '.join(map(str, there))}. `{self._command('use', kind)} {there[-1]}` takes the newest"
                )
            raise StoreError(f"the cell {self.cell.name} has no {kind} in {self.folder}; {self._make(kind)}")
        last = accepted[-1]
        stored = self.check(kind, last.version)
        with self._readable():
            now = disk.sha256(stored.folder / PAGE)
        if now != last.page:
            raise self._refused(kind, last.version, f"it is another one than {last.by} accepted on {last.at}")
        return Stored(stored.page, stored.folder, last)

    def require_writable(self) -> None:
        """Raises StoreError where nothing can be written, so that it shows before hours of work. Makes nothing."""
        there = next(each for each in (self.folder, *self.folder.absolute().parents) if each.exists())
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            raise self._unwritable(f"{there}: no permission" if there.is_dir() else f"{there}: not a folder")

    def add(self, kind: str, about: About, write: Callable[[Path], None]) -> Stored:
        """A new version, not in use yet. ``write`` is handed an empty folder and puts the files there.

        Raises StoreError; what ``write`` raises. Then nothing has changed.
        """
        with self._writing(kind) as folder:
            used = [each.version for each in self._known(kind)]
            version = max([0, *self.versions(kind), *used]) + 1
            part = disk.begin(folder)
            try:
                write(part)
                files = {each.name: disk.sha256(each) for each in sorted(part.iterdir())}
                if not files or not {PAGE, PAGE_HASH}.isdisjoint(files):
                    raise ValueError(f"a version needs files of its own, none of them {PAGE}; written were {[*files]}")
                page = Page(
                    **about.model_dump(),
                    format=FORMAT,
                    kind=kind,
                    version=version,
                    made=stamp(self._now()),
                    made_by=self._who(),
                    files=files,
                )
                content = page.to_bytes()
                disk.write_file(part / PAGE, content)
                disk.write_file(part / PAGE_HASH, f"{digest(content)}  {PAGE}\n".encode())
                disk.publish(part, self._version(kind, version))
            except BaseException:
                with contextlib.suppress(OSError):
                    disk.sweep(folder)
                raise
        return Stored(page, self._version(kind, version))

    def use(self, kind: str, version: int, by: str | None = None) -> Stored:
        """Accept a version; it is in use from now on. ``by``: who accepts, by default who is logged in.

        Raises StoreError, above all for a version that is damaged or does not fit; then nothing has changed.
        """
        return self._accept(kind, version, "use", by)

    def rollback(self, kind: str, by: str | None = None) -> Stored:
        """Return to the version that was in use before the present one. Raises StoreError as :meth:`use`."""
        version = history.before(self.history(kind))
        if version is None:
            raise StoreError(
                f"no version of {kind} was in use before; `hil models {self.cell.argument}` lists them, "
                f"`{self._command('use', kind)} VERSION` takes one"
            )
        return self._accept(kind, version, "rollback", by)

    def _accept(self, kind: str, version: int, action: str, by: str | None) -> Stored:
        stored = self.check(kind, version)
        with self._writing(kind) as folder:
            accepted = list(self._known(kind))
            # The state may have changed before the lock was ours; a roll-back is one from what was seen.
            if action == "rollback" and history.before(accepted) != version:
                raise StoreError(f"somebody else has just chosen another version of {kind}; look, and say it again")
            if not accepted and (folder / history.ACTIVE).exists():
                disk.rename(folder / history.ACTIVE, folder / f"damaged-{stamp(self._now())}.json")
            page = disk.sha256(stored.folder / PAGE)
            entry = Acceptance.model_validate(
                {"version": version, "action": action, "by": by or self._who(), "at": stamp(self._now()), "page": page}
            )
            if action == "use" and accepted and (accepted[-1].version, accepted[-1].page) == (version, page):
                return Stored(stored.page, stored.folder, accepted[-1])
            history.write(folder, [*accepted, entry])
        return Stored(stored.page, stored.folder, entry)

    def _known(self, kind: str) -> tuple[Acceptance, ...]:
        """The history, empty where it is damaged: choosing a version mends that."""
        try:
            return history.read(self._kind(kind))
        except ValueError:
            return ()

    def _kind(self, kind: str) -> Path:
        if not re.fullmatch(KIND, kind):
            raise StoreError(f"{kind!r} is no kind of artefact: lower-case letters, digits and dashes")
        return self.folder / kind

    def _version(self, kind: str, version: int) -> Path:
        return self._kind(kind) / f"{version:04d}"

    def _command(self, verb: str, kind: str) -> str:
        return f"hil models {verb} {self.cell.argument} {kind}"

    def _make(self, kind: str) -> str:
        maker = _MAKERS.get(kind)
        return f"`{maker} --cell {self.cell.argument}` makes one" if maker else "make one first"

    def _refused(self, kind: str, version: int, reason: str) -> StoreError:
        others = self._command("use", kind)
        return StoreError(
            f"{kind} version {version} in {self._version(kind, version)} is refused: {reason}. Take another version "
            f"(`hil models {self.cell.argument}` lists them, `{others} VERSION` chooses), or make a new one",
            reason,
        )

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{error.filename or self.folder} cannot be read: {error.strerror or error}") from error

    @contextlib.contextmanager
    def _writing(self, kind: str) -> Iterator[Path]:
        """The folder of ``kind``, ours alone meanwhile, without leftovers."""
        folder = self._kind(kind)
        try:
            disk.make_folder(folder)
            with disk.locked(folder, self._wait):
                disk.sweep(folder)
                yield folder
        except disk.LockedError as error:
            raise StoreError(f"{error}: wait until it is done, and say it again") from None
        except OSError as error:
            raise self._unwritable(f"{error.filename or folder}: {error.strerror or error}") from error

    def _unwritable(self, what: str) -> StoreError:
        return StoreError(
            f"the artefact store of {self.cell.name} cannot be written ({what}). The version in use has not changed; "
            "mend that, or name another folder in the cell file (artefacts.dir)"
        )
