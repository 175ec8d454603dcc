"""The SVDKL paper: learnt inverse dynamics with uncertainty, and gains that follow it."""
