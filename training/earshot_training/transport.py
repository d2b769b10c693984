"""Entropic optimal transport in the log domain, balanced and partial, and the m-LTM loss. Differentiable by unrolling."""

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


def partial_sinkhorn(
    cost: torch.Tensor, regularisation: float, mass: float, source: torch.Tensor | None = None, target: torch.Tensor | None = None,
    iterations: int = 100, tolerance: float | None = None,
) -> torch.Tensor:  # fmt: skip
    """Plan [n, m] of total `mass` <= 1 that minimises <P, cost> - regularisation * entropy(P) with row sums of at most
    `source` and column sums of at most `target` (uniform where none is given): Benamou et al. 2015.

    Bregman (Dykstra) projections onto the three constraints in turn. The correction terms that Dykstra's algorithm
    keeps are rank one, so the plan is exp(-cost / regularisation + first_i + second_j + level) with first and second
    at most 0, and a projection is an update of one of the three. With a tolerance it stops when the plan moves less."""
    rows, columns = cost.shape
    if not 0 < mass <= 1:
        raise ValueError(f"mass must be in (0, 1], not {mass}")
    log_source = cost.new_full((rows,), -math.log(rows)) if source is None else source.log()
    log_target = cost.new_full((columns,), -math.log(columns)) if target is None else target.log()
    kernel = -cost / regularisation
    first, second = torch.zeros_like(log_source), torch.zeros_like(log_target)
    level = math.log(mass) - torch.logsumexp(kernel.flatten(), dim=0)
    previous = kernel.detach() + level.detach()
    for iteration in range(iterations):
        first = (log_source - level - torch.logsumexp(kernel + second, dim=1)).clamp_max(0)
        columns_now = torch.logsumexp(kernel + first[:, None], dim=0)
        second = (log_target - level - columns_now).clamp_max(0)
        level = math.log(mass) - torch.logsumexp(columns_now + second, dim=0)
        if tolerance is not None and iteration % 10 == 9:
            current = (kernel + first[:, None] + second + level).detach()
            if (current.exp() - previous.exp()).abs().sum() < tolerance:
                break
            previous = current
    return (kernel + first[:, None] + second + level).exp()


def mltm_loss(
    similarity: torch.Tensor, ideal: torch.Tensor, regularisation: float = 0.05, iterations: int = 20, unrolled: bool = True
) -> torch.Tensor:
    """KL(ideal plan || entropic plan) under the cost -similarity. `ideal` [n, m] sums to 1; its marginals are
    those of the transport.

    The gradient goes through the iterations, or, with `unrolled` off, is that of the converged plan: the marginals of
    both plans agree, so the loss is (<ideal, cost> - the optimal value of the dual) / regularisation up to a constant,
    and the slope of the optimal value is the plan itself."""
    source, target = ideal.sum(dim=1), ideal.sum(dim=0)
    with torch.set_grad_enabled(unrolled and torch.is_grad_enabled()):
        plan = sinkhorn(-similarity, regularisation, source, target, iterations)
    positive = ideal > 0
    loss = (ideal[positive] * (ideal[positive].log() - plan[positive].clamp_min(1e-30).log())).sum()
    if unrolled:
        return loss
    linear = ((plan - ideal) * similarity).sum() / regularisation
    return loss + linear - linear.detach()


def kept_pairs(ideal: torch.Tensor, plan: torch.Tensor, mass: float) -> torch.Tensor:
    """`ideal` without the pairs that a partial plan leaves behind: the share `mass` of its entries to which `plan` gives
    most of what `ideal` asks for. Scaled to the total `mass`."""
    rows, columns = torch.nonzero(ideal > 0, as_tuple=True)
    carried = plan[rows, columns] / ideal[rows, columns]
    best = carried.topk(max(1, round(mass * len(carried)))).indices
    kept = torch.zeros_like(ideal)
    kept[rows[best], columns[best]] = ideal[rows[best], columns[best]]
    return kept * (mass / kept.sum())


def partial_mltm_loss(
    similarity: torch.Tensor, ideal: torch.Tensor, mass: float, regularisation: float = 0.05, iterations: int = 20, trimmed: bool = False
) -> torch.Tensor:
    """KL(mass * ideal || partial plan) under the cost -similarity, with the marginals of `ideal` as upper bounds.

    The plan may leave 1 - mass behind. The ideal plan still asks for every pair, as in the paper; `trimmed` takes from
    it the pairs that the plan itself leaves behind, so that a mismatched pair has no gradient of its own."""
    plan = partial_sinkhorn(-similarity, regularisation, mass, ideal.sum(dim=1), ideal.sum(dim=0), iterations)
    wanted = kept_pairs(ideal, plan.detach(), mass) if trimmed else mass * ideal
    positive = wanted > 0
    return (wanted[positive] * (wanted[positive].log() - plan[positive].clamp_min(1e-30).log())).sum()
