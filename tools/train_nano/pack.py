"""Pack what training reads into one small file, to be carried to a machine with an accelerator."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.train_nano.targets.places import AXES, GRID
from tools.train_nano.tower.train import TrainingSet

LIMIT = 50 * 2**20


def pack(data: TrainingSet, out: Path, *, side: int = 112, quality: int = 45) -> int:
    """Write the rows that training and its checks need as WebP, with 8-bit targets; gives the file's size in bytes.

    The views that the teacher saw are left out: they would be three times as large as the photographs.

    Raises:
        ValueError: the file would pass 50 MiB; take a smaller side or quality.
    """
    rows = np.unique(np.concatenate([data.train, *data.check.values()]))

    def compress(row: int) -> bytes:
        stream = io.BytesIO()
        image = Image.fromarray(data.pixels[row]).resize((side, side), Image.Resampling.BICUBIC)
        image.save(stream, "WEBP", quality=quality, method=4)
        return stream.getvalue()

    with ThreadPoolExecutor() as pool:
        pictures = list(pool.map(compress, rows))
    targets = data.targets[rows]
    scale = np.abs(targets).max(1) / 127
    arrays = {
        "pictures": np.frombuffer(b"".join(pictures), np.uint8),
        "ends": np.cumsum([len(picture) for picture in pictures]),
        "targets": np.rint(targets / scale[:, None]).astype(np.int8),
        "scale": scale.astype(np.float32),
        "asked": data.asked,
        "label_codes": data.label_codes[rows],
        "train": np.searchsorted(rows, data.train),
        "weights": data.weights,
    } | {f"check:{name}": np.searchsorted(rows, check) for name, check in data.check.items()}
    size = sum(array.nbytes for array in arrays.values())
    if size > LIMIT:
        raise ValueError(
            f"{out} would have {size / 2**20:.1f} MiB, more than 50; give a smaller --side or --quality"
        )
    with out.open("wb") as file:
        np.savez(file, **arrays)
    return out.stat().st_size


def unpack(source: Path) -> TrainingSet:
    """Read a packed file back, pictures decoded."""
    arrays = np.load(source)
    pictures, ends = arrays["pictures"].tobytes(), arrays["ends"].tolist()

    def decode(i: int) -> NDArray[np.uint8]:
        picture = pictures[ends[i - 1] if i else 0 : ends[i]]
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))

    with ThreadPoolExecutor() as pool:
        pixels = np.stack(list(pool.map(decode, range(len(ends)))))
    return TrainingSet(
        pixels=pixels,
        targets=arrays["targets"] * arrays["scale"][:, None],
        views=np.empty((0, *pixels.shape[1:]), np.uint8),
        view_targets=np.empty((0, arrays["targets"].shape[1]), np.float32),
        view_places=np.empty((0, AXES, GRID, GRID), np.float16),
        asked=arrays["asked"],
        label_codes=arrays["label_codes"],
        train=arrays["train"],
        weights=arrays["weights"],
        check={
            name.removeprefix("check:"): arrays[name] for name in arrays.files if name.startswith("check:")
        },
    )
