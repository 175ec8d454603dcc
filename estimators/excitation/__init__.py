"""Motions from which friction and inertia can be learnt: optimised Fourier trajectories, and moves with dwells.

Fourier trajectories and a log det as in the literature on identification (Swevers et al. 1997, "Optimal robot
excitation and identification"): sums of harmonics that begin and end at rest, chosen so that positions, velocities and
accelerations of all joints vary as much and as independently of each other as the limits allow.
"""

from estimators.excitation.fourier import Fourier
from estimators.excitation.limits import Arena, Bounds, Violation
from estimators.excitation.optimise import Budget, InfeasibleError, optimise
from estimators.excitation.plan import Plan, load, save
from estimators.excitation.points import Points
from estimators.excitation.rhythmic import Rhythm, draw

__all__ = [
    "Arena",
    "Bounds",
    "Budget",
    "Fourier",
    "InfeasibleError",
    "Plan",
    "Points",
    "Rhythm",
    "Violation",
    "draw",
    "load",
    "optimise",
    "save",
]
