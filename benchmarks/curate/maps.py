"""How long does a map take, how large is its page, does it pan smoothly, and does it keep neighbours?

Rows are those of photographs that nano was not trained on, each several times with noise. Their pictures are the photographs', so
that each is decoded as often as a picture of its own would be.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import retrieval
from retrieval.curation.map import ImageMap
from retrieval.encoders.families.nano import open_nano
from tests.retrieval.browser import chromium, window
from tools.fit_relevance.photographs import gather

NOISE = 0.02
KEPT = 10
SAMPLE = 1_000
MOVES = 120


def mapped(data: Path, work: Path | None, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Measure maps of several sizes."""
    photographs = gather(data, open_nano(threads=1), work)
    files = [str((data / photo.file).absolute()) for photo in photographs.photos]
    return {f"{size} rows": _one(photographs.vectors, files, size) for size in sizes}


def _one(vectors: np.ndarray, files: list[str], size: int) -> dict[str, Any]:
    numbers = np.random.default_rng(0)
    chosen = numbers.integers(len(vectors), size=size)
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with retrieval.create(place / "rows", encoder="nano") as photos:
            rows = vectors[chosen] + NOISE * numbers.standard_normal((size, vectors.shape[1])).astype(
                np.float32
            )
            photos.sync_vectors(rows, [f"{number:06}.webp" for number in range(size)])
        with retrieval.open(place / "rows") as photos:
            phases = _Phases()
            found = retrieval.map_images(photos, progress=phases)
            seconds |= phases.seconds()
            kept = _neighbours_kept(found, photos.vectors())
        found = dataclasses.replace(found, links=tuple(files[one] for one in chosen.tolist()))
        with _timed(seconds, "page"):
            page = found.write_page(place / "map.html")
        with _timed(seconds, "table"):
            found.write_table(place / "map.parquet")
        return {
            "seconds": {name: round(value, 1) for name, value in seconds.items()},
            "page_megabytes": round(page.bytes / 1e6, 1),
            "pictures": page.pictures,
            "table_megabytes": round((place / "map.parquet").stat().st_size / 1e6, 1),
            "neighbours_kept": kept,
            "panning": _panned(place / "map.html"),
        }


class _Phases:
    """Notes when each phase of a long call begins, by the progress that it reports."""

    def __init__(self) -> None:
        self._began: list[tuple[str, float]] = []
        self._start = time.perf_counter()

    def __call__(self, progress: retrieval.Progress) -> None:
        if not self._began or self._began[-1][0] != progress.phase:
            self._began.append((progress.phase, time.perf_counter()))

    def seconds(self) -> dict[str, float]:
        """Return how long each phase took, all that comes before the next one counted, and all together."""
        ends = [*(began for _, began in self._began[1:]), time.perf_counter()]
        taken = {name: end - began for (name, began), end in zip(self._began, ends, strict=True)}
        return taken | {"all": ends[-1] - self._start}


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began


def _neighbours_kept(found: ImageMap, vectors: np.ndarray) -> dict[str, float]:
    """Return what share of the ten nearest are among the ten nearest on the map, and on the plane of the two principal axes."""
    moved = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(moved.T @ moved)
    some = np.random.default_rng(1).choice(len(vectors), min(SAMPLE, len(vectors)), replace=False)
    cosines = vectors[some] @ vectors.T
    cosines[np.arange(len(some)), some] = -2
    true = np.argpartition(-cosines, KEPT, axis=1)[:, :KEPT]
    shares = {}
    for name, plane in (("map", found.positions), ("two principal axes", moved @ axes[:, ::-1][:, :2])):
        gaps = sum((plane[some, axis, None] - plane[:, axis]) ** 2 for axis in (0, 1))
        gaps[np.arange(len(some)), some] = np.inf
        near = np.argpartition(gaps, KEPT, axis=1)[:, :KEPT]
        shares[name] = round(
            float(np.mean([len(set(a) & set(b)) / KEPT for a, b in zip(near, true, strict=True)])), 3
        )
    return shares


def _panned(page: Path) -> dict[str, Any]:
    """Drag the map in Chromium without a graphics card, and return seconds until it is there and milliseconds of a frame."""
    drag = """
        const done = arguments[arguments.length - 1], stage = document.getElementById("over"), frames = [], drawn = [];
        const at = (x) => ({pointerId: 1, bubbles: true, clientX: 600 + x, clientY: 400});
        stage.parentElement.setPointerCapture = () => {};
        stage.dispatchEvent(new PointerEvent("pointerdown", at(0)));
        let step = 0, last = performance.now();
        function next(now) {
          frames.push(now - last); last = now; drawn.push(Number(document.body.dataset.drawTime));
          if (++step > arguments[0]) return done([frames.slice(5), drawn.slice(5)]);
          stage.dispatchEvent(new PointerEvent("pointermove", at(3 * step)));
          requestAnimationFrame(next);
        }
        requestAnimationFrame(next);
    """.replace("arguments[0]", str(MOVES))
    with chromium() as browser, window(browser, 1280, 800):
        browser.set_script_timeout(120)
        began = time.perf_counter()
        browser.get(page.as_uri())
        while not browser.execute_script("return document.body.dataset.ready"):
            time.sleep(0.05)
        ready = time.perf_counter() - began
        facts: dict[str, Any] = {"seconds_until_ready": round(ready, 1)}
        for name, zooms in (("whole", 0), ("zoomed in", 5)):
            for _ in range(zooms):
                browser.find_element("id", "in").click()
            time.sleep(3)
            frames, drawn = browser.execute_async_script(drag)
            facts[name] = {"frame_milliseconds": _middle(frames), "draw_milliseconds": _middle(drawn)}
        return facts


def _middle(values: list[float]) -> dict[str, float]:
    """Return the median of many, and what one of twenty exceeds."""
    middle, high = np.quantile(values, (0.5, 0.95)).tolist()
    return {"median": round(middle, 1), "quantile_95": round(high, 1)}
