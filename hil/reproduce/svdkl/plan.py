"""What the SVDKL campaign computes: its settings, and its parts in groups that one worker takes at a time."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hil.campaigns.svdkl_loop import LOADED, RUNS
from hil.campaigns.svdkl_pick import cases
from hil.reproduce.group import Compute, DataError, Found
from hil.reproduce.svdkl import loops, recordings, sets
from hil.reproduce.svdkl.models import METHODS
from hil.reproduce.svdkl.sets import Source

PARTS = ("fit", "fractions", "recordings", "loop", "pick")
"""Experiment I, the fractions of experiment II, recordings of real arms, the closed loop, experiment III."""
QUICK_PARTS = PARTS[:3]
"""Of a first look: what the closed loop or a warm start of pick and place records takes longer than all of it."""
QUICK = ("dkl", "sgpr", "svgp", "svdkl", "lstm", "svdkl_semi")
"""Models of a first look."""
FRACTIONS = (20, 60, 80, 100)
"""Of the training motions, %: experiment II."""
FRACTIONED = ("svdkl", "lstm")
"""Its models."""
SIZED = ("svgp", "sgpr", "svdkl", "lstm")
"""Models whose training time against the size of the data is measured."""
SIZES = (12.5, 20, 60, 100)
"""For it, %; an eighth is the case of little diversity."""
SUBSETS = (300, 600, 1200, 2000)
"""Samples that KISS-GP gets."""
LEAKING = ("svgp", "svdkl")
"""Models that are trained once more on a random split, to show what that does."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One campaign. Two with the same settings are the same campaign."""

    source: Source = "simulated"
    trials: tuple[int, ...] = (0, 1, 2, 3, 4)
    methods: tuple[str, ...] = tuple(METHODS)
    parts: tuple[str, ...] = PARTS
    counts: tuple[int, int, int] = sets.MOTIONS
    data: str | None = None
    quick: bool = False
    code: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Group:
    """Parts that share what is costly to make; see :class:`hil.reproduce.group.Group`."""

    kind: str
    """``fit``, ``leaking``, ``real``, ``loop`` or ``pick``."""
    subject: str
    """Model, recording, the seed of a closed loop's world, or what a warm start is for."""
    seed: int
    names: tuple[str, ...]
    """Of ``fit``: motions, with ``x`` and the subset where there is one; of ``loop``: what is driven by which
    controller; of ``pick``: cases."""
    settings: Settings

    @property
    def title(self) -> str:
        """For the progress line."""
        return f"{self.subject} {self.seed}" if self.kind == "fit" else f"{self.kind} {self.subject}"

    def part(self, name: str) -> str:
        """Name of a part in the store."""
        if self.kind == "pick":
            return f"pick/{name}"
        where = f"{self.subject}-{self.seed}" if self.kind == "fit" else self.subject
        return f"{self.kind}/{where}/{name}"

    def parts(self) -> list[str]:
        """Names of all parts."""
        return [self.part(name) for name in self.names]

    def only(self, names: tuple[str, ...]) -> Group:
        """The same with fewer parts."""
        return replace(self, names=names)

    def computer(self, folder: Path | None) -> Compute:
        """Function from the name of a part to (result, arrays). Raises DataError."""
        s = self.settings
        if self.kind in ("loop", "pick"):
            return self._driven(folder if folder is not None else Path(tempfile.mkdtemp(prefix="hil-svdkl-")))
        if self.kind == "real":
            assert s.data is not None
            return recordings.computer(self.subject, s.data, s.quick)
        from hil.reproduce.svdkl import trial

        found = sets.motion_set(s.source, self.seed, s.data, s.counts)
        if self.kind == "leaking":
            found = sets.leaking(found, self.seed)

        def compute(name: str) -> Found:
            motions, _, subset = name.partition("x")
            count = len(found.train.trajectories) if self.kind == "leaking" else int(motions)
            return trial.run(found, self.subject, self.seed, count, int(subset) if subset else None, quick=s.quick)

        return compute

    def _driven(self, base: Path) -> Compute:
        """Of parts that share recordings and models, which are kept in a folder of their own."""
        work = base / "work" / (f"loop/{self.subject}" if self.kind == "loop" else self.subject)
        work.mkdir(parents=True, exist_ok=True)
        if self.kind == "loop":
            return lambda name: (loops.driven(name, self.seed, work, self.settings.quick), {})
        from hil.campaigns.svdkl_pick import trial as pick

        by_name = {case.name: case for case in cases(self.settings.quick)}
        return lambda name: (pick(by_name[name], work), {})


def groups(settings: Settings) -> list[Group]:
    """All groups of a campaign, trial by trial. Raises DataError where the data folder holds nothing of ours."""
    found: list[Group] = []
    real = recordings.there(settings.data)
    if settings.data is not None and settings.source != "frozen" and not real:
        raise DataError(
            f"{settings.data} holds neither {sets.FROZEN} nor a recording that is known "
            f"({', '.join(each.files[0] for each in recordings.RECORDED.values())}); name another folder with --data"
        )
    for seed in settings.trials:
        for method in settings.methods:
            names = fits(settings, method)
            if names:
                found.append(Group("fit", method, seed, names, settings))
        if seed == settings.trials[0] and "fit" in settings.parts and not settings.quick:
            # All of one group has one name; the split is another.
            found += [Group("leaking", name, seed, ("random",), settings) for name in LEAKING
                      if name in settings.methods]  # fmt: skip
            if "recordings" in settings.parts:
                found += _real(settings, real)
    if "recordings" in settings.parts and not any(group.kind == "real" for group in found):
        found += _real(settings, real)
    if "loop" in settings.parts:
        found += [Group("loop", f"seed{seed}", seed, (*RUNS, *LOADED), settings) for seed in settings.trials]
    return found + (_pick(settings) if "pick" in settings.parts else [])


def _pick(settings: Settings) -> list[Group]:
    """One group for each warm start, so that no two workers record the same."""
    starts: dict[str, list[str]] = {}
    for case in cases(settings.quick):
        starts.setdefault(f"{case.gripper}-{case.side}", []).append(case.name)
    return [Group("pick", subject, 0, tuple(names), settings) for subject, names in starts.items()]


def _real(settings: Settings, names: tuple[str, ...]) -> list[Group]:
    return [Group("real", name, 0, recordings.methods(name), settings) for name in names]


def fits(settings: Settings, method: str) -> tuple[str, ...]:
    """Trainings of one model in one trial, the largest first."""
    everything = settings.counts[0]
    if method == "dkl":
        subsets = (150, 300) if settings.quick else SUBSETS
        return tuple(f"{everything}x{n}" for n in reversed(subsets)) if "fit" in settings.parts else ()
    shares: set[float] = set()
    if "fit" in settings.parts:
        shares |= {*SIZES} if method in SIZED and not (settings.quick and method == "sgpr") else {100}
    if "fractions" in settings.parts and method in FRACTIONED:
        shares |= {*FRACTIONS}
    if settings.quick:
        shares -= {12.5}
    return tuple(str(motions(settings, share)) for share in sorted(shares, reverse=True))


def motions(settings: Settings, share: float) -> int:
    """How many motions ``share`` % of those to train on are."""
    return max(1, round(settings.counts[0] * share / 100.0))


def source_of(data: str | None) -> Source:
    """Where experiments I and II have their motions from."""
    return "frozen" if data is not None and (Path(data) / sets.FROZEN).is_file() else "simulated"
