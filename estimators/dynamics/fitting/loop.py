"""Mini-batch training of any module: grouped rates, one cycle, early stopping, checkpoints that resume bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from estimators.dynamics import store
from estimators.dynamics.base import History, Progress, Step
from estimators.dynamics.fitting import keep
from estimators.dynamics.fitting.options import TrainOptions
from estimators.errors import ParameterError

WARM_UP, START, END = 0.3, 1.0 / 25.0, 1e-4


def device_of(options: TrainOptions) -> torch.device:
    """The device to train on. Raises ParameterError where CUDA is asked for and there is none."""
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ParameterError("device cuda was asked for and PyTorch finds none; use auto or cpu")
    return torch.device("cuda" if options.device != "cpu" and torch.cuda.is_available() else "cpu")


def one_cycle(part: float) -> float:
    """Factor on the peak rates after ``part`` (0 to 1) of the training: up and down along cosines (Smith 2018)."""
    if part < WARM_UP:
        return START + (1.0 - START) * 0.5 * (1.0 - math.cos(math.pi * part / WARM_UP))
    return END + (1.0 - END) * 0.5 * (1.0 + math.cos(math.pi * (part - WARM_UP) / (1.0 - WARM_UP)))


class Trainer:
    """Trains ``module``: ``groups`` are (parameters, peak rate, weight decay); ``identity`` names what is trained on.

    ``batch_loss(rows, epoch)`` is the loss at the samples ``rows``; ``validation()`` is what early stopping goes by.
    """

    def __init__(
        self,
        module: nn.Module,
        groups: Sequence[tuple[list[nn.Parameter], float, float]],
        options: TrainOptions,
        identity: str,
    ) -> None:
        self.module, self.options, self.identity = module, options, identity
        self.rates = [rate for params, rate, _ in groups if params]
        self.optimizer = torch.optim.AdamW(
            [{"params": params, "lr": rate, "weight_decay": decay} for params, rate, decay in groups if params]
        )
        self.history = History()
        self.best = math.inf
        self.best_state: dict[str, Tensor] = {}
        self.epoch = 0

    def run(
        self,
        samples: int,
        batch: int,
        batch_loss: Callable[[Tensor, int], Tensor],
        validation: Callable[[], float],
        progress: Progress | None = None,
        checkpoint: Path | None = None,
    ) -> History:
        """Train on batches of about ``batch`` of ``samples``; the module then has the weights of the best epoch."""
        o = self.options
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint)
        batches = max(1, math.ceil(samples / batch))
        while self.epoch < o.epochs and self.epoch - self.history.best_epoch < o.patience:
            begin = time.process_time()
            self.module.train()
            # Of the epoch alone, so that a resumed training sees the same batches.
            order = np.random.default_rng((o.seed, self.epoch)).permutation(samples)
            torch.manual_seed(o.seed * 100_003 + self.epoch)
            total = 0.0
            for k, rows in enumerate(np.array_split(order, batches)):
                part = (self.epoch * batches + k) / (o.epochs * batches)
                for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                    group["lr"] = rate * one_cycle(part)
                self.optimizer.zero_grad(set_to_none=True)
                loss = batch_loss(torch.as_tensor(rows), self.epoch)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(self.module.parameters(), o.clip)
                self.optimizer.step()
                total += float(loss.detach())
            self.epoch += 1
            self.module.eval()
            with torch.no_grad():
                judged = validation()
            step = Step(self.epoch, o.epochs, total / batches, judged)
            self.history.steps.append(step)
            if not math.isfinite(total):
                raise ParameterError(f"training diverged in epoch {self.epoch} (loss {total}): lower the rates")
            if judged < self.best or not self.best_state:
                self.best, self.history.best_epoch = judged, self.epoch
                self.best_state = {name: value.clone() for name, value in self.module.state_dict().items()}
            self.history.cpu_seconds += time.process_time() - begin
            if checkpoint is not None:
                self._write(checkpoint)
            if progress is not None:
                progress(step)
        self.module.load_state_dict(self.best_state)
        return self.history

    def _write(self, path: Path) -> None:
        arrays = keep.state(self.module, "now/") | keep.moments_of(self.optimizer)
        arrays |= {f"best/{name}": value.cpu().numpy() for name, value in self.best_state.items()}
        steps = self.history.steps
        arrays["steps"] = np.array([(s.epoch, s.epochs, s.loss, s.validation) for s in steps])
        about = {
            "kind": keep.CHECKPOINT,
            "identity": self.identity,
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.history.best_epoch,
            "cpu_seconds": self.history.cpu_seconds,
        }
        store.write(path, about, arrays)

    def _resume(self, path: Path) -> None:
        about, arrays = keep.read_checkpoint(path, self.identity)
        keep.restore(self.module, arrays, "now/", path)
        self.best_state = keep.under(arrays, "best/")
        keep.restore_moments(self.optimizer, arrays)
        self.epoch, self.best = int(about["epoch"]), float(about["best"])
        steps = [Step(int(a), int(b), float(c), float(d)) for a, b, c, d in arrays["steps"]]
        self.history = History(steps, int(about["best_epoch"]), float(about["cpu_seconds"]))
