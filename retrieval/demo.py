"""Run the demo: index sample photographs, ask a few queries, write a result page."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.distribution import pip_install
from retrieval.display import path_json
from retrieval.errors import MissingExtra
from retrieval.render import hit_json

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from retrieval.collection.rows import BuildReport
    from retrieval.encoders import EncoderLike
    from retrieval.progress import ShowProgress
    from retrieval.render import Answer

# The photographs inside scikit-image's wheel (the others of `skimage.data` are fetched on demand, or are drawings).
PHOTOGRAPHS = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "microaneurysms.png",
    "moon.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "page.png",
    "retina.jpg",
    "rocket.jpg",
    "text.png",
)
WORDS = ("cat", "coffee", "rocket", "grass", "motorcycle", "stars")
IMAGES = ("motorcycle_left.png", "gravel.png")
HITS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What the demo did.

    Attributes:
        out: the folder that holds everything.
        photos: how many photographs there are.
        build: the report of the build.
        answers: each query with its hits.
        gallery: the page.
    """

    out: Path
    photos: int
    build: BuildReport
    answers: Sequence[Answer]
    gallery: Path

    def to_json(self) -> dict[str, Any]:
        """Return what ``retrieve demo --json`` prints."""
        return {
            **path_json(str(self.out), "out"),
            "photos": self.photos,
            "build": self.build.to_json(),
            "queries": [
                {"query": answer.title, "hits": [hit_json(hit) for hit in answer.hits]}
                for answer in self.answers
            ],
            **path_json(str(self.gallery), "gallery"),
        }


def demo(
    out: str | os.PathLike[str] = "retrieve-demo",
    *,
    encoder: EncoderLike = "nano",
    device: str = "auto",
    index: str | os.PathLike[str] | None = None,
    progress: ShowProgress = True,
) -> DemoReport:
    """Index scikit-image's photographs, search them by words and by image, and write a page with the answers.

    Args:
        out: a folder; gets ``photos/`` with the collection, and ``gallery.html``. Run again, nothing is encoded twice.
        encoder: a spec or an encoder; one without a text tower is asked by image only.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.
        index: where the collection lies; ``None`` is inside ``photos/``.
        progress: as in `build_index`.

    Raises:
        MissingExtra: scikit-image is not installed, or came without its photographs.
    """
    from retrieval.collection import open_collection
    from retrieval.collection.queries import image, text
    from retrieval.encoders import TextEncoder, load_encoder
    from retrieval.ingestion import build_index
    from retrieval.render import html_page as gallery

    sources = _photographs()
    model = load_encoder(encoder, device=device)
    folder = Path(out)
    photos = folder / "photos"
    copied = _copy(sources, photos)
    report = build_index(photos, index=index, encoder=encoder, device=device, progress=progress)
    queries = [
        *(text(words) for words in WORDS if isinstance(model, TextEncoder)),
        *(image(photos / name) for name in IMAGES if (photos / name).exists()),
    ]
    answers = []
    with open_collection(report.index, encoder=model) as collection:
        for query in queries:
            found = collection.search(query, k=HITS)
            shown = gallery.parts(query, name_of=collection.key_of, root=collection.root)
            answers.append(gallery.Answer(query=shown, hits=found, total=found.searched))
        page = folder / "gallery.html"
        note = f"{copied} photographs from scikit-image, encoded by {report.encoder}"
        gallery.write(page, answers, root=collection.root, note=note)
    return DemoReport(out=folder, photos=copied, build=report, answers=answers, gallery=page)


def _photographs() -> list[Path]:
    """Return the photographs that the installed scikit-image carries; it is not imported, which would take a second."""
    cure = f"the demo shows photographs that scikit-image carries: {pip_install('demo')}"
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra(cure)
    data = Path(next(iter(found.submodule_search_locations))) / "data"
    present = [data / name for name in PHOTOGRAPHS if (data / name).is_file()]
    if not present:
        raise MissingExtra(f"{data} holds none of them; {cure}")
    return present


def _copy(sources: Sequence[Path], photos: Path) -> int:
    photos.mkdir(parents=True, exist_ok=True)
    for source in sources:
        target = photos / source.name
        if not target.exists() or target.stat().st_size != source.stat().st_size:
            shutil.copy2(source, target)
    return len(sources)
