"""Limits of contact from the user's table, and limits that move with the variance of models."""

from __future__ import annotations

from collections.abc import Iterator

from hil.cell.motions import Polish
from hil.lint.base import Hit, Rule, Severity
from hil.lint.facts import Facts
from safety.contact import BAND


def _contact_in_noise(f: Facts) -> Iterator[Hit]:
    limits = f.cell.contact_limits
    if limits is None or f.cell.observer.kind != "momentum":
        return
    band = BAND * f.force_sigma
    if not band < limits.quasi_static:
        remedy = (
            "make the observer finer (observer.contact: point, kind: kvark) or reach no such region: without any "
            "contact the arm would be stopped"
        )
        read = f"{limits.quasi_static:g} N quasi-static ({limits.by})"
        expected = f"more than the observer's own 95 % band at home, {band:.3g} N"
        yield Hit(("safety", "contact", "table"), read, expected, remedy)


def _contact_below_work(f: Facts) -> Iterator[Hit]:
    limits = f.cell.contact_limits
    if limits is None:
        return
    for name, motion in f.cell.motions.items():
        if isinstance(motion, Polish) and not motion.force < limits.quasi_static:
            expected = f"less than the quasi-static limit, {limits.quasi_static:g} N ({limits.by})"
            remedy = "press less, or keep people away and take the region out of safety.contact.regions"
            yield Hit(("motions", name, "force"), f"{motion.force:g} N", expected, remedy)


def _moving_without_model(f: Facts) -> Iterator[Hit]:
    cell = f.cell
    if cell.safety.moving.on and cell.observer.kind != "kvark" and cell.controller.joint.learned is None:
        remedy = "take the key out, or use observer.kind: kvark or controller.joint.learned"
        expected = "a model that knows its variance; the momentum observer's is what the file states"
        yield Hit(("safety", "moving", "on"), "true", expected, remedy)


def _moving_never_acts(f: Facts) -> Iterator[Hit]:
    moving = f.cell.safety.moving
    if f.cell.variance_on and moving.torque_share == 1.0 and moving.speed_share == 1.0:
        remedy = "lower one of the shares, or say on: false"
        yield Hit(("safety", "moving", "torque_share"), "1 and speed_share 1", "a share below 1 to move in", remedy)


_E, _W = Severity.ERROR, Severity.WARNING

RULES = (
    Rule("contact-in-noise", _E, "The contact limits are wider than the observer's own band.", _contact_in_noise),
    Rule("contact-below-work", _E, "No motion presses harder than the contact limits allow.", _contact_below_work),
    Rule("moving-without-model", _W, "Limits that move with the variance have a model that knows its own.",
         _moving_without_model),
    Rule("moving-never-acts", _W, "Limits that move have room to.", _moving_never_acts),
)  # fmt: skip
