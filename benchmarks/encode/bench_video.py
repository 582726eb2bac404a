"""How fast is a picture a second of a film, one thread, beside ffmpeg's own filter `fps=1`?

    python -m benchmarks.encode.bench_video [--seconds 60] [--repeats 7]

The film is made: photographs that scikit-image ships, over which a camera moves, with grain, 1280 x 720, 25 frames a second, coded as
H.264 by x264's defaults (groups of at most 250 frames, three B-frames). ffmpeg comes from the package `imageio-ffmpeg`. Both read the
file, choose 1 frame a second, convert it to RGB at full size and throw it away, with one thread of the decoder; ffmpeg's process is
started anew for each run (0.05 s). Ours makes Pillow images, and is run with and without the comparison of neighbours.

Expected: ffmpeg takes 1.5 times the CPU time of ours (at least 0.9).
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.frame import Spread, alternate, ratio, save, spread, watch
from retrieval.sources.media import moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTH, HEIGHT, RATE = 1280, 720, 25
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle_left")
SHOT = 6  # seconds from one photograph to the next
GRAIN = 3.0  # levels


def frames(seconds: int) -> Iterator[bytes]:
    """Yield the frames of the film as RGB: over each photograph the camera moves and comes nearer."""
    import skimage

    shipped = Path(skimage.__file__).parent / "data"
    draw = np.random.default_rng(0)
    grains = [draw.normal(0, GRAIN, (HEIGHT, WIDTH, 1)).astype(np.float32) for _ in range(7)]
    for number in range(seconds * RATE):
        shot, at = divmod(number, SHOT * RATE)
        name = PHOTOGRAPHS[shot % len(PHOTOGRAPHS)]
        picture = Image.open(min(shipped.glob(f"{name}.*"))).convert("RGB")
        part = at / (SHOT * RATE)
        unit = min(picture.width / 16, picture.height / 9) * (0.95 - 0.25 * part)
        left, top = (picture.width - 16 * unit) * part, (picture.height - 9 * unit) * (1 - part)
        box = (left, top, left + 16 * unit, top + 9 * unit)
        shown = np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=box), np.float32)
        yield np.clip(shown + grains[number % len(grains)], 0, 255).astype(np.uint8).tobytes()


def make(ffmpeg: str, path: Path, seconds: int) -> None:
    """Encode the film by ffmpeg."""
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE), "-i", "-"]
    coded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-threads", "1", str(path)]
    with subprocess.Popen([ffmpeg, "-v", "error", *raw, *coded], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for frame in frames(seconds):
            process.stdin.write(frame)


def chosen_by_ffmpeg(ffmpeg: str, path: Path) -> None:
    """Have ffmpeg write a frame a second as RGB to nowhere."""
    one = ["-threads", "1"]
    chosen = ["-vf", "fps=1", *one, "-pix_fmt", "rgb24", "-f", "rawvideo", "/dev/null"]
    subprocess.run(
        [ffmpeg, "-v", "error", "-y", "-filter_threads", "1", *one, "-i", str(path), *chosen],
        check=True,
    )


def timed(work: Callable[[], object], taken: list[float]) -> Callable[[], None]:
    """Return the work, which adds the CPU seconds of this process and of its children to a list."""

    def run() -> None:
        before = cpu()
        work()
        taken.append(cpu() - before)

    return run


def cpu() -> float:
    """Return the CPU seconds of this process and of its children."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def main() -> None:
    """Measure, print the ratios and keep the numbers."""
    import imageio_ffmpeg

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    taken: dict[str, list[float]] = {"ffmpeg": [], "retrieval": [], "retrieval, neighbours compared": []}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "film.mp4"
        make(ffmpeg, path, asked.seconds)
        work = [
            lambda: chosen_by_ffmpeg(ffmpeg, path),
            lambda: sum(1 for _ in moments(path, every=1.0, distinct=False)),
            lambda: sum(1 for _ in moments(path, every=1.0)),
        ]
        contenders = {name: timed(one, taken[name]) for name, one in zip(taken, work, strict=True)}
        with watch() as load:
            times = alternate(contenders, repeats=asked.repeats)
        pictures = sum(1 for _ in moments(path, every=1.0, distinct=False))
        megabytes = path.stat().st_size / 1e6
    used: dict[str, Spread] = {
        name: spread(values[1:]) for name, values in taken.items()
    }  # without the warm-up
    ratios = {}
    for name in list(taken)[1:]:
        ratios[f"ffmpeg over {name}, wall"] = ratio(times["ffmpeg"], times[name])
        ratios[f"ffmpeg over {name}, CPU"] = ratio(used["ffmpeg"], used[name])
    for name, found in ratios.items():
        print(f"{name}: {found.median:.2f} ({found.min:.2f} to {found.max:.2f})")
    print(
        f"{pictures} pictures of {asked.seconds} s, {megabytes:.1f} MB; others kept {load.others} cores busy"
    )
    kept = save(
        "video",
        load=load,
        parameters={
            "seconds": asked.seconds,
            "pixels": f"{WIDTH} x {HEIGHT}",
            "rate": RATE,
            "megabytes": round(megabytes, 1),
            "pictures": pictures,
            "ffmpeg": imageio_ffmpeg.get_ffmpeg_version(),
        },
        times=times,
        cpu_seconds=used,
        ratios=ratios,
    )
    print(f"kept in benchmarks/results/{kept.name}")


if __name__ == "__main__":
    main()
