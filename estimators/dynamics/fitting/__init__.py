"""Training of learned inverse dynamics: the only package that imports PyTorch and GPyTorch."""
