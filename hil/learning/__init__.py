"""What is learnt from recorded runs: residual torque models for the K-VARK observer, and how good they are."""
