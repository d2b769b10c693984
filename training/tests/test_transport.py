"""Sinkhorn against POT, and gradients of the m-LTM loss against finite differences."""

import numpy as np
import ot
import pytest
import torch

from earshot_training.transport import mltm_loss, sinkhorn


@pytest.mark.parametrize("rows, columns", [(5, 7), (1, 4), (6, 1), (40, 25)])
@pytest.mark.parametrize("regularisation", [0.02, 0.05, 0.5])
def test_equals_pot(rows, columns, regularisation):
    rng = np.random.default_rng(rows * columns)
    cost, source, target = rng.random((rows, columns)), rng.random(rows) + 0.1, rng.random(columns) + 0.1
    source, target = source / source.sum(), target / target.sum()
    expected = ot.sinkhorn(source, target, cost, regularisation, method="sinkhorn_log", numItermax=5000, stopThr=1e-12)
    plan = sinkhorn(torch.from_numpy(cost), regularisation, torch.from_numpy(source), torch.from_numpy(target), iterations=5000, tolerance=1e-12)
    assert np.abs(plan.numpy() - expected).max() < 1e-8


def test_uniform_marginals_by_default():
    plan = sinkhorn(torch.rand(6, 9, dtype=torch.float64), 0.1, iterations=2000)
    assert torch.allclose(plan.sum(1), torch.full((6,), 1 / 6, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(plan.sum(0), torch.full((9,), 1 / 9, dtype=torch.float64), atol=1e-9)


def test_mltm_gradient():
    torch.manual_seed(0)
    ideal = torch.eye(5, dtype=torch.float64) / 5
    ideal[0, 1] = ideal[0, 0] / 2
    ideal = ideal / ideal.sum()
    scores = torch.rand(5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: mltm_loss(value, ideal, 0.05, 10), scores, eps=1e-6, atol=1e-5)


def test_mltm_gradient_through_the_metric():
    torch.manual_seed(1)
    audio, text = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    factor = (torch.eye(3, 6, dtype=torch.float64) + 0.1 * torch.randn(3, 6, dtype=torch.float64)).requires_grad_()
    ideal = torch.eye(4, dtype=torch.float64) / 4

    def loss(value: torch.Tensor) -> torch.Tensor:
        difference = (audio[:, None] - text[None, :]) @ value.T
        return mltm_loss(-difference.square().sum(-1) / 2, ideal, 0.5, 20)

    assert torch.autograd.gradcheck(loss, factor, eps=1e-6, atol=1e-5)


def test_mltm_is_zero_at_the_ideal_plan():
    ideal = torch.eye(6, dtype=torch.float64) / 6
    assert mltm_loss(torch.eye(6, dtype=torch.float64) * 50, ideal, 0.05, 50).item() < 1e-9
    assert mltm_loss(torch.rand(6, 6, dtype=torch.float64), ideal, 0.05, 50).item() > 0.1
