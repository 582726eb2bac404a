"""Train small networks that tell relations from signs; they are few numbers, so numpy does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.matching.calibration import RELATIONS, Network

HIDDEN = 16
EPOCHS = 150
AT_ONCE = 256
RATE = 0.01
DECAY = 1e-3


def trained(
    signs: NDArray[np.float64], relations: NDArray[np.int64], weights: NDArray[np.float64], *, seed: int
) -> Network:
    """Train one network by Adam on the cross entropy, its rate falling as a cosine.

    Args:
        signs: ``(n, s)`` scaled.
        relations: ``(n,)`` places in `RELATIONS`.
        weights: ``(n,)`` of the rows.
        seed: of the first weights and of the order.
    """
    rng = np.random.default_rng(seed)
    width = signs.shape[1]
    layers = [
        rng.normal(0, width**-0.5, (width, HIDDEN)),
        np.zeros(HIDDEN),
        rng.normal(0, HIDDEN**-0.5, (HIDDEN, len(RELATIONS))),
        np.zeros(len(RELATIONS)),
    ]
    first, second = [np.zeros_like(one) for one in layers], [np.zeros_like(one) for one in layers]
    weights, targets = weights / weights.mean(), np.eye(len(RELATIONS))[relations]
    step = 0
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(signs))
        for batch in np.array_split(order, max(1, len(order) // AT_ONCE)):
            step += 1
            slopes = _slopes(layers, signs[batch], targets[batch], weights[batch])
            for place, slope in enumerate(slopes):
                first[place] = 0.9 * first[place] + 0.1 * slope
                second[place] = 0.999 * second[place] + 0.001 * slope**2
                moved = first[place] / (1 - 0.9**step) / (np.sqrt(second[place] / (1 - 0.999**step)) + 1e-8)
                layers[place] = layers[place] - rate * moved
    hidden, hidden_bias, output, output_bias = layers
    return Network(hidden=hidden, hidden_bias=hidden_bias, output=output, output_bias=output_bias)


def _slopes(
    layers: list[NDArray[np.float64]], x: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return the gradient of the mean cross entropy and of the weights' decay."""
    inner = np.tanh(x @ layers[0] + layers[1])  # (b, h)
    outputs = inner @ layers[2] + layers[3]  # (b, 3)
    odds = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    off = (odds / odds.sum(axis=1, keepdims=True) - y) * (w / len(x))[:, None]  # (b, 3)
    back = off @ layers[2].T * (1 - inner**2)  # (b, h)
    return [
        x.T @ back + DECAY * layers[0],
        back.sum(axis=0),
        inner.T @ off + DECAY * layers[2],
        off.sum(axis=0),
    ]
