"""The K-VARK paper: external torque of a cobot by Kalman filters over learnt residuals."""
