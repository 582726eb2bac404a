"""The losses that train nano, against plain arithmetic."""

from __future__ import annotations

import math

import pytest

from retrieval.errors import ShapeError

torch = pytest.importorskip("torch", reason="training needs torch")

from retrieval.training import MatryoshkaLoss, info_nce, mean_cosine_gap, similarity_distillation  # noqa: E402


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


def test_info_nce_is_least_for_the_right_pairing_and_log_n_without_any():
    rows = torch.eye(5)

    assert info_nce(rows, rows, temperature=0.1) < info_nce(rows, rows.roll(1, 0), temperature=0.1)
    same = torch.ones(5, 4) / 2
    assert float(info_nce(same, same, temperature=0.1)) == pytest.approx(math.log(5), abs=1e-5)


def test_distillation_is_least_where_the_student_is_the_teacher():
    torch.manual_seed(0)
    bank = torch.nn.functional.normalize(torch.randn(20, 6), dim=1)
    teacher = torch.nn.functional.normalize(torch.randn(4, 6), dim=1)
    target = (teacher @ bank.T / 0.1).softmax(1)
    entropy = -(target * target.log()).sum(1).mean()

    same = similarity_distillation(teacher, bank, target, temperature=0.1)

    torch.testing.assert_close(same, entropy)
    assert similarity_distillation(-teacher, bank, target, temperature=0.1) > same
