"""The one fault API of all mocks: what goes wrong, where, at which tick, and the record that it did.

``kinds`` is the menu with the meaning of each kind, ``fault`` one entry of a plan, ``plan`` the whole of it. How each
family acts stands in ``wire`` (packets), ``values`` (what is measured), ``devices`` (what the device itself does) and
``processes``. Nothing here needs the physics.
"""

from sim_mocks.faults.fault import Fault, FaultError
from sim_mocks.faults.kinds import KINDS, MENU, Family, Kind
from sim_mocks.faults.plan import Activation, FaultPlan

__all__ = ["KINDS", "MENU", "Activation", "Family", "Fault", "FaultError", "FaultPlan", "Kind"]
