"""Where the artefacts of a cell lie."""

from __future__ import annotations

from pathlib import Path

from hil.cell import Cell, shipped_cells
from hil.store.fit import identity
from hil.store.store import Store


def is_shipped(cell: Cell) -> bool:
    """A cell that came with the toolkit: nothing is written beside its file."""
    return cell.path in shipped_cells().values()


def folder_of(cell: Cell) -> Path:
    """``artefacts.dir`` from the cell file's folder, of a shipped cell from where the command is started; below it a
    folder of the cell's name."""
    root = Path(cell.artefacts.dir)
    return (root if is_shipped(cell) else cell.path.parent / root) / cell.name


def argument_of(cell: Cell) -> str:
    """How a command names the cell."""
    return cell.path.stem if is_shipped(cell) else str(cell.path)


def store_of(cell: Cell) -> Store:
    """The artefact store of ``cell``; nothing is made or read yet. Raises OSError if its URDF has gone."""
    return Store(folder_of(cell), identity(cell, argument_of(cell)))
