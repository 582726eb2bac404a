"""Train the shipped nano@2's tower further: toward what two teachers see, placed in its own space (`stronger`).

The target of every view is that of the unaltered photograph. Words, the bank of texts and the way back to nano@1 go on fitting, since the space stays as it
is. Beside the targets the losses ask that altered copies find their photographs, labels each other, and photographs their sentences.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.encoders.families.nano import WEIGHTS, open_nano
from retrieval.encoders.families.nano_text import TextTower, map_tensors
from retrieval.encoders.families.nano_torch import (
    ImageTower,
    Querybank,
    folded_tower,
    read_querybank,
    read_state,
)
from tools.train_nano.export import read_note
from tools.train_nano.inputs.data import Photo, decode_all, list_photos, unit_hash
from tools.train_nano.measure import unit
from tools.train_nano.prepare import assemble
from tools.train_nano.targets.asked import asked_axes
from tools.train_nano.targets.joint import ridge
from tools.train_nano.targets.places import AXES, GRID
from tools.train_nano.tower.train import Recipe, Run, Said, TrainingSet
from tools.train_oca.finish import BACK_STRENGTH, POPULARITY, Back, fold_state, read_back, write
from tools.train_oca.head import look, placed
from tools.train_oca.train import LOOKS

Rows = NDArray[np.float32]
CHECKED = 0.06  # of the training photographs: left out, and measured while it trains
SHIPPED, IMAGE = WEIGHTS / "nano-2", "image.safetensors"
STATE = Path(__file__).parent / "further.safetensors"  # a tower that is not shipped yet, to go on from
RECIPE = Recipe(
    batch=128, part=64, workers=1, rate=8e-4, warm_steps=40, views=0.0, hard=0.5, contrast=0.15, old=0.1, asked=0.1,
    alike=0.1, said=0.1, harder=True, middle=0.25, places=0.0, frozen=1, ramp=(-1.0, 0.0), ema=0.99, sizes=((1.0, 112),),
    bfloat16=True, falls=0.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What the shipped nano@2 says of all photographs: ``seen`` ``(n, 384)`` before its bank, ``old`` ``(n, 256)`` nano@1's vectors."""

    photos: list[Photo]
    pixels: NDArray[np.uint8]
    seen: Rows
    old: Rows


def look_at_all(data: Path, folder: Path, *, note: Callable[[str], None] = print) -> Shipped:
    """Decode all photographs and look at them once with the tower that nano@1 and the shipped nano@2 share; kept in ``folder``."""
    photos = list_photos(data)
    pixels = decode_all(data, photos, folder / "pixels.npy", note=note)
    state = read_state(SHIPPED / IMAGE)
    tower = folded_tower(state, dim=len(state["head.bias"]))
    means = _means(tower, pixels, folder / "means.npy", note=note).astype(np.float32)
    first = folded_tower(read_state(WEIGHTS / "nano-1" / "image.safetensors"))
    bank = read_querybank(WEIGHTS / "nano-1" / "image.safetensors")
    assert bank is not None  # noqa: S101 - nano@1 has one
    with torch.inference_mode():
        old = bank(torch.from_numpy(placed(first.head, means, LOOKS))).numpy()
    return Shipped(photos=photos, pixels=pixels, seen=placed(tower.head, means, LOOKS), old=old)


def _means(
    tower: ImageTower, pixels: NDArray[np.uint8], out: Path, *, part: int = 2048, note: Callable[[str], None]
) -> NDArray[np.float16]:
    """Return what the head reads of all photographs, ``(n, looks, c)``; kept in ``out``, and resumable."""
    done = out.with_suffix(".done.json")
    start = json.loads(done.read_text(encoding="utf-8"))["rows"] if out.exists() and done.exists() else 0
    if start < len(pixels):
        shape = (len(pixels), len(LOOKS), tower.head.in_features)
        kept = np.lib.format.open_memmap(out, mode="r+" if start else "w+", dtype=np.float16, shape=shape)
        for at in range(start, len(pixels), part):
            rows = np.arange(at, min(at + part, len(pixels)))
            kept[rows] = look(tower, pixels, rows, LOOKS)
            kept.flush()
            done.write_text(json.dumps({"rows": int(rows[-1]) + 1}), encoding="utf-8")
            note(f"looked at {rows[-1] + 1} of {len(pixels)} photographs")
    found: NDArray[np.float16] = np.load(out)
    return found


def set_training(known: Shipped, words: Path, told: Rows) -> TrainingSet:
    """Join photographs, their targets and their sentences, said by the text tower in ``words``.

    ``told`` ``(n, d - 1)`` are unit rows: where each photograph should lie. A part of the training photographs is left out, and checked.
    """
    photos, width = known.photos, known.seen.shape[1]
    pairs = [(i, said) for i, p in enumerate(photos) if p.split == "train" for said in p.sentences]
    texts = TextTower(words).encode([said for _, said in pairs])[:, :-1]
    rows = np.pad(unit(texts), ((0, 0), (0, 1)))
    none = np.empty((0, width), np.float32)
    lengths = np.linalg.norm(known.seen[:, :-1], axis=1, keepdims=True)
    targets = np.concatenate([lengths * told, known.seen[:, -1:]], 1)
    made = assemble(
        photos, known.pixels, targets, np.empty((0, *known.pixels.shape[1:]), np.uint8), none,
        np.empty((0, AXES, GRID, GRID), np.float16), asked_axes(rows, np.full(len(rows), 1 / len(rows))),
    )  # fmt: skip
    left = np.array([unit_hash(f"check:{photo.file}") < CHECKED for photo in photos])
    kept = ~left[made.train]
    weights = made.weights[kept] / made.weights[kept].sum()
    names = np.array([photo.group for photo in photos])
    among = left & np.isin(np.arange(len(photos)), made.train) & (made.label_codes >= 0)
    return replace(
        made,
        train=made.train[kept],
        weights=weights,
        check={str(name): np.flatnonzero(among & (names == name)) for name in np.unique(names[among])},
        old=known.old,
        back=np.array(map_tensors(SHIPPED / "back.safetensors")["image"], np.float32),
        groups=np.unique([photo.group for photo in photos], return_inverse=True)[1],
        said=Said.of(len(photos), np.array([i for i, _ in pairs]), rows),
    )


def go_on(folder: Path, data: TrainingSet, recipe: Recipe) -> Run:
    """Return the run to go on with: of the checkpoint in ``folder``, else of its ``nano-2``, else of `STATE`, else from the shipped weights."""
    if (folder / "checkpoint.pt").exists():
        return Run(folder, data, recipe, init=None)
    kept = next(path for path in (folder / "nano-2" / IMAGE, STATE, SHIPPED / IMAGE) if path.exists())
    run = Run(folder, data, recipe, init=read_state(kept))
    run.samples = int(read_note(kept).get("samples", "0"))
    return run


def mixed(tower: ImageTower, share: float) -> ImageTower:
    """Return the mean of a trained tower's folded weights, ``share`` of it, and the shipped one's (Wortsman et al., 2022, arXiv 2109.01903)."""
    own, shipped = fold_state(tower), read_state(SHIPPED / IMAGE)
    state = {name: share * value + (1 - share) * shipped[name] for name, value in own.items()}
    return folded_tower(state, dim=len(state["head.bias"]))


def export_further(tower: ImageTower, known: Shipped, folder: Path, words: Path, *, samples: int) -> None:
    """Write every file of nano@2 into ``folder``: the tower, the shipped bank, ``words``, and the way back fitted to the tower's vectors."""
    bank = read_querybank(SHIPPED / IMAGE, weight=POPULARITY)
    assert bank is not None  # noqa: S101 - it is shipped with one
    train = np.flatnonzero([photo.split == "train" for photo in known.photos])
    few = np.sort(np.random.default_rng(3).permutation(train)[:6000])
    plain, altered = (
        _banked(bank, placed(tower.head, look(tower, known.pixels, few, LOOKS, altered=copies), LOOKS))
        for copies in (False, True)
    )
    before = read_back(SHIPPED / "back.safetensors")
    x, y = np.concatenate([plain, altered]), np.tile(unit(known.old[few]), (2, 1))
    off: Rows = np.asarray(y - x @ before.image, np.float32)
    back: Rows = np.asarray(before.image + ridge(x, off, BACK_STRENGTH), np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.safetensors").write_bytes(words.read_bytes())
    write(
        tower, folder, bank=bank, back=Back(image=back, text=before.text, text_offset=before.text_offset),
        old=open_nano("1", threads=1).space, samples=samples,
    )  # fmt: skip


def _banked(bank: Querybank, rows: Rows) -> Rows:
    with torch.inference_mode():
        found: Rows = bank(torch.from_numpy(rows)).numpy()
    return found
