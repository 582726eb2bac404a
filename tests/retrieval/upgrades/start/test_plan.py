"""Of several ways the one is taken that finds most, at the least cost, without losing which image is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.vectors.space import Space
from indexes.vectors.transforms import Transform
from retrieval.collection import Fitted
from retrieval.upgrades.start.plan import best_of
from retrieval.upgrades.trial.measurement import Measured

SPACE = Space(name="space", dim=8, fingerprint="space")


def way(method, *, finds, itself, rank=None, both=False):
    """Return a way, and what was measured of it."""
    factors = None if rank is None else (np.zeros((8, rank), np.float32), np.zeros((rank, 8), np.float32))
    step = Transform(
        source=SPACE, target=SPACE, method=method, matrix=np.zeros((8, 8), np.float32), factors=factors
    )
    fitted = Fitted(method=method, image=step, back=step, alpha=0.5 if both else None)
    result = Measured(
        method=method,
        old_old=0.5,
        new_old=finds,
        new_new=0.8,
        gain=None,
        regression_rate=0.0,
        map_microseconds=1.0,
        compatible=True,
        finds_itself=itself,
    )
    return fitted, result


def test_a_dearer_way_has_to_find_clearly_more():
    dear, cheap = way("ridge", finds=0.709, itself=1.0), way("procrustes", finds=0.7, itself=1.0, rank=2)

    assert best_of([dear, cheap]) is cheap
    assert best_of([way("ridge", finds=0.72, itself=1.0), cheap])[0].method == "ridge"


@pytest.mark.parametrize(
    ("single", "both", "chosen"),
    [
        ((0.7, 0.6), (0.7, 1.0), "slerp"),  # the map loses which image it is
        ((0.7, 0.6), (0.68, 1.0), "ridge"),  # with both encoders less is found
        ((0.7, 0.95), (0.7, 1.0), "ridge"),  # the map keeps it well enough
        ((0.7, 0.85), (0.7, 0.9), "ridge"),  # a second encoder would hardly help
        ((0.7, 0.95), (0.75, 1.0), "slerp"),  # both find clearly more
    ],
)
def test_both_encoders_answer_where_a_map_alone_loses_which_image_is_asked_for(single, both, chosen):
    candidates = [
        way("ridge", finds=single[0], itself=single[1]),
        way("slerp", finds=both[0], itself=both[1], both=True),
    ]

    assert best_of(candidates)[0].method == chosen


def test_an_encoder_that_extends_the_old_space_needs_no_map():
    extending = way("prefix", finds=0.6, itself=0.5)

    assert best_of([extending, way("slerp", finds=0.9, itself=1.0, both=True)]) is extending
