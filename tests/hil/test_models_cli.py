"""`hil models`, and a cell that runs the version in use."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import residual_rig as rig
import yaml
from typer.testing import CliRunner

from estimators.errors import ModelError
from estimators.kvark.artefact import save
from estimators.kvark.observer import KvarkObserver
from hil.build import build_observer
from hil.cell import Cell, load_cell
from hil.cli import app
from hil.code import code_of
from hil.learning.chosen import FILE, KIND
from hil.learning.keep import about, keep
from hil.learning.residual import Trained
from hil.store import store_of
from hil.store.place import folder_of


def make_cell(folder: Path, name: str = "lab", **more: object) -> Cell:
    content = yaml.safe_load(load_cell("cobot").dump())
    content["observer"] |= {"kind": "kvark", "delay_ticks": 1}
    content |= {"name": name, **more}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_cell(path)


def trained(cell: Cell, sd: float = 0.4) -> Trained:
    model = rig.right_model(cell, [{"name": "a/run.mcap", "sha256": "0" * 64, "size": 3}], sd)
    six = np.full(6, 0.5)
    return Trained(model, 30.0, ("piece",), 8.0 * six, six, six, 0.95, {"kvark": 0.5})


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["models", *arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cell:
    monkeypatch.setenv("COLUMNS", "80")
    return make_cell(tmp_path)


def test_a_cell_without_a_model_runs_the_version_in_use_and_the_log_says_which(cell: Cell) -> None:
    store = store_of(cell)
    with pytest.raises(ModelError, match=r"has no residual .*hil train residual"):
        build_observer(cell, 0.0)
    keep(store, trained(cell), about(trained(cell), cell))
    with pytest.raises(ModelError, match=r"hil models use .*lab\.yaml residual 1"):
        build_observer(cell, 0.0)
    assert run("use", str(cell.path), KIND, "1", "--by", "anna")[0] == 0
    observer = build_observer(cell, 0.0)
    assert isinstance(observer, KvarkObserver)
    said = code_of("observer", observer)
    assert said.startswith("observer: residual version 1 of lab, accepted by anna on ")
    assert "sha256 of kvark.npz" in said
    path = store.folder / KIND / "0001" / FILE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match=r"kvark\.npz was changed after it had been written"):
        build_observer(cell, 0.0)


def test_a_named_file_comes_before_the_store(tmp_path: Path, cell: Cell) -> None:
    keep(store_of(cell), trained(cell), about(trained(cell), cell))
    store_of(cell).use(KIND, 1)
    observer = yaml.safe_load(cell.dump())["observer"] | {"model": "mine.npz"}
    named = make_cell(tmp_path, "lab", observer=observer)
    with pytest.raises(ModelError, match=r"mine\.npz cannot be read"):
        build_observer(named, 0.0)
    save(trained(cell).model, tmp_path / "mine.npz")
    assert code_of("observer", build_observer(named, 0.0)).startswith("observer: mine.npz, sha256")


def test_another_delay_or_cell_is_told_with_the_command_that_mends_it(tmp_path: Path, cell: Cell) -> None:
    keep(store_of(cell), trained(cell), about(trained(cell), cell))
    store_of(cell).use(KIND, 1)
    observer = yaml.safe_load(cell.dump())["observer"] | {"delay_ticks": 0}
    other = make_cell(tmp_path, "lab", observer=observer)
    with pytest.raises(ModelError, match=r"delay_ticks: 1, the cell file says 0.*hil models .*lab\.yaml"):
        build_observer(other, 0.0)
    code, out, err = run(str(other.path))
    assert code == 1
    assert "residual 1: it was made with observer.delay_ticks: 1, the cell file says 0" in " ".join(out.split())
    assert "residual version 1" in err


def test_the_store_lies_beside_the_cell_file_but_not_in_the_package(
    tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder_of(cell) == tmp_path / "artefacts" / "lab"
    assert folder_of(make_cell(tmp_path, "far", artefacts={"dir": str(tmp_path / "else")})) == tmp_path / "else" / "far"
    monkeypatch.chdir(tmp_path)
    shipped = load_cell("cobot")
    assert folder_of(shipped).absolute() == tmp_path / "artefacts" / "cobot"
    assert store_of(shipped).cell.argument == "cobot"
    assert run("cobot")[0] == 0
    assert not (tmp_path / "artefacts").exists(), "looking writes nothing"


def test_the_commands_list_show_choose_and_go_back(cell: Cell) -> None:
    name = str(cell.path)
    assert "no models yet" in run(name)[1]
    for sd in (0.4, 0.5):
        keep(store_of(cell), trained(cell, sd), about(trained(cell, sd), cell, valid_days=30.0))
    code, out, _ = run(name, "--json")
    versions = json.loads(out)["versions"]
    assert [(each["version"], each["in_use"], each["why_not"]) for each in versions] == [(1, False, ""), (2, False, "")]
    assert run("use", name, KIND, "1")[0] == 0
    assert run("use", name, KIND, "2", "--by", "berta")[0] == 0
    code, out, err = run(name)
    assert code == 0, err
    assert out.count("kvark, held out: 4.00 →") == 2
    assert max(map(len, out.splitlines()[1:])) <= 80
    code, out, _ = run("show", name, KIND)
    assert code == 0
    for said in ("version", "a/run.mcap", "observer.delay_ticks: 1", "berta: use version 2", "expires"):
        assert said in out
    code, out, _ = run("show", name, KIND, "1", "--json")
    page = json.loads(out)
    assert (page["version"], page["seed"], page["data"][0]["sha256"]) == (1, 3, "0" * 64)
    assert page["expires"][:10] > datetime.now(UTC).strftime("%Y-%m-%d")
    code, out, _ = run("rollback", name, KIND)
    assert code == 0
    assert "residual version 1" in out
    assert store_of(cell).load(KIND).page.version == 1
    for arguments, reason in (
        (("rollback", name, KIND), "was in use before"),
        (("use", name, KIND, "9"), "no version 9"),
        (("use", name, "../x", "1"), "no kind of artefact"),
        (("show", name, "tare"), "has no tare"),
    ):
        code, out, err = run(*arguments)
        assert code == 2
        assert reason in err
    assert run("no_such_cell")[0] == 2


def test_damage_shows_in_the_list_and_by_its_exit_code(cell: Cell) -> None:
    for _ in range(2):
        keep(store_of(cell), trained(cell), about(trained(cell), cell))
    name, folder = str(cell.path), store_of(cell).folder / KIND
    run("use", name, KIND, "1")
    (folder / "0002" / FILE).write_bytes(b"")
    assert run(name)[0] == 0, "the one in use is whole"
    (folder / "0001" / "page.json").write_bytes(b"{")
    code, out, err = run(name, "--json")
    assert code == 1
    assert ["damaged" in each["why_not"] or "changed" in each["why_not"] for each in json.loads(out)["versions"]] == [
        True,
        True,
    ]
    assert "hil models" in err
    (folder / "active.json").write_bytes(b"{")
    code, out, err = run(name)
    assert code == 1
    assert "choose a version anew" in err
