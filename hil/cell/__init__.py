"""The cell file: one YAML file that says what a cell is.

``load_cell`` reads and checks it; :class:`CellError` holds every fault at once. See docs/cell-file.md.
"""

from hil.cell.faults import CellError, CellFault, CellRefused
from hil.cell.load import find_cell, load_cell, require_permission, shipped_cells, shipped_models
from hil.cell.model import Cell

__all__ = [
    "Cell",
    "CellError",
    "CellFault",
    "CellRefused",
    "find_cell",
    "load_cell",
    "require_permission",
    "shipped_cells",
    "shipped_models",
]
