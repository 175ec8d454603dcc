"""The flight recorder: the last seconds in memory that outlives the supervisor, and one small log for each stop."""

from hil.flight.recorder import FlightRecorder, KeptStop
from hil.flight.ring import FlightRing, RingError
from hil.flight.sink import FlightSink
from hil.flight.watch import AFTER, STOPS, FlightWatch, write_orphaned

__all__ = [
    "AFTER",
    "STOPS",
    "FlightRecorder",
    "FlightRing",
    "FlightSink",
    "FlightWatch",
    "KeptStop",
    "RingError",
    "write_orphaned",
]
