"""What is measured of queries in a gallery means what it says."""

from __future__ import annotations

import numpy as np

from indexes.migration import alignment
from indexes.migration.alignment import Probe
from indexes.vectors.arrays import unit_rows


def draw(*shape, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal(shape))


def test_slerp_runs_along_the_great_circle():
    u, v = draw(50, 8), draw(50, 8, seed=1)
    angle = np.arccos(np.einsum("nd,nd->n", u, v))

    for alpha in (0.0, 0.25, 0.5, 1.0):
        q = alignment.slerp(u, v, alpha)
        np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(
            np.arccos(np.einsum("nd,nd->n", u, q).clip(-1, 1)), alpha * angle, atol=2e-3
        )
    np.testing.assert_allclose(alignment.slerp(u, u, 0.5), u, atol=1e-4)  # no direction to turn in


def test_a_probe_without_labels_looks_for_the_target_itself():
    gallery = draw(30, 8)
    probe = Probe(
        gallery_old=gallery, gallery_new=gallery, old=gallery[:5], new=gallery[:5], target=np.arange(5)
    )

    assert probe.right(gallery[:5], gallery).all()
    assert not probe.right(gallery[5:10], gallery).any()


def test_a_probe_with_labels_never_counts_the_query_itself():
    gallery = unit_rows(np.eye(4, 8))
    labels = np.array([0, 0, 1, 1])
    probe = Probe(
        gallery_old=gallery, gallery_new=gallery, old=gallery, new=gallery, target=np.arange(4), labels=labels
    )
    towards_mate = unit_rows(gallery + 0.5 * gallery[[1, 0, 3, 2]])

    assert probe.right(towards_mate, gallery).all()
    assert not probe.right(unit_rows(gallery + 0.5 * gallery[[2, 3, 0, 1]]), gallery).any()


def test_what_a_query_was_made_from_is_found_itself_whatever_labels_say():
    gallery = np.eye(4, dtype=np.float32)
    queries = unit_rows(gallery[[0, 2]] + 0.1 * gallery[[1, 3]])
    asked = {"gallery_old": gallery, "gallery_new": gallery, "old": queries, "new": queries}
    probe = Probe(**asked, target=np.array([0, 3]), labels=np.array([0, 0, 1, 1]))

    assert probe.itself(queries, gallery).tolist() == [True, False]


def test_overlap_counts_shares_in_any_order():
    assert alignment.overlap(np.array([[1, 2, 3, 4]]), np.array([[4, 1, 9, 8]])) == 0.5


def test_settings_are_chosen_by_labels_first_and_then_by_how_far_up_the_querys_own_image_is():
    gallery = unit_rows(np.eye(4, 8))
    probe = Probe(
        gallery_old=gallery,
        gallery_new=gallery,
        old=gallery,
        new=gallery,
        target=np.arange(4),
        labels=np.array([0, 0, 1, 1]),
    )
    mates, itself = gallery[[1, 0, 3, 2]], np.eye(4)
    blurred, sharp = mates @ gallery.T, mates @ gallery.T + 2 * itself

    assert probe.worth(sharp) == 1.1
    assert 1 < probe.worth(blurred) < probe.worth(sharp)
    assert probe.worth(gallery[[2, 3, 0, 1]] @ gallery.T + 2 * itself) == 0.1
    assert probe.score(mates) > 1
    np.testing.assert_array_equal(sharp, mates @ gallery.T + 2 * itself)  # left as it was
