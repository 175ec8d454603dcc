"""Gains that follow the uncertainty of a learnt feed-forward torque, and the bounds that keep them passive."""
