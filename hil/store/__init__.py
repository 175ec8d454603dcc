"""The artefact store: every model and calibration of a cell, in versions that are never overwritten."""

from hil.store.page import About, Page, StoreError
from hil.store.place import store_of
from hil.store.store import Store, Stored

__all__ = ["About", "Page", "Store", "StoreError", "Stored", "store_of"]
