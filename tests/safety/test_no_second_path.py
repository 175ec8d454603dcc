"""The gate is the only place where a command becomes one that a driver sends: proved on the source tree."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("drivers", "estimators", "safety", "sim_mocks", "calibration", "hil")
NAME = "PassedCommand"


def makers(tree: ast.AST) -> list[int]:
    """Lines that could make a PassedCommand: a call, an alias, a value kept or handed on, its ``__new__``, a look-up
    by name, a copy with another command."""
    allowed: set[int] = set()
    for node in ast.walk(tree):
        # Annotations and type checks only name the type.
        notes: list[ast.AST | None] = []
        if isinstance(node, ast.AnnAssign | ast.arg):
            notes = [node.annotation]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            notes = [node.returns]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            notes = list(node.args[1:])
        allowed |= {id(inner) for note in notes if note is not None for inner in ast.walk(note)}
    lines = []
    for node in ast.walk(tree):
        named = NAME in (getattr(node, "id", None), getattr(node, "attr", None))
        alias = isinstance(node, ast.alias) and node.name == NAME and node.asname not in (None, NAME)
        text = isinstance(node, ast.Constant) and node.value == NAME
        changed = isinstance(node, ast.keyword) and node.arg == "answers_seq"
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("replace", "__setattr__"):
            changed = any(k.arg == "command" for k in node.keywords) or "'command'" in map(ast.unparse, node.args)
        if (named or alias or text or changed) and id(node) not in allowed:
            lines.append(node.lineno)
    return lines


def test_only_the_gate_makes_passed_commands():
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            lines = makers(ast.parse(path.read_text(encoding="utf-8")))
            if lines:
                found[path.relative_to(ROOT).as_posix()] = len(lines)
    assert found == {"safety/gate.py": 1}


@pytest.mark.parametrize(
    "source",
    [
        "PassedCommand(command, 3)",
        "contract.PassedCommand(command, 3)",
        "from drivers.contract import PassedCommand as P",
        "P = PassedCommand",
        "object.__new__(PassedCommand)",
        "getattr(contract, 'PassedCommand')",
        "make = [PassedCommand][0]",
        "dataclasses.replace(passed, command=mine)",
        "replace(passed, answers_seq=4)",
        "object.__setattr__(passed, 'command', mine)",
    ],
)
def test_the_search_finds_every_way(source):
    assert makers(ast.parse(source)) == [1]


@pytest.mark.parametrize(
    "source",
    [
        "from drivers.contract import PassedCommand",
        "def command(self, passed: PassedCommand) -> PassedCommand | None: ...",
        "isinstance(verdict, PassedCommand)",
        "class PassedCommand: ...",
        "last: PassedCommand | None = None",
    ],
)
def test_the_search_lets_types_be_named(source):
    assert makers(ast.parse(source)) == []
