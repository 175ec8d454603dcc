"""Errors of the simulated world: wrong profiles, worlds that cannot be simulated, calls that make no sense.

::

    MockError
    ├── ProfileError    a physics profile that is missing, misspelt or of the wrong shape
    ├── FrictionError   a friction law that is unstable at this time step and inertia
    └── WorldError      a world that cannot be built, or a call that it cannot carry out

Every message says what was read, what was expected and what the person can do next.
"""

from __future__ import annotations


class MockError(Exception):
    """Base of all errors raised by the simulated world and its parts."""


class ProfileError(MockError):
    """A physics profile is missing, or a value in it is not of the expected kind or shape."""


class FrictionError(MockError):
    """The friction law would be unstable at the given time step and joint inertia."""


class WorldError(MockError):
    """The world cannot be built from this configuration, or cannot do what it was asked."""
