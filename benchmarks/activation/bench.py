"""What the parts of `bench_activate.py` share: the photographs drawn, a collection for each kind, and the activated copies."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import retrieval
from retrieval.encoders.families.nano import open_nano
from retrieval.sources.decoding.decoder import content_hash, read_file

SEED = 20_221
EXCLUDE = ("/teachers",)  # of the data: what nano was trained on from others' models, no photographs


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One kind of index, and whether its images are activated with ``--robust``."""

    kind: str
    robust: bool

    @property
    def label(self) -> str:
        """Its name in results and folders."""
        return f"{self.kind}{', robust' if self.robust else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The images that are activated, and the rows that are right for each (exact copies too)."""

    files: list[Path]
    right: list[frozenset[int]]


class Bench:
    """Where everything lies. What was made by other weights of the encoder is never taken up: each has a folder of its own."""

    def __init__(self, images: int, work: Path) -> None:
        self.images = images
        self.data = Path(os.environ["RETRIEVAL_DATA"])
        fingerprint = open_nano().space.fingerprint
        self.work = work / f"{fingerprint[:12]}-{self.images}"
        self.work.mkdir(parents=True, exist_ok=True)

    def build(self, kind: str) -> retrieval.BuildReport:
        """Make a collection of a kind, or take up that of an earlier run; photographs are encoded once, for the flat one."""
        index = self.index(kind)
        if kind != "flat" and not index.exists():
            partial = index.with_name(f"partial-{kind}")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(self.index("flat"), partial)  # beside it: the way to the data is the same
            partial.rename(index)
        return retrieval.build_index(self.data, index=index, exclude=list(EXCLUDE), kind=kind)

    def open(self, kind: str) -> retrieval.Collection:
        """Open a kind's collection."""
        return retrieval.open(self.index(kind))

    def index(self, kind: str) -> Path:
        """Where a kind's collection lies."""
        return self.work / "collections" / kind

    def vectors(self, label: str) -> Path:
        """Where the vectors of altered copies lie; ``passive`` for originals."""
        return self.work / "vectors" / label

    def result(self, name: str) -> Path:
        """Where the results of a run, or of another part, are kept."""
        return self.work / "results" / f"{name}.json"

    def keep(self, name: str, found: dict[str, Any]) -> None:
        """Keep results."""
        path = self.result(name)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(found, default=asdict), encoding="utf-8")
        partial.rename(path)

    def forget(self, runs: list[Run]) -> None:
        """Drop what these runs made and found, and what was timed."""
        for run in runs:
            self.result(run.label).unlink(missing_ok=True)
            shutil.rmtree(self.work / "runs" / run.label, ignore_errors=True)
            shutil.rmtree(self.vectors(run.label), ignore_errors=True)
        for name in ("speed", "picture"):
            self.result(name).unlink(missing_ok=True)

    def draw(self, collection: retrieval.Collection) -> Drawn:
        """Draw images by the seed, under names of their own, since copies of one run lie in one folder."""
        paths = sorted(collection.keys())
        order = np.random.default_rng(SEED).permutation(len(paths))[: self.images]
        files = [collection.root / paths[int(number)] for number in order]
        folder = self.work / "originals"
        folder.mkdir(exist_ok=True)
        links = [folder / f"{number:05d}{file.suffix}" for number, file in enumerate(files)]
        for link, file in zip(links, files, strict=True):
            if not link.is_symlink():
                link.symlink_to(file)
        right = [
            frozenset(collection.ids_of_content(content_hash(read_file(file))).tolist()) for file in files
        ]
        return Drawn(files=links, right=right)

    def activated(
        self, collection: retrieval.Collection, files: list[Path], run: Run
    ) -> tuple[dict[Path, Path], dict[str, Any]]:
        """Activate files, or take the copies of an earlier run; return original → copy, and what they are like."""
        out = self.work / "runs" / run.label
        listed = out / "report.json"
        if not listed.exists():
            shutil.rmtree(out, ignore_errors=True)
            began, worked = time.perf_counter(), time.process_time()
            results = retrieval.activate(
                files, out=out / "copies", index=collection.directory, robust=run.robust
            )
            report = {
                "seconds": time.perf_counter() - began,
                "cpu seconds": time.process_time() - worked,
                "results": [result.to_json() for result in results],
            }
            partial = listed.with_name("partial.json")
            partial.write_text(json.dumps(report), encoding="utf-8")
            partial.rename(listed)
        report = json.loads(listed.read_text(encoding="utf-8"))
        return _copies(report["results"]), _fidelity(report)


def _copies(results: list[dict[str, Any]]) -> dict[Path, Path]:
    return {Path(row["path"]): Path(row["output"]) for row in results if row["output"]}


def _fidelity(report: dict[str, Any]) -> dict[str, Any]:
    """Summarise what `retrieval.activate` reported of each copy."""
    results = report["results"]
    done = [row for row in results if row["output"]]
    facts: dict[str, Any] = {
        "images": len(results),
        "activated": sum(row["status"] == "activated" for row in results),
        "scaled back": sum(row["status"] == "scaled_back" for row in results),
        "refused": [row["reason"].rpartition("/")[2] for row in results if not row["output"]],
        "images a second": round(len(results) / report["seconds"], 2),
        "CPU seconds an image": round(report["cpu seconds"] / len(results), 3),
    }
    for name in ("psnr", "ssim", "linf", "cosine_before", "cosine_after"):
        values = [row[name] for row in done if row[name] is not None]
        facts[name] = {
            "mean": round(float(np.mean(values)), 4),
            "deviation": round(float(np.std(values)), 4),
            "least": min(values),
            "most": max(values),
        }
    return facts
