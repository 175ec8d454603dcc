"""The project's own promises: floors, pins, what the wheel holds, what the README says."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("drivers", "estimators", "safety", "sim_mocks", "calibration", "hil")
MAY_IMPORT = {
    "drivers": set(),
    "estimators": set(),
    "safety": {"drivers", "estimators"},
    "sim_mocks": {"drivers", "estimators"},
    "calibration": {"drivers", "estimators", "safety"},
    "hil": {"drivers", "estimators", "safety", "calibration"},
}
KNOW_MOCKS = {"hil.mock_cell", "hil.mocks", "hil.cell.devices"}
"""The modules of hil that may import sim_mocks, next to the campaigns; a cell file only knows the fault menu."""
KNOW_PYBULLET = {"sim_mocks.bullet_object", "sim_mocks.bullet_world"}
HEAVY = {"torch", "gpytorch"}
TRAINS = ("estimators.dynamics.fitting.", "estimators.residual.sparse_gp")
"""What may import them."""


def imports(text: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything that a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"line {node.lineno}: relative imports hide the floor they lead to"
            yield node.lineno, node.module


def breaches(module: str, text: str) -> list[str]:
    """What a module imports against the rule of floors."""
    room = module.split(".")[0]
    bad = []
    for line, name in imports(text):
        top = name.split(".")[0]
        wrong = (
            (
                top in ROOMS
                and top != room
                and top not in MAY_IMPORT[room]
                and not (top == "sim_mocks" and (module in KNOW_MOCKS or module.startswith("hil.campaigns.")))
            )
            or (top == "pybullet" and module not in KNOW_PYBULLET)
            or (top in HEAVY and not module.startswith(TRAINS))
            or top == "tests"
        )
        if wrong:
            bad.append(f"{module}:{line} imports {name}")
    return bad


def modules() -> Iterator[tuple[str, Path]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def locked(*names: str) -> dict[str, Version]:
    """Pinned versions by package."""
    pins: dict[str, Version] = {}
    for name in names:
        for line in (ROOT / "requirements" / f"{name}.lock").read_text().splitlines():
            if line and not line.startswith("#"):
                match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)", line)
                assert match, f"{name}.lock: {line!r} is no exact pin"
                pins[canonicalize_name(match[1])] = Version(match[2])
    return pins


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def requirements(block: str) -> list[Requirement]:
    return [Requirement(line) for line in block.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_nothing_imports_upwards() -> None:
    """The rule of floors, read from the syntax trees."""
    found = [breach for module, path in modules() for breach in breaches(module, path.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("drivers.fri.arm", "import estimators.rigid_body"),
        ("estimators.momentum", "from drivers.contract import Array"),
        ("safety.gate", "from hil.cell import Cell"),
        ("safety.gate", "import sim_mocks.world"),
        ("sim_mocks.host", "from safety.limits import JointLimits"),
        ("calibration.tare", "def f():\n    import sim_mocks"),
        ("hil.supervisor", "from sim_mocks.host import MockCell"),
        ("hil.mocks", "import pybullet"),
        ("hil.supervisor", "import torch"),
        ("estimators.dynamics.predictor", "import torch"),
    ],
)
def test_a_breach_of_the_floors_would_be_seen(module: str, text: str) -> None:
    assert breaches(module, text)


def test_import_linter_keeps_the_floors() -> None:
    """The same rule in the tool that `make lint` runs, indirect imports included."""
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed; `make lint` installs it")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


def test_import_linter_would_see_a_breach(tmp_path: Path) -> None:
    """The contracts as configured refuse a package in which a driver imports safety, hil a mock and safety PyTorch."""
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed; `make lint` installs it")
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
    (tmp_path / "estimators" / "dynamics" / "fitting").mkdir(parents=True)
    for package in ("dynamics", "dynamics/fitting"):
        (tmp_path / "estimators" / package / "__init__.py").touch()
    (tmp_path / "drivers" / "bad.py").write_text("import safety\n")
    (tmp_path / "hil" / "bad.py").write_text("import sim_mocks\n")
    (tmp_path / "sim_mocks" / "bad.py").write_text("import pybullet\n")
    (tmp_path / "safety" / "bad.py").write_text("import torch\nimport estimators.dynamics.fitting\n")
    (tmp_path / ".importlinter").write_text((ROOT / ".importlinter").read_text())
    done = subprocess.run([tool, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert " 5 broken" in done.stdout, done.stdout


def test_the_wheel_holds_the_rooms_and_their_data_but_no_tests(setup_cfg: configparser.ConfigParser) -> None:
    include = setup_cfg["options.packages.find"]["include"].split()
    assert sorted(pattern.rstrip("*") for pattern in include) == sorted(ROOMS)
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py and would be left out"
        assert (ROOT / room / "py.typed").exists()
    data = setup_cfg["options.package_data"]
    for room in ROOMS:
        patterns = data.get(room, "").split() + data["*"].split()
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts:
                inside = path.relative_to(ROOT / room)
                assert any(inside.match(pattern) for pattern in patterns), f"{room}/{inside} would be left out"


def test_a_lab_machine_needs_neither_pybullet_nor_torch(setup_cfg: configparser.ConfigParser) -> None:
    core = {canonicalize_name(r.name) for r in requirements(setup_cfg["options"]["install_requires"])}
    assert not core & {"pybullet", "torch", "gpytorch", "pytest", "hypothesis"}
    assert not set(locked("build", "run")) & {"torch", "gpytorch"}, "the demo installs neither"


def test_the_command_line_starts_without_the_extras() -> None:
    """`hil check` on a machine that has neither PyBullet nor torch nor the test tools."""
    lines = [
        "import sys",
        "sys.modules.update(dict.fromkeys(['pybullet', 'torch', 'gpytorch', 'pytest', 'hypothesis']))",
        "from hil.cli import app",
        "app(['check', 'iiwa14_polish'])",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no mistakes" in done.stdout


def test_the_locks_are_complete_and_fit_setup_cfg(setup_cfg: configparser.ConfigParser) -> None:
    """Every requirement, and every requirement of those, is pinned to a version that all of them allow."""
    pins = locked("build", "run", "test")
    extras = setup_cfg["options.extras_require"]
    todo = requirements(setup_cfg["options"]["install_requires"] + extras["mocks"] + extras["test"])
    for requirement in todo:
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{requirement} is not in requirements/*.lock: run `make lock`"
        assert requirement.specifier.contains(pins[name], prereleases=True), (
            f"{requirement} does not allow {pins[name]}"
        )
    for name in pins:
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # a lint tool that is not installed here
        for requirement in map(Requirement, needs):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted = canonicalize_name(requirement.name)
                assert wanted in pins, f"{name} needs {wanted}, which is not locked"
                assert requirement.specifier.contains(pins[wanted], prereleases=True), f"{name} needs {requirement}"


def test_run_lock_is_enough_for_the_demo(setup_cfg: configparser.ConfigParser) -> None:
    pins = locked("run")
    wanted = setup_cfg["options"]["install_requires"] + setup_cfg["options.extras_require"]["mocks"]
    assert {canonicalize_name(r.name) for r in requirements(wanted)} <= set(pins)


def test_make_has_the_targets_and_the_readme_names_them() -> None:
    makefile, readme = (ROOT / "Makefile").read_text(), (ROOT / "README.md").read_text(encoding="utf-8")
    for target in ("demo", "test", "lint", "bench", "accept", "campaign"):
        assert re.search(rf"^{target}:.* ## ", makefile, re.M), f"make {target}"
        assert f"make {target}" in readme


def test_every_command_of_the_readme_exists() -> None:
    """Each `hil VERB …` of the README and the docs is a command, with the options that it is shown with."""
    import click
    import typer

    from hil.cli import app

    root = typer.main.get_command(app)
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    shown = {line for page in pages for line in re.findall(r"(?:^|`)(hil [a-z][^`\n#]*)", page.read_text(), re.M)}
    assert len(shown) > 5
    for line in sorted(shown):
        words = line.split()[1:]
        command, context = root, click.Context(root)  # type: ignore[arg-type]
        while words and hasattr(command, "get_command") and (sub := command.get_command(context, words[0])):
            command, words = sub, words[1:]
        assert command is not root, f"README or docs: no command {line!r}"
        options = {opt for param in command.params for opt in (*param.opts, *param.secondary_opts)}
        for word in words:
            if word.lstrip("[").startswith("--"):
                assert word.strip("[]").split("=")[0] in options, f"README or docs: {line!r} has no option {word}"


def test_the_cell_files_of_the_pages_are_sound(tmp_path: Path) -> None:
    """A whole cell file shown in the README or the docs loads as it stands there."""
    from hil.cell import load_cell

    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [block for page in pages for block in re.findall(r"```yaml\n(name:.*?)```", page.read_text(), re.S)]
    assert blocks
    for block in blocks:
        (tmp_path / "cell.yaml").write_text(block)
        assert load_cell(tmp_path / "cell.yaml").mocks


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_says_plainly_what_the_software_is_not() -> None:
    readme = re.sub(r"\s+", " ", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert "is not a rated safety function" in readme
    assert "`--real` is refused" in readme


def test_the_licence_is_apache_2(setup_cfg: configparser.ConfigParser) -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert setup_cfg["metadata"]["license"] == "Apache-2.0"


def test_the_changelog_names_the_version(setup_cfg: configparser.ConfigParser) -> None:
    version = setup_cfg["metadata"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.M)
