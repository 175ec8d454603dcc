"""A recorded session through today's supervisor: which decisions would be others now."""

from hil.replay.inputs import Inputs, ReplayError
from hil.replay.player import Difference, Replay, replay, replay_file
from hil.replay.totest import Written, write_test

__all__ = ["Difference", "Inputs", "Replay", "ReplayError", "Written", "replay", "replay_file", "write_test"]
