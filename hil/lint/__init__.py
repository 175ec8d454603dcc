"""Limits of a cell that are impossible, contradict one another, or can never act: ``hil lint CELL``.

A cell file that loads is well-formed; whether its numbers make sense together is judged here, by one rule after the
other (docs/lint.md). Nothing is opened or started.
"""

from hil.lint.base import Finding, Hit, Rule, Severity
from hil.lint.table import RULES, lint

__all__ = ["RULES", "Finding", "Hit", "Rule", "Severity", "lint"]
