"""Metrics between audio and text vectors: Euclidean, diagonal and full Mahalanobis.

The cost of a pair is half the squared distance, (x - y)^T M (x - y) / 2, or the distance itself. M is learned under
the constraint that it is positive semi-definite, by projected gradient: after each step of the optimiser `project`
puts M back.
"""

from __future__ import annotations

import torch
from torch import nn

KINDS = ("euclidean", "diagonal", "full")
COSTS = ("squared", "distance")


def nearest_semidefinite(matrix: torch.Tensor) -> torch.Tensor:
    """The symmetric positive semi-definite matrix nearest to `matrix` in the Frobenius norm: of its symmetric part the
    negative eigenvalues become 0. (Singular values are never negative; of a symmetric matrix they are the absolute
    eigenvalues, so it is the eigenvalues that are clamped.)"""
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * values.clamp_min(0)) @ vectors.T


class Metric(nn.Module):
    """M starts as the identity, so that every kind starts as the Euclidean one."""

    def __init__(self, dimension: int, kind: str = "euclidean", cost: str = "squared"):
        super().__init__()
        if kind not in KINDS or cost not in COSTS:
            raise ValueError(f"metric {kind!r} with cost {cost!r}: metrics are {', '.join(KINDS)}, costs {', '.join(COSTS)}")
        self.kind, self.form = kind, cost
        if kind == "diagonal":
            self.matrix = nn.Parameter(torch.ones(dimension))
        elif kind == "full":
            self.matrix = nn.Parameter(torch.eye(dimension))

    def times(self, vectors: torch.Tensor) -> torch.Tensor:
        """Rows M x."""
        if self.kind == "euclidean":
            return vectors
        return vectors * self.matrix if self.kind == "diagonal" else vectors @ self.matrix

    def cost(self, audio: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Cost of every pair of rows, [audio, text]."""
        mapped = self.times(audio)
        squares = (mapped * audio).sum(-1)[:, None] + (self.times(text) * text).sum(-1)[None, :]
        halves = (squares / 2 - mapped @ text.T).clamp_min(0)
        # The root has no slope at 0; the offset is far below any distance that matters.
        return halves if self.form == "squared" else (2 * halves + 1e-12).sqrt()

    def similarity(self, audio: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """The cost with its sign changed. Unit vectors, Euclidean, squared: cosine - 1."""
        return -self.cost(audio, text)

    def rows(self, vectors: torch.Tensor) -> torch.Tensor:
        """Rows L x with L^T L = M: between these the distance is Euclidean."""
        if self.kind == "euclidean":
            return vectors
        if self.kind == "diagonal":
            return vectors * self.matrix.clamp_min(0).sqrt()
        values, basis = torch.linalg.eigh(self.matrix)
        return (vectors @ basis) * values.clamp_min(0).sqrt()

    @torch.no_grad()
    def project(self) -> None:
        """Back to the nearest metric."""
        if self.kind == "diagonal":
            self.matrix.clamp_(min=0)
        elif self.kind == "full":
            self.matrix.copy_(nearest_semidefinite(self.matrix))
