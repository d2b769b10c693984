"""Losses and metrics against independent formulas, POT and finite differences."""

import math

import numpy as np
import ot
import pytest
import torch

from earshot_training.losses import LOSSES, Objective, diagonal_plan, info_nce_loss, nt_xent_loss, shared_plan, triplet_loss, unit
from earshot_training.metric import Metric, nearest_semidefinite
from earshot_training.transport import kept_pairs, mltm_loss, partial_mltm_loss, partial_sinkhorn, sinkhorn

DOUBLE = torch.float64


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rows, columns", [(5, 7), (1, 4), (30, 20)])
@pytest.mark.parametrize("regularisation", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("mass", [0.3, 0.7, 0.95])
def test_partial_equals_pot(rows, columns, regularisation, mass):
    rng = np.random.default_rng(rows)
    cost, source, target = rng.random((rows, columns)), rng.random(rows) + 0.1, rng.random(columns) + 0.1
    source, target = source / source.sum(), target / target.sum()
    expected = ot.partial.entropic_partial_wasserstein(source, target, cost, regularisation, m=mass, numItermax=20000, stopThr=1e-13)
    plan = partial_sinkhorn(torch.from_numpy(cost), regularisation, mass, torch.from_numpy(source), torch.from_numpy(target), 20000, 1e-13).numpy()
    assert np.abs(plan - expected).max() < 1e-6
    assert plan.sum() == pytest.approx(mass, abs=1e-9)
    assert (plan.sum(1) <= source + 1e-6).all() and (plan.sum(0) <= target + 1e-6).all()


def test_partial_with_all_the_mass_is_balanced():
    cost = random(8, 8).abs()
    assert torch.allclose(partial_sinkhorn(cost, 0.3, 1.0, iterations=20000), sinkhorn(cost, 0.3, iterations=20000), atol=1e-6)


def test_partial_leaves_the_dearest_pairs_behind():
    cost = torch.full((4, 4), 2.0, dtype=DOUBLE)
    cost.diagonal().copy_(torch.tensor([0.0, 0.1, 0.2, 1.9]))
    plan = partial_sinkhorn(cost, 0.02, 0.75, iterations=500)
    assert torch.allclose(plan.diagonal(), torch.tensor([0.25, 0.25, 0.25, 0.0], dtype=DOUBLE), atol=1e-4)
    kept = kept_pairs(torch.eye(4, dtype=DOUBLE) / 4, plan, 0.75)
    assert torch.allclose(kept.diagonal(), torch.tensor([0.25, 0.25, 0.25, 0.0], dtype=DOUBLE))


@pytest.mark.parametrize("mass", [0.0, 1.1])
def test_partial_refuses_other_masses(mass):
    with pytest.raises(ValueError, match="mass"):
        partial_sinkhorn(torch.rand(3, 3), 0.1, mass)


def test_triplet_by_hand():
    similarity = torch.tensor([[0.9, 0.8, 0.1], [0.0, 0.5, 0.6], [0.2, 0.3, 1.0]])
    rows = [0.2 + 0.8 - 0.9, 0.2 + 0.6 - 0.5, 0]
    columns = [0, 0.2 + 0.8 - 0.5, 0]
    assert triplet_loss(similarity, diagonal_plan(3), 0.2).item() == pytest.approx((sum(rows) + sum(columns)) / 3, abs=1e-6)


def test_info_nce_is_cross_entropy():
    similarity, target = random(6, 6), torch.arange(6)
    expected = (torch.nn.functional.cross_entropy(similarity * 9, target) + torch.nn.functional.cross_entropy(similarity.T * 9, target)) / 2
    assert info_nce_loss(similarity, diagonal_plan(6).to(DOUBLE), 9.0).item() == pytest.approx(expected.item())


def test_nt_xent_equals_a_loop():
    audio, text = unit(random(5, 4)), unit(random(5, 4, seed=1))
    both, count, total = torch.cat([audio, text]), 5, 0.0
    for row in range(2 * count):
        partner = (row + count) % (2 * count)
        scores = [(both[row] @ both[other]).item() / 0.07 for other in range(2 * count) if other != row]
        total += math.log(sum(map(math.exp, scores))) - (both[row] @ both[partner]).item() / 0.07
    loss = nt_xent_loss(audio @ text.T, audio @ audio.T, text @ text.T, torch.eye(5, dtype=DOUBLE) / 5)
    assert loss.item() == pytest.approx(total / (2 * count))


def test_pairs_of_one_group_are_no_negatives():
    plan = shared_plan(torch.tensor([0, 1, 0]))
    assert torch.allclose(plan.sum(0), torch.full((3,), 1 / 3)) and torch.allclose(plan.sum(1), torch.full((3,), 1 / 3))
    similarity = torch.tensor([[0.9, 0.0, 0.9], [0.0, 0.9, 0.0], [0.9, 0.0, 0.9]])
    assert triplet_loss(similarity, plan, 0.2).item() == 0
    assert triplet_loss(similarity, diagonal_plan(3), 0.2).item() > 0
    assert info_nce_loss(similarity * 50, plan, 1.0).item() == pytest.approx(2 / 3 * math.log(2), abs=1e-5)
    assert mltm_loss(similarity * 50, plan, 1.0, 50).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("metric", ["euclidean", "diagonal", "full"])
@pytest.mark.parametrize("cost", ["squared", "distance"])
def test_gradients(loss, metric, cost):
    torch.manual_seed(2)
    objective = Objective(3, loss, metric, cost, regularisation=0.3, iterations=8, mass=0.8, margin=0.5, temperature=0.5).to(DOUBLE)
    audio, text = random(5, 3, seed=3).requires_grad_(), random(5, 3, seed=4).requires_grad_()
    ideal, parameters = torch.eye(5, dtype=DOUBLE) / 5, list(objective.parameters())
    assert torch.autograd.gradcheck(lambda *_: objective(audio, text, ideal), (audio, text, *parameters), eps=1e-6, atol=1e-5)


def test_gradient_of_the_converged_plan():
    similarity, ideal = random(6, 6).requires_grad_(), shared_plan(torch.tensor([0, 1, 2, 0, 3, 4])).to(DOUBLE)
    losses = [mltm_loss(similarity, ideal, 0.4, 3000, unrolled) for unrolled in (True, False)]
    gradients = [torch.autograd.grad(loss, similarity)[0] for loss in losses]
    assert losses[0].item() == pytest.approx(losses[1].item()) and torch.allclose(*gradients, atol=1e-8)
    assert torch.autograd.gradcheck(lambda value: mltm_loss(value, ideal, 0.4, 3000, False), similarity, eps=1e-6, atol=1e-6, nondet_tol=0)


def test_trimmed_pairs_have_no_gradient_of_their_own():
    similarity = torch.eye(4, dtype=DOUBLE) - torch.diag(torch.tensor([0, 0, 0, 3.0], dtype=DOUBLE))
    similarity.requires_grad_()
    ideal = torch.eye(4, dtype=DOUBLE) / 4
    gradient = {}
    for trimmed in (False, True):
        loss = partial_mltm_loss(similarity, ideal, 0.75, 0.2, 50, trimmed)
        gradient[trimmed] = torch.autograd.grad(loss, similarity)[0][3, 3].item()
    assert gradient[False] < -0.5  # pulled together
    assert gradient[True] > -1e-3


@pytest.mark.parametrize("metric", ["diagonal", "full"])
def test_projection_gives_a_metric(metric):
    objective = Metric(6, metric)
    with torch.no_grad():
        objective.matrix.add_(2 * torch.randn(objective.matrix.shape, generator=torch.Generator().manual_seed(0)))
    objective.project()
    matrix = objective.matrix.detach() if metric == "full" else torch.diag(objective.matrix.detach())
    assert torch.allclose(matrix, matrix.T, atol=1e-5) and torch.linalg.eigvalsh(matrix).min() > -1e-5
    audio, text = torch.randn(4, 6), torch.randn(3, 6)
    rows = torch.cdist(objective.rows(audio), objective.rows(text)).square() / 2
    assert torch.allclose(objective.cost(audio, text), rows, atol=1e-3)


def test_nearest_semidefinite():
    rotation = torch.linalg.qr(random(3, 3))[0]
    matrix = rotation @ torch.diag(torch.tensor([2.0, 1.0, -4.0], dtype=DOUBLE)) @ rotation.T
    expected = rotation @ torch.diag(torch.tensor([2.0, 1.0, 0.0], dtype=DOUBLE)) @ rotation.T
    assert torch.allclose(nearest_semidefinite(matrix), expected)
    assert torch.allclose(nearest_semidefinite(expected + torch.tensor([[0, 1, 0], [-1, 0, 0], [0, 0, 0]])), expected)


def test_projected_gradient_learns_the_metric():
    """Pairs agree in the first two of four coordinates, the others are noise: M must forget those."""
    generator = torch.Generator().manual_seed(5)
    objective = Objective(4, "mltm", "full", regularisation=0.3)
    optimiser = torch.optim.SGD(objective.parameters(), lr=0.5)
    for _ in range(60):
        audio, text = torch.randn(24, 4, generator=generator), torch.randn(24, 4, generator=generator)
        text[:, :2] = audio[:, :2]
        loss = objective(audio, text, diagonal_plan(24))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        objective.project()
    diagonal = objective.metric.matrix.detach().diagonal()
    assert diagonal[:2].min() > 5 * diagonal[2:].max()
    assert torch.linalg.eigvalsh(objective.metric.matrix.detach()).min() > -1e-5


@pytest.mark.parametrize("settings", [{"loss": "other"}, {"metric": "other"}, {"cost": "other"}])
def test_unknown_settings_are_refused(settings):
    with pytest.raises(ValueError, match="other"):
        Objective(3, **settings)
