"""Altered views of the training photographs that the teacher embeds too, so that its targets stay true to what is seen.

Cropping or mixing an image changes what it shows. A student that must give a crop the whole image's vector learns the
wrong function; one that is shown the teacher's own answer for the crop goes on learning for as long as there are new
views ("function matching": Beyer et al., 2022, arXiv 2106.05237). The teacher is slow, so views are made once.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.train_nano.inputs.data import Photo, everyday
from tools.train_nano.targets.places import AXES, GRID, Places
from tools.train_nano.targets.teachers import TEACHER_SIDE, load_mobilenet, mobilenet_session

VIEW_SIDE = 128
MIXED_SHARE = 0.5
PASTED_SHARE = 0.5  # of the mixed
SEED = 13


def crop(pixels: NDArray[np.uint8], least: float, numbers: np.random.Generator) -> Image.Image:
    """Cut a random part of at least ``least`` of the area out of a square image, perhaps turned a little or mirrored."""
    side = pixels.shape[0]
    area = math.exp(numbers.uniform(math.log(least), 0.0))
    stretch = math.exp(numbers.uniform(-0.2, 0.2))
    wide, high = min(1.0, math.sqrt(area) * stretch), min(1.0, math.sqrt(area) / stretch)
    left, top = numbers.uniform(0, 1 - wide), numbers.uniform(0, 1 - high)
    angle = math.radians(numbers.uniform(-25, 25)) if numbers.random() < 0.25 else 0.0
    mirror = -1.0 if numbers.random() < 0.5 else 1.0
    cos, sin = math.cos(angle), math.sin(angle)
    scale_x, scale_y = side * wide / VIEW_SIDE, side * high / VIEW_SIDE
    a, b, d, e = scale_x * cos * mirror, -scale_x * sin, scale_y * sin * mirror, scale_y * cos
    middle = VIEW_SIDE / 2
    c = side * (left + wide / 2) - a * middle - b * middle
    f = side * (top + high / 2) - d * middle - e * middle
    return Image.fromarray(pixels).transform(
        (VIEW_SIDE, VIEW_SIDE), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC
    )


def view_sources(photos: list[Photo], *, rounds: int = 2, scene_rounds: int = 48) -> NDArray[np.int64]:
    """Give the photograph of each view: ``rounds`` views of every training photograph, then ``scene_rounds`` of some.

    Photographs of everyday scenes are few and the nearest to what people search: without more views a student learns
    them by heart.
    """
    train = np.flatnonzero([photo.split == "train" for photo in photos])
    few = train[everyday([photos[i] for i in train])]
    return np.concatenate([np.tile(train, rounds), np.tile(few, scene_rounds)])


def _draw(view: int) -> tuple[np.random.Generator, bool]:
    numbers = np.random.default_rng((SEED, view))
    return numbers, bool(numbers.random() < MIXED_SHARE)


def is_mixed(view: int) -> bool:
    """Tell whether view number ``view`` is of two photographs."""
    return _draw(view)[1]


def make_view(
    pixels: NDArray[np.uint8], sources: NDArray[np.int64], pool: NDArray[np.int64], view: int
) -> NDArray[np.uint8]:
    """Make view number ``view``, always the same: a crop of photograph ``sources[view]``, often mixed with one of ``pool``.

    A mixed view is the weighted mean of crops of two photographs (Zhang et al., 2018, "mixup"), or the other one covers a part of the
    first (Yun et al., 2019, "CutMix"): a thing among others, smaller than where it is the subject, as in everyday scenes.
    """
    numbers, mixed = _draw(view)
    own = pixels[sources[view]]
    if not mixed:
        return np.asarray(crop(own, 0.2, numbers))
    other = pixels[pool[numbers.integers(len(pool))]]
    first, second = crop(own, 0.4, numbers), crop(other, 0.4, numbers)
    if numbers.random() >= PASTED_SHARE:
        return np.asarray(Image.blend(first, second, numbers.uniform(0.2, 0.8)))
    wide, high = (round(VIEW_SIDE * numbers.uniform(0.35, 0.7)) for _ in range(2))
    left, top = (int(numbers.integers(VIEW_SIDE - side + 1)) for side in (wide, high))
    first.paste(second.resize((wide, high), Image.Resampling.BICUBIC), (left, top))
    return np.asarray(first)


def view_features(
    data: Path,
    pixels: NDArray[np.uint8],
    sources: NDArray[np.int64],
    folder: Path,
    *,
    places: Places | None = None,
    batch: int = 16,
    note: Callable[[str], None] = print,
) -> tuple[NDArray[np.uint8], NDArray[np.float16], NDArray[np.float16]]:
    """Make a view of each row of ``sources`` and embed it once with the teacher; resumable, mapped.

    Args:
        sources: Rows of ``pixels``; one that comes again gives another view.
        places: The axes along which the teacher's maps are kept too; none keeps no maps.

    Returns:
        The views, ``(n, 128, 128, 3)`` uint8, the teacher's rows, ``(n, 1280)`` float16, and its maps, ``(n, 128, 7, 7)``
        float16, or none of them.
    """
    files = folder / "views.npy", folder / "views_mobilenet.npy", folder / "views_places.npy"
    done = folder / "views.done.json"
    count = len(sources)
    facts = {"sources": hashlib.sha256(sources.tobytes()).hexdigest(), "seed": SEED}
    start = 0
    if done.exists():
        found = json.loads(done.read_text())
        rows = found.pop("rows")
        start = rows if found == facts and (places is None or files[2].exists()) else 0
    if start < count:
        mode = "r+" if start else "w+"
        views = np.lib.format.open_memmap(
            files[0], mode=mode, dtype=np.uint8, shape=(count, VIEW_SIDE, VIEW_SIDE, 3)
        )
        features = np.lib.format.open_memmap(files[1], mode=mode, dtype=np.float16, shape=(count, 1280))
        if places is None:
            files[2].unlink(missing_ok=True)  # of other views
        else:
            maps = np.lib.format.open_memmap(
                files[2], mode=mode, dtype=np.float16, shape=(count, AXES, GRID, GRID)
            )
        pool = np.unique(sources)
        session = mobilenet_session(load_mobilenet(data), threads=1)

        def embed(first: int) -> int:
            last = min(first + batch, count)
            for i in range(first, last):
                views[i] = make_view(pixels, sources, pool, i)
            large = [
                Image.fromarray(view).resize((TEACHER_SIDE, TEACHER_SIDE), Image.Resampling.BICUBIC)
                for view in views[first:last]
            ]
            x = np.stack([np.asarray(image) for image in large]).transpose(0, 3, 1, 2).astype(np.float32)
            features[first:last], unpooled = session.run(["y", "map"], {"x": x / np.float32(127.5) - 1})
            if places is not None:
                maps[first:last] = places.keep(unpooled)
            return last

        with ThreadPoolExecutor(os.cpu_count()) as workers:
            for step, rows in enumerate(workers.map(embed, range(start, count, batch))):
                if step % 512 == 511 or rows == count:
                    features.flush()
                    done.write_text(json.dumps({**facts, "rows": rows}))
                    note(f"teacher features of {rows} of {count} views")
    views, features = (np.load(file, mmap_mode="r") for file in files[:2])
    return (
        views,
        features,
        np.load(files[2], mmap_mode="r") if places else np.empty((0, AXES, GRID, GRID), np.float16),
    )
