"""How much faster than open_clip's own preprocessing is ours on photographs of 12 megapixels?

    python -m benchmarks.encode.bench_decode [--images 8] [--repeats 7]

Nobody may redistribute a folder of camera originals, so real photographs that scikit-image ships are enlarged to
4000 x 3000 by Lanczos and saved as JPEG, quality 90: the sizes are a camera's, the finest detail is not (fewer nonzero
coefficients, which favours neither side much). Ours reads, decodes and orients with `retrieval.sources.decoding.decoder.decode` and resizes and
normalises to (3, 224, 224) with Pillow and numpy; theirs is `Image.open(path)` and `open_clip.image_transform(224, is_train=False)`.
Both bicubic, one thread, files in the page cache. The mean difference between both outputs is printed in normalised units.

Expected: about 5 times as fast (at least 4; one thread, AMD EPYC).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.frame import alternate, ratio, save, watch
from retrieval.sources.decoding.decoder import decode

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 224
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)  # OpenAI CLIP's normalisation, RGB
STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle_left")


def ours(path: Path) -> NDArray[np.float32]:
    """Return ``(3, 224, 224)`` float32: short side to 224, centre crop, normalised."""
    image = decode(path, decode_size=2 * SIZE)
    width, height = image.size
    short = min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    square = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=(left, top, left + short, top + short))
    pixels = np.asarray(square, dtype=np.float32)  # (h, w, 3)
    return np.ascontiguousarray(((pixels / 255 - MEAN) / STD).transpose(2, 0, 1))


def photographs(directory: Path, count: int) -> list[Path]:
    """Make ``count`` JPEGs of 4000 x 3000 from the photographs that scikit-image ships."""
    import skimage

    shipped = Path(skimage.__file__).parent / "data"
    sources = [path for name in PHOTOGRAPHS for path in sorted(shipped.glob(f"{name}.*"))]
    paths = []
    for number in range(count):
        source = Image.open(sources[number % len(sources)]).convert("RGB")
        width, height = source.size
        crop = min(width / 4, height / 3)
        box = (
            (width - 4 * crop) / 2,
            (height - 3 * crop) / 2,
            (width + 4 * crop) / 2,
            (height + 3 * crop) / 2,
        )
        path = directory / f"{number:03}.jpg"
        source.resize((4000, 3000), Image.Resampling.LANCZOS, box=box).save(path, quality=90)
        paths.append(path)
    return paths


def main() -> None:
    """Measure, print the ratio and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7)
    chosen = parser.parse_args()

    import open_clip
    import torch

    torch.set_num_threads(1)
    transform = open_clip.image_transform(SIZE, is_train=False)

    def theirs(path: Path) -> NDArray[np.float32]:
        with Image.open(path) as image:
            array: NDArray[np.float32] = transform(image).numpy()
            return array

    with tempfile.TemporaryDirectory() as directory:
        paths = photographs(Path(directory), chosen.images)
        difference = float(np.mean([np.abs(ours(path) - theirs(path)).mean() for path in paths]))
        contenders = {
            "retrieval": lambda: [ours(path) for path in paths],
            "open_clip": lambda: [theirs(path) for path in paths],
        }
        with watch() as load:
            times = alternate(contenders, repeats=chosen.repeats)
        megabytes = sum(path.stat().st_size for path in paths) / len(paths) / 1e6

    faster = ratio(times["open_clip"], times["retrieval"])
    rates = {name: round(len(paths) / time.median, 2) for name, time in times.items()}
    print(f"images/s, one thread: retrieval {rates['retrieval']}, open_clip {rates['open_clip']}")
    print(f"retrieval is {faster.median:.2f} times as fast ({faster.min:.2f} to {faster.max:.2f})")
    print(
        f"mean difference of the outputs: {difference:.4f} (normalised units); others kept {load.others} cores busy"
    )
    path = save(
        "decode",
        load=load,
        parameters={
            "images": len(paths),
            "pixels": "4000 x 3000 (enlarged)",
            "megabytes": round(megabytes, 2),
            "size": SIZE,
        },
        times=times,
        images_per_second=rates,
        ratios={"open_clip over retrieval": faster},
        mean_difference=difference,
    )
    print(f"kept in benchmarks/results/{path.name}")


if __name__ == "__main__":
    main()
