"""Learned inverse dynamics: models that predict joint torque with its variance; training lives in ``fitting``."""
