"""How fast whole calls are, and what a copy looks like."""

from __future__ import annotations

import shutil
import time
from typing import Any

import numpy as np
from PIL import Image

import retrieval
from benchmarks.activation.bench import Bench
from benchmarks.frame import spread

IMAGES, SIDE = 32, 512
PICTURE_SIDE = 320


def speed(bench: Bench, collection: retrieval.Collection, repeats: int) -> dict[str, Any]:
    """Measure whole calls on images enlarged so that their short side is 512 pixels, the square middle of each."""
    folder, out = bench.work / "large", bench.work / "large-out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    files = bench.draw(collection).files[:IMAGES]
    for number, file in enumerate(files):
        with Image.open(file) as image:
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            square = image.convert("RGB").crop((left, top, left + side, top + side))
            square.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")
    rates: dict[str, list[float]] = {"plain": [], "robust": []}
    seconds: dict[str, list[float]] = {"plain": [], "robust": []}
    for _ in range(repeats):
        for name, values in rates.items():
            shutil.rmtree(out, ignore_errors=True)
            began, worked = time.perf_counter(), time.process_time()
            results = retrieval.activate(folder, out=out, index=collection.directory, robust=name == "robust")
            made = sum(result.output is not None for result in results)
            values.append(made / (time.perf_counter() - began))
            seconds[name].append((time.process_time() - worked) / made)
    return {
        "images": len(files),
        "pixels": [SIDE, SIDE],
        "images a second": {name: spread(values) for name, values in rates.items()},
        "CPU seconds an image": {name: spread(values) for name, values in seconds.items()},
    }


def picture(bench: Bench, collection: retrieval.Collection, name: str) -> dict[str, Any]:
    """Show before, after and ten times the difference of NASA's portrait of Eileen Collins (public domain, in scikit-image)."""
    from skimage.data import astronaut

    from retrieval.activation.pixels.fidelity import psnr, ssim

    folder = bench.work / "picture"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    Image.fromarray(astronaut()).resize((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS).save(
        folder / "before.png"
    )
    (result,) = retrieval.activate(
        folder / "before.png", out=folder / "out", index=collection.directory, robust=True
    )
    if result.output is None:
        return {"refused": result.reason}
    before, after = (
        np.asarray(Image.open(path).convert("RGB")) for path in (folder / "before.png", result.output)
    )
    difference = np.clip(128 + 10 * (after.astype(int) - before), 0, 255).astype(np.uint8)
    sheet = Image.fromarray(np.concatenate([before, after, difference], axis=1))
    sheet.save(bench.work / f"{name}.jpg", quality=90, subsampling=0, optimize=True)
    return {
        "shows": "before, after, 128 + 10 x the difference; --robust",
        "picture": "NASA's portrait of Eileen Collins, public domain, skimage.data.astronaut()",
        "psnr": round(psnr(before, after), 2),
        "ssim": round(ssim(before, after), 4),
        "cosine": [result.cosine_before, result.cosine_after],
    }
