"""The error tree of the estimators.

::

    EstimatorError(ValueError)
    ├── ModelError       a robot description cannot be used (malformed, missing frame, impossible inertia)
    └── ParameterError   a parameter or input is outside of what the estimator is defined for

Both are raised while things are built or reset, never by the per-cycle ``update`` methods: those pass NaN on.
"""

from __future__ import annotations


class EstimatorError(ValueError):
    """Base of all errors raised by estimators."""


class ModelError(EstimatorError):
    """A robot description (URDF, tool, frames) from which no usable rigid-body model follows."""


class ParameterError(EstimatorError):
    """A parameter or an input that the estimator is not defined for."""
