"""All rules in their order."""

from __future__ import annotations

from hil.cell import Cell
from hil.cell.source import key_path, read_source
from hil.lint import rules_contact, rules_limits, rules_signals, rules_stopping, rules_work
from hil.lint.base import Finding, Rule
from hil.lint.facts import Facts

RULES: tuple[Rule, ...] = (
    *rules_limits.RULES,
    *rules_stopping.RULES,
    *rules_signals.RULES,
    *rules_contact.RULES,
    *rules_work.RULES,
)


def lint(cell: Cell) -> list[Finding]:
    """Everything that the rules find in a checked cell, errors first, each in the order of the file.

    Raises OSError where the cell file has gone since it was loaded.
    """
    source, facts = read_source(cell.path), Facts(cell)
    found = [
        Finding(
            source.file, source.line(hit.loc), key_path(hit.loc), rule.name, rule.severity.value, hit.read,
            hit.expected, hit.remedy,
        )
        for rule in RULES
        for hit in rule.check(facts)
    ]  # fmt: skip
    return sorted(found, key=lambda finding: (finding.severity != "error", finding))
