"""Choose photographs that nothing was fitted on, and name their alterations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL.Image import Image as Picture

from tools.fit_matching.alterations import COVERS, MORE, PASTES, PLAIN, Alteration, collage, pasted
from tools.fit_matching.pairs import is_for_fitting, opened
from tools.train_nano.inputs.data import list_photos

__all__ = ["SEED", "names", "opened", "ways"]

SEED = 7


@cache
def names(data: Path) -> list[str]:
    """Return photographs that nano was not trained on and the calibration not fitted on, in a drawn order."""
    free = [
        photo.file for photo in list_photos(data) if photo.split != "train" and not is_for_fitting(photo.file)
    ]
    return [free[place] for place in np.random.default_rng(SEED).permutation(len(free))]


def ways(others: list[Picture]) -> Mapping[str, Alteration]:
    """Name every alteration that is measured."""
    pastes = {f"pasted at {side:.2f}": partial(_pasted, side=side, others=others) for side in PASTES}
    return {**PLAIN, **MORE, **COVERS, **pastes, "collage": partial(collage, others=others)}


def _pasted(image: Picture, rng: np.random.Generator, *, side: float, others: list[Picture]) -> Picture:
    return pasted(image, rng, side=side, ground=others[rng.integers(len(others))])
