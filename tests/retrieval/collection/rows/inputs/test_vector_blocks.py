"""Vectors are read from what other libraries make."""

from __future__ import annotations

import numpy as np
import pytest

import retrieval
from retrieval.collection.rows.inputs.vector_blocks import VectorBlocks
from retrieval.errors import OptionError, ShapeError
from tests.strategies import unit

ROWS = unit(3, 8, seed=0)


def stored(vectors):
    return np.concatenate([block for _, block in VectorBlocks(vectors).blocks()])


def test_masked_numbers_are_refused_and_an_empty_mask_is_none():
    mask = np.zeros(ROWS.shape, np.bool_)
    np.testing.assert_array_equal(stored(np.ma.array(ROWS, mask=mask)), stored(ROWS))
    mask[1, 2] = True
    with pytest.raises(ShapeError, match=r"masked; leave those rows out, as `vectors\[~vectors.mask"):
        VectorBlocks(np.ma.array(ROWS, mask=mask))


def test_tensors_of_any_precision_and_with_gradients_are_read():
    torch = pytest.importorskip("torch")
    rows = torch.tensor(ROWS, requires_grad=True)
    np.testing.assert_array_equal(stored(rows), stored(ROWS))
    np.testing.assert_allclose(stored(rows.bfloat16()), stored(ROWS), atol=4e-3)
    with pytest.raises(ShapeError, match="cannot be read as an array of real numbers"):
        VectorBlocks(torch.eye(8).to_sparse())


def test_keys_that_are_nested_thousands_deep_are_an_error(tmp_path):
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    with retrieval.create(tmp_path, dim=8) as photos:
        with pytest.raises(OptionError, match="a key is text, bytes or an integer"):
            photos.add(ROWS[:1], keys=deep)
        assert len(photos) == 0


def test_a_width_that_no_encoder_has_is_refused(tmp_path):
    with pytest.raises(OptionError, match="dim is 1000000000; it must be at most 65536"):
        retrieval.create(tmp_path, dim=10**9)
    assert not any(tmp_path.iterdir())
