"""Models of residual torque: what a rigid-body model lacks, with mean and variance for each joint."""
