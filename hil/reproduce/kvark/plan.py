"""What a campaign computes: its settings, and its parts in groups that one worker takes at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from estimators.kvark.methods import METHODS
from hil.campaigns.kvark_friction import FAMILIES
from hil.reproduce.group import Compute, Found
from hil.reproduce.kvark.case import Case, frozen, frozen_families, simulated

QUICK = ("momentum", "gmr_gp", "kvark_literal", "kmp_constant", "kmp_variance", "kvark", "kvark_semi")
"""Methods of a first look."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One campaign. Two with the same settings are the same campaign."""

    families: tuple[str, ...] = FAMILIES
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    methods: tuple[str, ...] = tuple(METHODS)
    shorten: float = 1.0
    """Part of the full length of the simulated runs."""
    data: str | None = None
    """Folder of frozen simulations and real recordings."""
    mocked: bool = True
    """Whether the mocked cobot is driven through its bus."""
    quick: bool = False
    code: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def quick(**changes: Any) -> Settings:
    """A first look: one robot of one hysteretic family and of the memoryless one, half the run length, few methods."""
    options: dict[str, Any] = {
        "families": ("maxwell_slip", "memoryless"), "seeds": (0,), "methods": QUICK, "shorten": 0.5, "quick": True,
    }  # fmt: skip
    return Settings(**options | changes)


@dataclass(frozen=True, slots=True)
class Group:
    """Parts that share what is costly to make: one robot's recordings, or nothing."""

    kind: str
    """``simulated``, ``frozen``, ``figures``, ``mocked`` or ``real``."""
    family: str = ""
    seed: int = 0
    names: tuple[str, ...] = ()
    """Methods or figures."""
    folder: str | None = None
    """Of recordings."""
    shorten: float = 1.0
    traces: bool = False

    @property
    def title(self) -> str:
        """For the progress line."""
        if self.kind == "simulated":
            return f"{self.family} {self.seed}"
        return f"{self.kind} {self.family}".strip()

    def part(self, name: str) -> str:
        """Name of a part in the store."""
        where = {"simulated": f"simulated/{self.family}-{self.seed}", "frozen": f"frozen/{self.family}"}
        return f"{where.get(self.kind, self.kind)}/{name}"

    def parts(self) -> list[str]:
        """Names of all parts."""
        return [self.part(name) for name in self.names]

    def only(self, names: tuple[str, ...]) -> Group:
        """The same with fewer parts."""
        return replace(self, names=names)

    def computer(self, folder: Path | None) -> Compute:
        """Function from the name of a part to (result, arrays). Raises DataError."""
        if self.kind in ("simulated", "frozen"):
            from hil.reproduce.kvark.trial import run_trial

            case = self.case()

            def trial(name: str) -> Found:
                result, traces = run_trial(case, name)
                return result | {"seed": self.seed}, traces if self.traces else {}

            return trial
        if self.kind == "figures":
            from hil.reproduce.kvark.illustrations import ILLUSTRATIONS

            case = self.case()
            return lambda name: ILLUSTRATIONS[name](case)
        if self.kind == "mocked":
            from hil.reproduce.kvark.mocked import polish_on_bus

            return lambda name: polish_on_bus()
        if self.kind == "real":
            from hil.reproduce.kvark.recordings import RECORDINGS

            data = Path(str(self.folder))
            return lambda name: RECORDINGS[name](data)
        raise ValueError(f"no work of the kind {self.kind!r}")

    def case(self) -> Case:
        """The robot. Raises DataError for recordings that are not as expected."""
        if self.kind == "frozen":
            assert self.folder is not None
            return frozen(Path(self.folder), self.family)
        return simulated(self.family, self.seed, self.shorten)


def groups(settings: Settings, figures: Iterable[str], real: Iterable[str] = ()) -> list[Group]:
    """All groups of a campaign. Raises DataError where the data folder holds nothing of ours."""
    first = settings.families[0], settings.seeds[0]
    found = [Group("figures", first[0], first[1], tuple(figures), shorten=settings.shorten)]
    if settings.mocked:
        found.append(Group("mocked", "cobot", 0, ("cobot",)))
    if settings.data is not None:
        families = [each for each in frozen_families(Path(settings.data)) if each in settings.families]
        found += [Group("frozen", each, 0, settings.methods, settings.data, traces=True) for each in families]
        names = tuple(real)
        if names:
            found.append(Group("real", "", 0, names, settings.data))
    for seed in settings.seeds:
        for family in settings.families:
            found.append(
                Group(
                    "simulated", family, seed, settings.methods, shorten=settings.shorten,
                    traces=seed == settings.seeds[0],
                )
            )  # fmt: skip
    return found


def real_parts(settings: Settings) -> tuple[str, ...]:
    """Recordings of real arms that the data folder holds."""
    if settings.data is None:
        return ()
    return tuple(name for name, file in REAL.items() if (Path(settings.data) / file).is_file())


REAL = {"ur10e": "ur10e_real.npz", "panda": "panda_ati_contact.npz"}
"""Part and file."""
