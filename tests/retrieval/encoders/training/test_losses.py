"""The losses that train nano, against plain arithmetic."""

from __future__ import annotations

import pytest

from retrieval.errors import ShapeError

torch = pytest.importorskip("torch", reason="training needs torch")

from retrieval.encoders.training.losses import (  # noqa: E402
    MatryoshkaHead,
    MatryoshkaLoss,
    mean_cosine_gap,
    similarity_distillation,
)


def test_matryoshka_sums_over_prefixes_normalised_on_their_own():
    x, y = torch.randn(6, 8), torch.randn(6, 8)
    expected = sum(
        w * (1 - torch.cosine_similarity(x[:, :m], y[:, :m]).mean())
        for m, w in ((2, 1.0), (4, 0.5), (8, 2.0))
    )

    actual = MatryoshkaLoss(mean_cosine_gap, (2, 4, 8), (1.0, 0.5, 2.0))(x, y)

    torch.testing.assert_close(actual, expected)


def test_matryoshka_refuses_what_cannot_be_nested():
    with pytest.raises(ShapeError):
        MatryoshkaLoss(mean_cosine_gap, (8, 4))
    with pytest.raises(ShapeError):
        MatryoshkaLoss(mean_cosine_gap, (4, 8), (1.0,))
    with pytest.raises(ShapeError):
        MatryoshkaLoss(mean_cosine_gap, (4, 8))(torch.randn(2, 8), torch.randn(2, 6))


def test_distillation_is_least_where_the_student_is_the_teacher():
    torch.manual_seed(0)
    bank = torch.nn.functional.normalize(torch.randn(20, 6), dim=1)
    teacher = torch.nn.functional.normalize(torch.randn(4, 6), dim=1)
    target = (teacher @ bank.T / 0.1).softmax(1)
    entropy = -(target * target.log()).sum(1).mean()

    same = similarity_distillation(teacher, bank, target, temperature=0.1)

    torch.testing.assert_close(same, entropy)
    assert similarity_distillation(-teacher, bank, target, temperature=0.1) > same


def test_matryoshka_of_one_prefix_is_the_loss_itself():
    x, y = torch.randn(6, 8), torch.randn(6, 8)

    torch.testing.assert_close(
        MatryoshkaLoss(mean_cosine_gap, (8,))(x, y), 1 - torch.cosine_similarity(x, y).mean()
    )


def test_matryoshka_presses_hardest_on_what_every_prefix_holds():
    """The first components are in every term of the sum, the last in one."""
    x = torch.randn(64, 8, requires_grad=True)
    MatryoshkaLoss(mean_cosine_gap, (2, 4, 8))(x, torch.randn(64, 8)).backward()
    pressure = x.grad.pow(2).mean(0)

    assert pressure[:2].mean() > 2 * pressure[4:].mean()


@pytest.mark.parametrize("shared", [False, True])
def test_the_heads_follow_the_definition(shared):
    torch.manual_seed(0)
    z, labels = torch.randn(7, 8), torch.randint(5, (7,))
    head = MatryoshkaHead((2, 4, 8), 5, shared=shared, weights=(1.0, 0.5, 2.0), smoothing=0.1)
    expected = 0.0
    for place, (m, weight) in enumerate(((2, 1.0), (4, 0.5), (8, 2.0))):
        layer = head.heads[0 if shared else place]
        logits = z[:, :m] @ layer.weight[:, :m].T + layer.bias
        log = logits.log_softmax(1)
        hit = log[torch.arange(7), labels]
        expected = expected - weight * (0.9 * hit + 0.1 * log.mean(1)).mean()

    torch.testing.assert_close(head(z, labels), expected)
    assert sum(p.numel() for p in head.parameters()) == (8 * 5 + 5 if shared else 14 * 5 + 15)
    with pytest.raises(ShapeError):
        head(z[:, :7], labels)
    with pytest.raises(ShapeError):
        MatryoshkaHead((4, 2), 5)
