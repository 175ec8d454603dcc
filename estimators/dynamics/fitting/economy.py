"""For campaigns of many trainings, whose times are compared."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import gpytorch
import torch


@contextlib.contextmanager
def economical() -> Iterator[None]:
    """PyTorch on one core, and KISS-GP's variances by LOVE (Pleiss et al. 2018).

    Without it each of that model's predictions costs more than its training.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with gpytorch.settings.fast_pred_var(), warnings.catch_warnings():
            # Of GPyTorch's own calls to PyTorch, about which nobody here can do anything.
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        torch.set_num_threads(before)
