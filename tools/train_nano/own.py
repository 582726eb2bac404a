"""Train a small encoder on your own images, with any encoder as its teacher; ``python -m tools.train_nano own`` runs it.

    python -m tools.train_nano own --images photos/ --teacher open_clip:ViT-B-32/laion2b_s34b_b79k --out RUN --minutes 30

The teacher's vectors of your images, turned to their principal axes, are what the image tower learns; no labels or captions are needed.
A teacher that reads words gives the text tower its places, too: nouns of WordNet, or the lines of ``--texts``. A photograph's
caption is then the text that the teacher finds nearest to it, after the mean of all texts and of all photographs is taken away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.encoders import Encoder, encode
from retrieval.encoders.families.nano import NanoEncoder
from retrieval.encoders.families.nano_torch import DIM, silent_querybank
from tools.train_nano.embedding import embed_images
from tools.train_nano.export import FACTS, averaged_tower, export_image, save_tensors
from tools.train_nano.inputs.corpus import Text, wordnet_nouns
from tools.train_nano.inputs.data import HELD_SHARE, Photo, decode_all, unit_hash
from tools.train_nano.measure import unit
from tools.train_nano.prepare import assemble
from tools.train_nano.targets.places import AXES, GRID
from tools.train_nano.tower.train import Recipe, Run, nesting_of
from tools.train_nano.words.text import TextRecipe, TextSet, quantised, train_text

Rows = NDArray[np.float32]
RECIPE = Recipe(views=0.0, places=0.0, asked=0.0)
NOUNS, NEAREST = 20_000, 10
PROMPT = "a photo of a {}"  # what the teacher reads of a noun
LEAST = 32  # images


def own_photos(images: Path) -> list[Photo]:
    """List the images of a folder; about one in seven is held out, by its name.

    Raises:
        ValueError: there are too few to train on.
    """
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    files = sorted(
        path.relative_to(images).as_posix() for path in images.rglob("*") if path.suffix.lower() in known
    )
    if len(files) < LEAST:
        raise ValueError(f"{images} holds {len(files)} images; training needs {LEAST}")
    return [
        Photo(file=file, group="own", label="", caption="", split="held" if unit_hash(file) < HELD_SHARE else "train")
        for file in files
    ]  # fmt: skip


def teacher_vectors(
    teacher: Encoder, images: Path, photos: Sequence[Photo], out: Path, *, note: Callable[[str], None] = print
) -> Rows:
    """Embed every image once with the teacher, ``(n, e)`` unit rows; ``out`` keeps them beside the list and the teacher's space."""
    listing = {"space": teacher.space.fingerprint, "files": [photo.file for photo in photos]}
    names = out.with_suffix(".json")
    if out.exists() and names.exists() and json.loads(names.read_text(encoding="utf-8")) == listing:
        return np.asarray(np.load(out), np.float32)
    rows = []
    for at in range(0, len(photos), 256):
        rows.append(encode(teacher, [images / photo.file for photo in photos[at : at + 256]]))
        note(f"{teacher.space.name}: {at + len(rows[-1])} of {len(photos)}")
    found: Rows = np.concatenate(rows)
    np.save(out, found)
    names.write_text(json.dumps(listing), encoding="utf-8")
    return found


def principal(rows: Rows, *, dim: int = DIM) -> tuple[Rows, Rows]:
    """Give the mean ``(e,)`` of rows and their ``dim`` principal axes ``(e, dim)``, the widest first; axes beyond ``e`` are zero."""
    mean = rows.mean(0)
    axes = np.linalg.eigh(np.cov((rows - mean).T))[1][:, ::-1][:, :dim]
    return mean, np.pad(axes, ((0, 0), (0, dim - axes.shape[1]))).astype(np.float32)


def own_texts(
    teacher: Encoder, lines: Sequence[str], axes: Rows, photos: Rows, *, prompt: str = "{}"
) -> TextSet:
    """Place texts among photographs by the teacher.

    Args:
        lines: the texts.
        prompt: how the teacher reads one.
        axes: ``(e, d)`` of `principal`.
        photos: ``(n, d)`` the training photographs' targets.
    """
    known = encode(teacher, [prompt.format(line) for line in lines])  # (t, e)
    placed = unit((known - known.mean(0)) @ axes)[:, :-1]
    images = unit(photos[:, :-1])
    nearest = (images @ placed.T).argmax(1)
    texts = [Text(text=line, kind="name") for line in lines]
    return TextSet(
        texts=texts,
        targets=unit(placed),
        sentences=np.empty((len(texts), 0), np.float32),
        images=images,
        caption_text=nearest,
        caption_image=np.arange(len(images)),
        caption_weights=np.full(len(images), 1 / len(images)),
        weights=np.full(len(texts), 1 / len(texts)),
    )


def agreement(
    student: Rows, teacher: Rows, gallery: NDArray[np.int64], asked: NDArray[np.int64]
) -> dict[str, float]:
    """Say how often the teacher's nearest of ``gallery`` is the student's first, or among its first ten, for the rows ``asked``."""
    own = (unit(teacher[asked]) @ unit(teacher[gallery]).T).argmax(1)
    scores = unit(student[asked]) @ unit(student[gallery]).T
    ranks = (scores > scores[np.arange(len(asked)), own][:, None]).sum(1)
    return {"first": float((ranks == 0).mean()), f"first_{NEAREST}": float((ranks < NEAREST).mean())}


def train_own(
    images: Path, teacher: Encoder, out: Path, recipe: Recipe, *, wordnet: Path, texts: Path | None = None, words: TextRecipe | None = None,
    note: Callable[[str], None] = print,
) -> dict[str, Any]:  # fmt: skip
    """Train on a folder of images and write the encoder into ``out/encoder``; ``out`` keeps arrays and checkpoint, and a second run goes on.

    Returns what was measured: how often the student's neighbours of held-out images are the teacher's, among images of both splits.
    """
    photos = own_photos(images)
    out.mkdir(parents=True, exist_ok=True)
    pixels = decode_all(images, photos, out / "pixels.npy", note=note)
    known = teacher_vectors(teacher, images, photos, out / "teacher.npy", note=note)
    train = np.flatnonzero([photo.split == "train" for photo in photos])
    mean, axes = principal(known[train])
    targets = ((known - mean) @ axes).astype(np.float32)
    none = np.empty((0, DIM), np.float32)
    views, places = np.empty((0, *pixels.shape[1:]), np.uint8), np.empty((0, AXES, GRID, GRID), np.float16)
    data = assemble(photos, pixels, targets, views, none, places, np.eye(DIM, dtype=np.float32))
    held = np.flatnonzero([photo.split != "train" for photo in photos])
    small = replace(recipe, batch=min(recipe.batch, len(train)))
    # Without labels there is nothing to check while it trains but copies of held-out images.
    Run(out, replace(data, check={"own": held}), small, init=None).train()
    tower, facts = averaged_tower(out / "checkpoint.pt")
    folder = out / "encoder"
    export_image(
        tower,
        folder,
        note={"samples": str(facts["samples"])},
        facts=FACTS | {"name": f"nano-of-{teacher.space.name}", "nesting": list(nesting_of(DIM))},
        querybank=silent_querybank(),
    )
    if hasattr(teacher, "encode_text"):
        if texts:
            lines = [line for line in texts.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            lines = [lemma for lemma, _, visible in wordnet_nouns(wordnet) if visible][:NOUNS]
        said = own_texts(teacher, lines, axes, targets[train], prompt="{}" if texts else PROMPT)
        how = words or TextRecipe()
        how = replace(how, bank=min(how.bank, len(train)), caption_rows=min(how.caption_rows, len(train)))
        save_tensors(quantised(train_text(said, how, note=note)), folder / "text.safetensors")
    student = embed_images(NanoEncoder(folder, threads=1), pixels)
    found = agreement(student[:, :-1], known, train, held)
    result = {"teacher": teacher.space.name, "images": len(photos), "samples": facts["samples"], "seconds": facts["seconds"]} | found  # fmt: skip
    (out / "own.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    note(json.dumps(result))
    return result
