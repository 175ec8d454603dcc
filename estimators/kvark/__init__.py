"""K-VARK: external joint torque by a Kalman filter whose noise follows a learnt residual model's variance.

:mod:`~estimators.kvark.kmp` and :mod:`~estimators.kvark.mixture` are the residual model (friction and whatever else the
rigid-body model lacks), :mod:`~estimators.kvark.recursion` is the filter, :mod:`~estimators.kvark.momentum` turns
samples into its virtual measurement. Equation numbers are those of the paper "K-VARK: Kernelized Variance-Aware
Residual Kalman Filter". Units: rad, rad/s, N·m.
"""
