"""Entropic optimal transport in the log domain, and the m-LTM loss. Differentiable by unrolling."""

from __future__ import annotations

import math

import torch


def sinkhorn(
    cost: torch.Tensor, regularisation: float, source: torch.Tensor | None = None, target: torch.Tensor | None = None,
    iterations: int = 100, tolerance: float | None = None,
) -> torch.Tensor:  # fmt: skip
    """Plan [n, m] that minimises <P, cost> - regularisation * entropy(P) with marginals `source` and `target`
    (uniform where none is given). With a tolerance it stops when the row marginals are met that well."""
    rows, columns = cost.shape
    log_source = cost.new_full((rows,), -math.log(rows)) if source is None else source.log()
    log_target = cost.new_full((columns,), -math.log(columns)) if target is None else target.log()
    kernel = -cost / regularisation
    first, second = torch.zeros_like(log_source), torch.zeros_like(log_target)
    for iteration in range(iterations):
        first = log_source - torch.logsumexp(kernel + second, dim=1)
        second = log_target - torch.logsumexp(kernel + first[:, None], dim=0)
        if tolerance is not None and iteration % 10 == 9:
            error = (torch.logsumexp(kernel + first[:, None] + second, dim=1).exp() - log_source.exp()).abs().sum()
            if error < tolerance:
                break
    return (kernel + first[:, None] + second).exp()


def mltm_loss(similarity: torch.Tensor, ideal: torch.Tensor, regularisation: float = 0.05, iterations: int = 20) -> torch.Tensor:
    """KL(ideal plan || entropic plan) under the cost -similarity. `ideal` [n, m] sums to 1; its marginals are
    those of the transport."""
    source, target = ideal.sum(dim=1), ideal.sum(dim=0)
    plan = sinkhorn(-similarity, regularisation, source, target, iterations)
    positive = ideal > 0
    return (ideal[positive] * (ideal[positive].log() - plan[positive].clamp_min(1e-30).log())).sum()
