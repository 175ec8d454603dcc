"""Limits of contact force and pressure: a table of the user's own, and what a cell takes from it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from hil.cell.check import show, validate
from hil.cell.parts import Positive, Section
from hil.cell.source import Source, read_source
from safety.contact import ContactLimits

RegionName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_ -]{0,63}$")]


class ContactKind(Section):
    """Limits of one kind of contact; what is not stated does not bind."""

    force_N: Positive | None = Field(default=None, description="largest force, N")
    pressure_N_cm2: Positive | None = Field(default=None, description="largest pressure, N/cm²")

    @model_validator(mode="after")
    def _something(self) -> ContactKind:
        if self.force_N is None and self.pressure_N_cm2 is None:
            raise ValueError("allowed: force_N, pressure_N_cm2 or both")
        return self


class Region(Section):
    """What one region of the body bears."""

    forbidden: bool = Field(default=False, description="true: no contact at all; a cell must not reach it")
    quasi_static: ContactKind | None = Field(default=None, description="a contact that clamps, or lasts")
    transient: ContactKind | None = Field(
        default=None, description="a blow of less than half a second; nothing: as quasi_static"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Region:
        if self.forbidden:
            if self.quasi_static is not None or self.transient is not None:
                raise ValueError("allowed with forbidden: true: no limits, since no contact is permitted")
            return self
        if self.quasi_static is None:
            raise ValueError("allowed: quasi_static with force_N, pressure_N_cm2 or both; or forbidden: true")
        if self.transient is not None:
            for name in ("force_N", "pressure_N_cm2"):
                lasting, short = getattr(self.quasi_static, name), getattr(self.transient, name)
                if lasting is not None and short is not None and short < lasting:
                    raise ValueError(f"allowed: transient.{name} of at least quasi_static.{name}, {lasting:g}")
        return self


class ContactTable(Section):
    """The file that `safety.contact.table` names. The numbers are yours: from your copy of a standard, or measured."""

    source: str = Field(min_length=12, description="document, edition and table that the numbers were read from")
    read_by: str = Field(min_length=2, description="who entered them")
    regions: dict[RegionName, Region] = Field(min_length=1, description="regions of the body by name")


class Contact(Section):
    """Contact limits of this cell (docs/contact.md)."""

    table: str = Field(min_length=1, description="file with limits by region of the body, from this file's folder")
    regions: tuple[RegionName, ...] = Field(min_length=1, description="regions that the arm can reach")
    area_cm2: Positive | None = Field(
        default=None, le=1e4, description="smallest surface with which the tool touches, cm²; pressures need it"
    )
    unknown_ms: Positive = Field(default=50.0, le=500.0, description="how long the force may be unknown, ms")


def check_contact(source: Source, contact: Contact | None, folder: Path) -> tuple[ContactLimits | None, str]:
    """The limits that ``contact`` takes from its table, and the table's text; what is wrong goes into ``source``."""
    if contact is None:
        return None, ""
    at = ("safety", "contact")
    path = folder / contact.table
    try:
        read = read_source(path)
        text = path.read_text(encoding="utf-8") if not read.faults else ""
    except OSError as error:
        source.fault((*at, "table"), show(contact.table), f"allowed: a file that opens ({error.strerror}: {path})")
        return None, ""
    table: ContactTable | None = None if read.faults else validate(ContactTable, read)
    source.faults += read.faults
    if table is None:
        return None, ""
    before = len(source.faults)
    bounds: dict[str, tuple[float, str]] = {"transient": (math.inf, ""), "quasi_static": (math.inf, "")}
    for i, name in enumerate(contact.regions):
        region = table.regions.get(name)
        if region is None:
            source.fault((*at, "regions", i), show(name), f"allowed: a region of {path}: {', '.join(table.regions)}")
        elif region.forbidden:
            say = f"{path} permits no contact with it: keep the arm from reaching it, and take it out here"
            source.fault((*at, "regions", i), show(name), say)
        else:
            _take(source, contact, name, region, bounds)
    if len(source.faults) > before:
        return None, ""
    (transient, hit), (lasting, by) = bounds["transient"], bounds["quasi_static"]
    words = by if hit == by else f"{by} (transient: {hit})"
    return ContactLimits(transient, min(lasting, transient), words, f"{table.source}, by {table.read_by}"), text


def _take(source: Source, contact: Contact, name: str, region: Region, bounds: dict[str, tuple[float, str]]) -> None:
    """Lower ``bounds`` to what ``region`` bears."""
    for kind in bounds:
        stated: Any = getattr(region, kind) or region.quasi_static
        forces = {"force": stated.force_N}
        if stated.pressure_N_cm2 is not None:
            if contact.area_cm2 is None:
                missing = f"this key is needed: {name} has a limit of pressure, which depends on the surface"
                source.fault(("safety", "contact", "area_cm2"), "nothing", missing)
                continue
            forces["pressure"] = stated.pressure_N_cm2 * contact.area_cm2
        for what, newtons in forces.items():
            if newtons is not None and newtons < bounds[kind][0]:
                bounds[kind] = (newtons, f"{name} by {what}")
