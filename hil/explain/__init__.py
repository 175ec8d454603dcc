"""Why the arm was stopped, what it did then, and how to go on: read from the rows of a log and nothing else."""

from hil.explain.causes import PHRASES, order_causes
from hil.explain.stops import Stop, Tripped, View, find_stops
from hil.explain.text import Explanation, explain, explain_last

__all__ = ["PHRASES", "Explanation", "Stop", "Tripped", "View", "explain", "explain_last", "find_stops", "order_causes"]
