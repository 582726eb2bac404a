"""Do views find small crops, and pictures inside pictures, and what do they cost?

Photographs that `nano` was not trained on lie among others in one collection: originals, collages that show them small, and
the rest of the gallery. Asked with a crop of a tenth, the original has to come; with an original, the collage that shows it;
with a collage, the original that it shows. What else would be right is masked.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import retrieval
from benchmarks.copies.photographs import SEED, names, opened
from benchmarks.copies.run import Run
from benchmarks.frame import alternate, ratio
from tools.fit_matching.alterations import PASTES, cropped, pasted
from tools.train_nano.inputs.data import list_photos

GALLERY, PER_IMAGE = 10_000, 16
AMONG = 50
GROUNDS = 100
"""Pictures that others are pasted into."""

Way = tuple[Callable[[int], Image.Image], Callable[[int], str], np.ndarray]
ORIGINALS, OTHERS = "originals", "others"


def measure(run: Run) -> dict[str, Any]:
    """Build a collection with views, and ask it with and without them; one that is in the work folder is taken up again."""
    chosen, gallery = names(run.data), run.gallery or GALLERY
    folder = run.work / f"views-{run.number}-{gallery}"
    _fill(folder, run.data, chosen, number=run.number, gallery=gallery)
    before = retrieval.build_index(folder, progress=False)
    began = time.perf_counter()
    report = retrieval.build_index(folder, views=PER_IMAGE, progress=_said)
    took = time.perf_counter() - began
    plain = run.work / "without views"
    shutil.rmtree(plain, ignore_errors=True)
    shutil.copytree(folder / ".retrieve", plain, ignore=shutil.ignore_patterns("views"))
    with retrieval.open(folder) as viewed, retrieval.open(plain, root=folder) as whole:
        asked, found = _found(_ways(viewed, run.data, chosen, folder), viewed, whole, run)
        costs = _costs(viewed, whole)
    facts: dict[str, Any] = {
        "originals": run.number,
        "asked": asked,
        "gallery": report.images,
        "views": report.views,
        "build_seconds": {"images": before.seconds, "views": round(took, 1)},
        "encoded_at_once": {"images": before.encoded, "views": (report.views or {})["encoded"]},
        **costs,
        "found": found,
    }
    print(json.dumps(facts), flush=True)
    return facts


def _said(progress: retrieval.Progress) -> None:
    if progress.message:
        print(progress.message, flush=True)


def _fill(folder: Path, data: Path, chosen: Sequence[str], *, number: int, gallery: int) -> None:
    """Write the collection's images, unless they are there."""
    done = folder / "done"
    if done.exists():
        return
    taken = set(chosen[: number + GROUNDS])
    rest = [name for name in [*chosen, *(photo.file for photo in list_photos(data))] if name not in taken]
    for part, some in ((ORIGINALS, chosen[:number]), (OTHERS, list(dict.fromkeys(rest))[: gallery - number])):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for at, name in enumerate(some):
            shutil.copy(data / name, folder / part / f"{at:05}.webp")
    grounds = chosen[number : number + GROUNDS]
    for side in PASTES:
        (folder / f"pasted {side:.2f}").mkdir(exist_ok=True)
        for at, name in enumerate(chosen[:number]):
            rng = np.random.default_rng([SEED, at, round(100 * side)])
            ground = opened(data, grounds[int(rng.integers(len(grounds)))])
            collage = pasted(opened(data, name), rng, side=side, ground=ground)
            collage.save(folder / f"pasted {side:.2f}" / f"{at:05}.png")
    done.touch()


def _ways(photos: retrieval.Collection, data: Path, chosen: Sequence[str], folder: Path) -> dict[str, Way]:
    """Name what is asked: for each, the query of an original, and what has to come among which rows."""
    paths = np.array(list(photos))
    gallery = np.char.startswith(paths, ORIGINALS) | np.char.startswith(paths, OTHERS)
    others = np.char.startswith(paths, OTHERS)

    def crop(at: int) -> Image.Image:
        return cropped(opened(data, chosen[at]), np.random.default_rng([SEED, at]), area=0.1)

    ways: dict[str, Way] = {"crop 10 %": (crop, lambda at: f"{ORIGINALS}/{at:05}.webp", gallery)}
    for side in PASTES:
        part = f"pasted {side:.2f}"
        collages = others | np.char.startswith(paths, part)
        ways[f"{part}, asked with the picture"] = (
            lambda at: opened(data, chosen[at]),
            lambda at, part=part: f"{part}/{at:05}.png",
            collages,
        )
        ways[f"{part}, asked with the collage"] = (
            lambda at, part=part: opened(folder, f"{part}/{at:05}.png"),
            lambda at: f"{ORIGINALS}/{at:05}.webp",
            gallery,
        )
    return ways


def _found(
    ways: dict[str, Way], viewed: retrieval.Collection, whole: retrieval.Collection, run: Run
) -> tuple[int, dict[str, dict[str, float]]]:
    """Return how many originals were asked for, and shares of them that come first, without and with views, and after the check."""
    first: dict[str, dict[str, list[bool]]] = {name: {} for name in ways}
    end, asked = time.monotonic() + 60 * run.minutes, 0
    while asked < run.number and (time.monotonic() < end or not asked):
        for way, (ask, expected, mask) in ways.items():
            query, wanted = retrieval.image(ask(asked)), expected(asked)
            several = viewed.search(query, k=AMONG, mask=mask)
            answers = {
                "plain": whole.search(query, k=1, mask=mask),
                "views": several,
                "views, checked": viewed.search(query, k=1, mask=mask, verify=AMONG),
            }
            right = {name: bool(hits) and hits[0].path == wanted for name, hits in answers.items()}
            right["views, among 50"] = wanted in [hit.path for hit in several]
            for name, is_right in right.items():
                first[way].setdefault(name, []).append(is_right)
        asked += 1
        if asked % 10 == 0:
            print(asked, json.dumps(_shares(first)), flush=True)
    return asked, _shares(first)


def _shares(first: dict[str, dict[str, list[bool]]]) -> dict[str, dict[str, float]]:
    return {
        way: {name: round(float(np.mean(right)), 4) for name, right in found.items()}
        for way, found in first.items()
    }


def _costs(viewed: retrieval.Collection, whole: retrieval.Collection) -> dict[str, Any]:
    """Return what views take on disk, and how long a query takes with and without them, its encoding left out."""
    rows = viewed.vectors(range(min(len(viewed), 60)))

    def asked(photos: retrieval.Collection) -> None:
        for row in rows:
            photos.search(retrieval.vector(row), k=10)

    times = alternate({"views": partial(asked, viewed), "plain": partial(asked, whole)})
    folder = viewed.directory / "views"
    size = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    return {
        "bytes_an_image": round(size / len(viewed)),
        "query_ms": {name: round(1e3 * taken.median / len(rows), 2) for name, taken in times.items()},
        "query_times_as_long": asdict(ratio(times["views"], times["plain"])),
    }
