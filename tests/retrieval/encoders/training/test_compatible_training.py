"""Compatible training: the losses are what the papers write, and they do what they are for."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.errors import ShapeError

torch = pytest.importorskip("torch", reason="training needs torch")
F = torch.nn.functional
compatible = pytest.importorskip(
    "retrieval.encoders.training.compatible_training", reason="training needs torch"
)
OrthogonalCompatible = compatible.OrthogonalCompatible
class_prototypes, influence_loss = compatible.class_prototypes, compatible.influence_loss


def test_prototypes_are_means_that_are_not_normalised():
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    labels = torch.tensor([0, 0, 1])

    torch.testing.assert_close(
        class_prototypes(features, labels, classes=2), torch.tensor([[0.5, 0.5], [0.6, 0.8]])
    )
    with pytest.raises(ShapeError, match="every one of 3 classes"):
        class_prototypes(features, labels, classes=3)
    with pytest.raises(ShapeError, match="expected"):
        class_prototypes(features, labels[:2], classes=2)


def test_the_terms_are_those_of_the_paper():
    torch.manual_seed(0)
    prototypes = torch.randn(5, 4)
    loss = OrthogonalCompatible(6, prototypes, weights=(5, 10, 5), scale=8.0, margin=0.2)
    vectors, labels = torch.randn(7, 6), torch.tensor([0, 1, 2, 3, 4, 0, 1])

    classify, aligned, apart = loss.terms(vectors, labels)

    h, first = F.normalize(vectors, dim=1), F.normalize(vectors[:, :4], dim=1)
    turned = h @ loss.turn.weight.T
    expected = F.cross_entropy(
        8 * turned @ F.normalize(loss.classifier.weight, dim=1).T, labels, label_smoothing=0.1
    )
    torch.testing.assert_close(classify, expected)
    cosines = first @ F.normalize(prototypes, dim=1).T
    own = F.one_hot(labels, 5)
    torch.testing.assert_close(
        aligned, F.cross_entropy(8 * (cosines - 0.2 * own), labels, label_smoothing=0.1)
    )
    torch.testing.assert_close(apart, 1 - cosines[torch.arange(7), labels].mean())
    torch.testing.assert_close(loss(vectors, labels), 5 * classify + 10 * aligned + 5 * apart)


def test_the_layer_stays_orthogonal_and_the_prototypes_do_not_move():
    torch.manual_seed(0)
    prototypes = torch.randn(5, 4)
    loss = OrthogonalCompatible(6, prototypes)
    vectors, labels = torch.randn(40, 6, requires_grad=True), torch.arange(40) % 5
    before = loss.turn.weight.detach().clone()
    optimiser = torch.optim.Adam([*loss.parameters(), vectors], lr=0.05)
    for _ in range(30):
        optimiser.zero_grad()
        loss(vectors, labels).backward()
        optimiser.step()
    turn = loss.turn.weight.detach()

    torch.testing.assert_close(turn @ turn.T, torch.eye(6), atol=1e-4, rtol=0)
    assert (turn - before).abs().max() > 0.01  # it learned
    torch.testing.assert_close(loss.prototypes, prototypes)
    assert "prototypes" not in dict(loss.named_parameters())


def test_new_vectors_must_hold_the_old_ones():
    with pytest.raises(ShapeError, match="cannot hold"):
        OrthogonalCompatible(3, torch.randn(5, 4))
    with pytest.raises(ShapeError, match="expected 6 columns"):
        OrthogonalCompatible(6, torch.randn(5, 4)).terms(torch.randn(2, 5), torch.tensor([0, 1]))


def test_the_influence_loss_leaves_the_old_classifier_alone():
    old = torch.randn(5, 4, requires_grad=True)
    vectors = torch.randn(8, 4, requires_grad=True)
    influence_loss(vectors, torch.arange(8) % 5, old).backward()

    assert old.grad is None
    assert vectors.grad.abs().sum() > 0


def gaussians(classes, per, *, seed):
    draws = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((classes, 20))
    labels = np.repeat(np.arange(classes), per)
    return torch.tensor(
        centres[labels] + draws.standard_normal((classes * per, 20)) * 1.2
    ).float(), torch.tensor(labels)


def test_oca_makes_a_new_encoder_that_an_old_gallery_understands():
    """The papers' protocol in small: the old model saw half of the classes, the new one sees all."""
    torch.manual_seed(0)
    x, y = gaussians(12, 40, seed=0)
    x_test, y_test = gaussians(12, 20, seed=1)
    early = y < 6

    def train(dim, loss, rows):
        net = torch.nn.Linear(20, dim)
        optimiser = torch.optim.Adam([*net.parameters(), *loss.parameters()], lr=0.02)
        for _ in range(150):
            optimiser.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimiser.step()
        return lambda part: F.normalize(net(part).detach(), dim=1)

    class Cosines(torch.nn.Module):
        def __init__(self, dim, classes):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(classes, dim))

        def forward(self, vectors, labels):
            return F.cross_entropy(16 * F.normalize(vectors) @ F.normalize(self.weight).T, labels)

    old = train(6, Cosines(6, 6), early)
    prototypes = class_prototypes(old(x), y, classes=12)
    alone = train(10, Cosines(10, 12), slice(None))
    new = train(10, OrthogonalCompatible(10, prototypes), slice(None))

    def accuracy(query, gallery):
        dim = min(query.shape[1], gallery.shape[1])
        scores = F.normalize(query[:, :dim]) @ F.normalize(gallery[:, :dim]).T
        scores.fill_diagonal_(-2)
        return float((y_test[scores.argmax(1)] == y_test).float().mean())

    gallery = old(x_test)
    before, after, unrelated = (accuracy(model(x_test), gallery) for model in (old, new, alone))
    assert after > before + 0.03  # usual: 0.1
    assert unrelated < 0.5 * before
    assert accuracy(new(x_test), new(x_test)) > before
