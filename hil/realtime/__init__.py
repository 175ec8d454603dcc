"""Runs by the wall clock: what is asked of the operating system, what it granted, and which ticks were missed."""

from hil.realtime.grants import Grant, Placement, RealTimeRefused, all_granted, describe
from hil.realtime.skips import TickCount

__all__ = ["Grant", "Placement", "RealTimeRefused", "TickCount", "all_granted", "describe"]
