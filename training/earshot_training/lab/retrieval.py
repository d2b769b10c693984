"""Retrieval figures with any number of right answers, and label potentials from a reference bank."""

from __future__ import annotations

import math

import torch


def retrieval(scores: torch.Tensor, relevant: torch.Tensor) -> dict[str, float]:
    """R@1, R@5, R@10 (a right answer among the first k) and mAP@10, in per cent, of scores [queries, candidates]. A
    candidate that ties with a right one stands before it, so that equal scores earn nothing."""
    order = (scores.double() - 1e-9 * relevant.double()).argsort(dim=1, descending=True, stable=True)[:, :10]
    hits = relevant.gather(1, order)
    result = {f"R@{k}": 100 * hits[:, :k].any(dim=1).double().mean().item() for k in (1, 5, 10)}
    precision = hits.cumsum(dim=1) / torch.arange(1, hits.shape[1] + 1)
    average = (precision * hits).sum(dim=1) / relevant.sum(dim=1).clamp(1, 10)
    return result | {"mAP@10": 100 * average.double().mean().item()}


def modality_gap(audio: torch.Tensor, text: torch.Tensor) -> float:
    """Distance between the mean unit vectors of audio and of text, rows of both being in the metric's space."""
    unit = torch.nn.functional.normalize
    return (unit(audio, dim=1).mean(dim=0) - unit(text, dim=1).mean(dim=0)).norm().item()


def bank_potentials(similarity: torch.Tensor, regularisation: float, relaxation: float | None = None, iterations: int = 60) -> torch.Tensor:
    """Label potentials [labels] of the transport between a bank of windows and the labels, in units of similarity: a new
    window alone adds its own row, which does not move them. The bank's windows are moved whole; each label should take
    an equal share, exactly (`relaxation` None) or at the price of `relaxation` per nat of divergence."""
    windows, labels = similarity.shape
    kernel, share = similarity.double() / regularisation, 1.0 if relaxation is None else relaxation / (relaxation + regularisation)
    potentials = torch.zeros(labels, dtype=torch.float64)
    for _ in range(iterations):
        rows = -math.log(windows) - torch.logsumexp(kernel + potentials, dim=1)
        potentials = share * (-math.log(labels) - torch.logsumexp(kernel + rows[:, None], dim=0))
    return regularisation * (potentials - potentials.mean())
