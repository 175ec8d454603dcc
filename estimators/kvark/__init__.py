"""K-VARK: external joint torque by a Kalman filter whose noise follows a residual model.

:mod:`estimators.residual` has the models of what the rigid-body model lacks, friction and more,
:mod:`estimators.kvark.recursion` is the filter, :mod:`estimators.virtual_measurement` turns samples into its virtual
measurement. Equation numbers are those of the paper "K-VARK: Kernelized Variance-Aware
Residual Kalman Filter". Units: rad, rad/s, N·m.
"""
