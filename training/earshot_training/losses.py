"""The training objectives, chosen by name: m-LTM, m-LTM with partial transport, triplet, InfoNCE, NT-Xent.

All of them take the similarities of a batch, [audio, text], and the ideal plan of the same shape: entries above zero
are the pairs that belong together, their sum is 1. One pair per row and column is the usual case; more than one where
captions or labels repeat in the batch.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from .metric import Metric
from .transport import mltm_loss, partial_mltm_loss


def diagonal_plan(count: int) -> torch.Tensor:
    """Ideal plan of `count` pairs that stand in the same order: the identity over its size."""
    return torch.eye(count) / count


def shared_plan(groups: torch.Tensor) -> torch.Tensor:
    """Ideal plan of pairs of which those of the same group belong together. Row and column sums are uniform."""
    same = (groups[:, None] == groups[None, :]).to(torch.get_default_dtype())
    return same / same.sum(dim=1, keepdim=True) / len(groups)


def triplet_loss(similarity: torch.Tensor, ideal: torch.Tensor, margin: float = 0.2) -> torch.Tensor:
    """Hinge on the hardest negative of each row and each column, against the pair on the diagonal."""
    own = similarity.diagonal()
    negatives = similarity.masked_fill(ideal > 0, -math.inf)
    rows = (margin + negatives.amax(dim=1) - own).clamp_min(0)
    columns = (margin + negatives.amax(dim=0) - own).clamp_min(0)
    return rows.mean() + columns.mean()


def info_nce_loss(similarity: torch.Tensor, ideal: torch.Tensor, scale: torch.Tensor | float) -> torch.Tensor:
    """Cross entropy from audio to text and from text to audio, averaged; `scale` is the inverse temperature."""
    rows = ideal / ideal.sum(dim=1, keepdim=True)
    columns = ideal / ideal.sum(dim=0, keepdim=True)
    scaled = similarity * scale
    forward = -(rows * scaled.log_softmax(dim=1)).sum(dim=1).mean()
    backward = -(columns * scaled.log_softmax(dim=0)).sum(dim=0).mean()
    return (forward + backward) / 2


def nt_xent_loss(
    similarity: torch.Tensor, audio: torch.Tensor, text: torch.Tensor, ideal: torch.Tensor, temperature: float = 0.07
) -> torch.Tensor:
    """Normalised-temperature cross entropy as in SimCLR: for each of the 2 n vectors all others of both modalities are
    candidates. `audio` and `text` are similarities within a modality, [n, n]; other members of a group are left out."""
    count, other = len(similarity), (ideal > 0) | torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    scores = torch.cat([torch.cat([audio.masked_fill(other, -math.inf), similarity], 1),
                        torch.cat([similarity.T, text.masked_fill(other, -math.inf)], 1)]) / temperature  # fmt: skip
    log_probability = scores.log_softmax(dim=1)
    rows, columns = ideal / ideal.sum(dim=1, keepdim=True), ideal.T / ideal.sum(dim=0)[:, None]
    forward = (rows * log_probability[:count, count:]).sum()
    backward = (columns * log_probability[count:, :count]).sum()
    return -(forward + backward) / (2 * count)


LOSSES = ("mltm", "partial", "triplet", "infonce", "ntxent")


class Objective(nn.Module):
    """A loss with its metric and, for InfoNCE, its temperature.

    Settings: `loss` (one of LOSSES), `metric` (euclidean, diagonal, full), `cost` (squared, distance), `regularisation`
    and `iterations` of the transport, `unrolled` (m-LTM: gradient through the iterations), `mass` in (0, 1] and `trimmed` of the partial one, `margin`, `temperature` (NT-Xent: fixed;
    InfoNCE: the start)."""

    def __init__(
        self, dimension: int, loss: str = "mltm", metric: str = "euclidean", cost: str = "squared", regularisation: float = 0.05,
        iterations: int = 20, unrolled: bool = True, mass: float = 1.0, trimmed: bool = False, margin: float = 0.2, temperature: float = 0.07,
    ):  # fmt: skip
        super().__init__()
        if loss not in LOSSES:
            raise ValueError(f"loss {loss!r}: must be one of {', '.join(LOSSES)}")
        self.metric = Metric(dimension, metric, cost)
        self.loss, self.regularisation, self.iterations, self.unrolled = loss, regularisation, iterations, unrolled
        self.mass, self.trimmed, self.margin, self.temperature = mass, trimmed, margin, temperature
        if loss == "infonce":
            self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self, audio: torch.Tensor, text: torch.Tensor, ideal: torch.Tensor) -> torch.Tensor:
        """Loss of vectors [n, d] whose rows are pairs."""
        similarity = self.metric.similarity(audio, text)
        if self.loss == "mltm":
            return mltm_loss(similarity, ideal, self.regularisation, self.iterations, self.unrolled)
        if self.loss == "partial":
            return partial_mltm_loss(similarity, ideal, self.mass, self.regularisation, self.iterations, self.trimmed)
        if self.loss == "triplet":
            return triplet_loss(similarity, ideal, self.margin)
        if self.loss == "infonce":
            return info_nce_loss(similarity, ideal, self.log_scale.clamp_max(math.log(100)).exp())
        within = self.metric.similarity(audio, audio), self.metric.similarity(text, text)
        return nt_xent_loss(similarity, *within, ideal, self.temperature)

    def project(self) -> None:
        """To be called after each step of the optimiser."""
        self.metric.project()


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Rows of length 1."""
    return functional.normalize(vectors, dim=-1)
