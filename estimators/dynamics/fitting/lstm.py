"""A recurrent network with uncertain weights: Bayes by backprop (Blundell et al. 2015; Fortunato et al. 2017).

Weights are independent Gaussians N(μ, σ²) with the prior N(0, σ_prior²); one draw for each batch, the same at every
step of its windows. Prediction is the mean over several draws; its variance adds their spread to the noise, which is a
parameter of each joint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from estimators.dynamics.base import History, Progress
from estimators.dynamics.fitting import keep
from estimators.dynamics.fitting.loop import Trainer, device_of
from estimators.dynamics.fitting.options import TrainOptions
from estimators.dynamics.fitting.variational import identity, nll, targets
from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Ints, Samples, Scaling, scaling_of
from estimators.errors import ParameterError
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]
KIND = "lstm"
CHUNK = 4096


@dataclass(frozen=True, slots=True)
class LstmOptions:
    """Shape of the network and of its prior."""

    window: int = 10
    """Samples that it looks at, the newest one included."""
    hidden: int = 64
    layers: int = 1
    prior_sigma: float = 0.3
    start_sigma: float = 0.01
    """σ of the weights before training."""
    draws: int = 10
    """Of the weights, for a prediction."""

    def __post_init__(self) -> None:
        if min(self.window, self.hidden, self.layers, self.draws) < 1:
            raise ParameterError(f"{self}: window, hidden, layers and draws must be at least 1")
        if not all(math.isfinite(s) and s > 0.0 for s in (self.prior_sigma, self.start_sigma)):
            raise ParameterError(f"{self}: standard deviations must be finite and above 0")


def windows(trajectory: Ints, length: int) -> Ints:
    """Rows of the ``length`` samples up to each sample, (N, length), oldest first.

    None is of another trajectory: at its beginning the first sample stands for those before it.
    """
    rows = np.zeros((len(trajectory), length), dtype=np.int64)
    for k in np.unique(trajectory):
        own = np.flatnonzero(trajectory == k)
        back = np.arange(len(own))[:, None] - np.arange(length)[::-1]
        rows[own] = own[np.maximum(back, 0)]
    return rows


class BayesianLstm(nn.Module):
    """Windows (B, T, D) to the mean of each joint (B, P)."""

    def __init__(self, inputs: int, tasks: int, options: LstmOptions) -> None:
        super().__init__()
        self.options = options
        # For shapes and start values; the weights that compute are drawn.
        lstm, out = nn.LSTM(inputs, options.hidden, options.layers), nn.Linear(options.hidden, tasks)
        shape = [*lstm.parameters(), *out.parameters()]
        self.mu = nn.ParameterList([nn.Parameter(part.detach().clone()) for part in shape])
        raw = math.log(math.expm1(options.start_sigma))
        self.rho = nn.ParameterList([nn.Parameter(torch.full_like(part, raw)) for part in shape])
        self.log_noise = nn.Parameter(torch.full((tasks,), math.log(0.1)))

    def draw(self) -> list[Tensor]:
        """Weights, once."""
        pairs = zip(self.mu, self.rho, strict=True)
        return [mu + nn.functional.softplus(rho) * torch.randn_like(mu) for mu, rho in pairs]

    def forward(self, x: Tensor, weights: list[Tensor]) -> Tensor:
        o = self.options
        state = x.new_zeros(o.layers, len(x), o.hidden)
        found = torch.lstm(x, (state, state), weights[:-2], True, o.layers, 0.0, False, False, True)
        return nn.functional.linear(found[0][:, -1], weights[-2], weights[-1])

    def kl(self) -> Tensor:
        """KL(q ‖ prior) of all weights, nats."""
        prior = self.options.prior_sigma
        total = self.log_noise.new_zeros(())
        for mu, rho in zip(self.mu, self.rho, strict=True):
            sigma = nn.functional.softplus(rho)
            total = total + (math.log(prior) - sigma.log() + (sigma**2 + mu**2) / (2.0 * prior**2) - 0.5).sum()
        return total


class LstmModel:
    """The network with the interface that all families share, black-box or on a ``prior``."""

    def __init__(
        self, options: LstmOptions | None = None, train: TrainOptions | None = None, prior: Prior | None = None
    ) -> None:
        self.options, self.train_options, self.prior = options or LstmOptions(), train or TrainOptions(), prior
        self.scaling: Scaling | None = None
        self.net: BayesianLstm | None = None

    @property
    def kind(self) -> str:
        return KIND

    def fit(
        self, train: Samples, validate: Samples, progress: Progress | None = None, checkpoint: Path | None = None
    ) -> History:
        o = self.train_options
        device = device_of(o)
        r, held = targets(train, self.prior), targets(validate, self.prior)
        self.scaling = scaling_of(train.inputs, r)
        x, xv = (torch.as_tensor(self.scaling.inputs(s.inputs), device=device).float() for s in (train, validate))
        y, yv = (torch.as_tensor(self.scaling.targets(part), device=device).float() for part in (r, held))
        rows, rows_v = (torch.as_tensor(windows(s.trajectory, self.options.window)) for s in (train, validate))
        torch.manual_seed(o.seed)
        net = self.net = BayesianLstm(x.shape[1], y.shape[1], self.options).to(device)
        groups = [
            ([*net.mu, *net.rho], o.rate_network, 0.0),
            ([net.log_noise], o.rate_kernel, 0.0),
        ]
        trainer = Trainer(net, groups, o, identity(self.options, o, train.inputs, r, validate.inputs, held))

        def batch_loss(batch: Tensor, epoch: int) -> Tensor:
            mean = net(x[rows[batch].to(device)], net.draw())
            expected = nll(y[batch.to(device)] - mean, net.log_noise.exp()).mean()
            return expected + net.kl() / (o.temper * len(x) * y.shape[1])

        def validation() -> float:
            mean, spread = self._draws(xv, rows_v)
            return float(nll(yv - mean, spread + net.log_noise.exp()).mean())

        history = trainer.run(len(x), o.batch, batch_loss, validation, progress, checkpoint)
        if o.refit:
            with torch.no_grad():
                mean, spread = self._draws(xv, rows_v)
                noise = ((yv - mean).square() - spread).mean(0)
                net.log_noise.copy_(noise.clamp_min(0.25 * net.log_noise.exp()).log())
            history.notes.append("noise from the validation samples")
        net.to("cpu").eval()
        return history

    def predict(self, samples: Samples) -> tuple[Array, Array]:
        """As everywhere; the windows are taken from ``samples``, which must hold whole trajectories in order."""
        net, scaling = self._trained()
        x = torch.as_tensor(scaling.inputs(samples.inputs)).float()
        with torch.no_grad():
            mean, spread = self._draws(x, torch.as_tensor(windows(samples.trajectory, self.options.window)))
            variance = spread + net.log_noise.exp()
        torque, variances = scaling.torque(mean.double().numpy(), variance.double().numpy())
        return (torque if self.prior is None else torque + self.prior.of(samples)), variances

    def save(self, path: Path, provenance: dict[str, object] | None = None) -> None:
        net, scaling = self._trained()
        arrays = keep.state(net, "net/")
        keep.write(path, KIND, self.options, self.train_options, self.prior, scaling, provenance, arrays)

    @classmethod
    def load(cls, path: Path, rigid_body: RigidBodyModel | None = None) -> LstmModel:
        """What :meth:`save` wrote. Raises OSError; ModelError for another file, or another ``rigid_body``."""
        kept = keep.read(path, KIND, rigid_body)
        model = cls(LstmOptions(**kept.options), kept.train, kept.prior)
        model.scaling = kept.scaling
        net = BayesianLstm(kept.scaling.x_mean.size, kept.joints, model.options)
        keep.restore(net, kept.arrays, "net/", path)
        model.net = net.eval()
        return model

    def _trained(self) -> tuple[BayesianLstm, Scaling]:
        if self.net is None or self.scaling is None:
            raise ParameterError("this model has not been trained: call fit, or load a file")
        return self.net, self.scaling

    def _draws(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance over the draws, (N, P) each; the same draws at every call."""
        net = self._trained()[0]
        found = []
        with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
            torch.manual_seed(self.train_options.seed)
            for _ in range(self.options.draws):
                weights = net.draw()
                found.append(torch.cat([net(x[part.to(x.device)], weights) for part in torch.split(rows, CHUNK)]))
        stacked = torch.stack(found)
        return stacked.mean(0), stacked.var(0, unbiased=len(found) > 1)
