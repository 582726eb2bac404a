"""Train the shipped nano@2's tower further: toward what two teachers see, placed in its own space (`stronger`).

The target of every view is that of the unaltered photograph. Words, the bank of texts and the way back to nano@1 go on fitting, since the space stays as it
is. Beside the targets the losses ask that altered copies find their photographs, labels each other, and photographs their sentences.
"""

from __future__ import annotations

import hashlib
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
from tools.train_nano.export import between, read_note
from tools.train_nano.inputs.data import Photo, decode_all, list_photos, unit_hash
from tools.train_nano.measure import unit
from tools.train_nano.prepare import assemble
from tools.train_nano.targets.asked import asked_axes
from tools.train_nano.targets.joint import ridge
from tools.train_nano.targets.places import AXES, GRID
from tools.train_nano.tower.train import Recipe, Run, Said, TrainingSet
from tools.train_oca.finish import BACK_STRENGTH, POPULARITY, Back, read_back, seen_by, write
from tools.train_oca.head import HeadRecipe, look, placed, tune
from tools.train_oca.train import LOOKS

Rows = NDArray[np.float32]
CHECKED = 0.06  # of the training photographs: left out, and measured while it trains
FIRST, SHIPPED, IMAGE = WEIGHTS / "nano-1", WEIGHTS / "nano-2", "image.safetensors"
OF_LABEL = 60  # photographs that are looked at where a few do
STATE = Path(__file__).parent / "further.safetensors"  # a tower that is not shipped yet, to go on from
RECIPE = Recipe(
    batch=256, part=64, workers=2, rate=8e-4, warm_steps=40, views=0.0, hard=0.45, contrast=0.08, old=0.1, asked=0.1,
    alike=0.06, near=0.15, said=0.06, harder=True, middle=0.25, places=0.0, frozen=1, ramp=(-1.0, 0.0), ema=0.995, sizes=((1.0, 112),),
    bfloat16=True, falls=0.0, hidden=512,
)  # fmt: skip
HEAD = HeadRecipe(rate=5e-4)  # tuned last, on all looks together


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a tower of nano@2 says of photographs.

    ``seen`` ``(n, 384)`` before its bank, ``old`` ``(n, 256)`` nano@1's vectors; ``train`` are the rows of training photographs that were looked at,
    and what ``seen`` says of others may be 0.
    """

    photos: list[Photo]
    pixels: NDArray[np.uint8]
    seen: Rows
    old: Rows
    train: NDArray[np.int64]


def newest(work: Path) -> Path:
    """Return the folder of weights to go on with: ``work``'s own ``nano-2``, else what is shipped."""
    own = work / "nano-2"
    return own if (own / IMAGE).exists() else SHIPPED


def read_tower(weights: Path) -> ImageTower:
    """Return the tower of a folder of weights, folded."""
    return folded_tower(read_state(weights / IMAGE))


def look_at_all(
    data: Path, folder: Path, weights: Path = SHIPPED, *, few: bool = False, note: Callable[[str], None] = print
) -> Looked:  # fmt: skip
    """Decode all photographs and look at them once with nano@1's tower, and with that of ``weights`` if it is another; kept in ``folder``.

    ``few`` looks with the other one only at training photographs that have sentences, and at `OF_LABEL` of each label.
    """
    photos = list_photos(data)
    pixels = decode_all(data, photos, folder / "pixels.npy", note=note)
    every = np.arange(len(photos))
    first, tower = read_tower(FIRST), read_tower(weights)
    bank = read_querybank(FIRST / IMAGE)
    assert bank is not None  # noqa: S101 - nano@1 has one
    means = _means(first, pixels, every, folder / "means.npy", note=note)
    old = _banked(bank, placed(first.head, means, LOOKS))
    rows = every
    if digest_of(first, head=False) != digest_of(tower, head=False):
        rows = spoken_or_labelled(photos) if few else every
        kept = folder / f"means-{digest_of(tower, head=False)[:12]}-{len(rows)}.npy"
        means = _means(tower, pixels, rows, kept, note=note)
    seen = np.zeros((len(photos), tower.head.out_features), np.float32)
    seen[rows] = placed(tower.head, means, LOOKS)
    train = rows[[photos[i].split == "train" for i in rows]]
    return Looked(photos=photos, pixels=pixels, seen=seen, old=old, train=train)


def spoken_or_labelled(photos: list[Photo]) -> NDArray[np.int64]:
    """Return the training photographs with sentences, and as many of each label as `OF_LABEL` says."""
    groups: dict[tuple[str, str], list[int]] = {}
    chosen = []
    for i, photo in enumerate(photos):
        if photo.split == "train" and photo.sentences:
            chosen.append(i)
        elif photo.split == "train":
            groups.setdefault((photo.group, photo.label), []).append(i)
    for rows in groups.values():
        chosen += sorted(rows, key=lambda i: unit_hash(f"look:{photos[i].file}"))[:OF_LABEL]
    return np.sort(np.array(chosen))


def digest_of(tower: ImageTower, *, head: bool = True) -> str:
    """Return the SHA-256 of a tower's weights: alike for towers that see alike, whatever bank of texts lies beside them."""
    found = hashlib.sha256()
    for name, value in sorted(tower.state_dict().items()):
        if head or not name.startswith("head."):
            found.update(name.encode() + value.numpy().tobytes())
    return found.hexdigest()


def _means(
    tower: ImageTower, pixels: NDArray[np.uint8], rows: NDArray[np.int64], out: Path, *, part: int = 2048,
    note: Callable[[str], None],
) -> Rows:  # fmt: skip
    """Return what the head reads of the photographs ``rows``, ``(n, looks, c)``; kept in ``out``, and resumable."""
    done = out.with_suffix(".done.json")
    start = json.loads(done.read_text(encoding="utf-8"))["rows"] if out.exists() and done.exists() else 0
    if start < len(rows):
        shape = (len(rows), len(LOOKS), tower.head.in_features)
        kept = np.lib.format.open_memmap(out, mode="r+" if start else "w+", dtype=np.float16, shape=shape)
        for at in range(start, len(rows), part):
            own = rows[at : at + part]
            kept[at : at + len(own)] = look(tower, pixels, own, LOOKS)
            kept.flush()
            done.write_text(json.dumps({"rows": at + len(own)}), encoding="utf-8")
            note(f"looked at {at + len(own)} of {len(rows)} photographs")
    found: Rows = np.load(out).astype(np.float32)
    return found


def set_training(known: Looked, words: Path, told: Rows) -> TrainingSet:
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


def tune_last(tower: ImageTower, data: TrainingSet, photos: list[Photo], recipe: HeadRecipe = HEAD) -> None:
    """Tune the head of a trained tower on all looks together: until then each look was trained for itself."""
    assert data.back is not None  # noqa: S101 - nano@2's training has it
    tune(tower.head, seen_by(tower, data, photos), data.back, LOOKS, recipe)


def mixed(tower: ImageTower, share: float) -> ImageTower:
    """Return the tower between a trained one, which counts ``share``, and the shipped one (`export.between`)."""
    return between(SHIPPED / IMAGE, tower, share=share)


def export_further(
    tower: ImageTower, known: Looked, folder: Path, words: Path, *, samples: int, bank: Querybank | None = None, seen: Rows | None = None,
    back_of_text: Rows | None = None,
) -> None:  # fmt: skip
    """Write every file of nano@2 into ``folder``: the tower, a bank of texts, ``words``, and the way back fitted to the tower's vectors.

    Args:
        bank: the shipped one where there is none.
        back_of_text: ``(d, 256)`` of these words; the shipped words' where there is none.
        seen: ``(n, d)`` what ``tower`` says of all photographs before its bank, as far as `Looked.train` goes, where that is known already.
    """
    bank = bank or read_querybank(SHIPPED / IMAGE, weight=POPULARITY)
    assert bank is not None  # noqa: S101 - it is shipped with one
    few = np.sort(np.random.default_rng(3).permutation(known.train)[:6000])
    plain = look_at(tower, known.pixels, few) if seen is None else seen[few]
    altered = look_at(tower, known.pixels, few, altered=True)
    before = read_back(SHIPPED / "back.safetensors")
    x, y = (
        np.concatenate([_banked(bank, part) for part in (plain, altered)]),
        np.tile(unit(known.old[few]), (2, 1)),
    )
    off: Rows = np.asarray(y - x @ before.image, np.float32)
    back: Rows = np.asarray(before.image + ridge(x, off, BACK_STRENGTH), np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.safetensors").write_bytes(words.read_bytes())
    write(
        tower, folder, bank=bank,
        back=Back(image=back, text=before.text if back_of_text is None else back_of_text, text_offset=before.text_offset),
        old=open_nano("1", threads=1).space, samples=samples,
    )  # fmt: skip


def look_at(
    tower: ImageTower, pixels: NDArray[np.uint8], rows: NDArray[np.int64], *, altered: bool = False
) -> Rows:
    """Embed stored photographs, or altered copies of them: ``(n, d)`` unit rows, before a bank."""
    return placed(tower.head, look(tower, pixels, rows, LOOKS, altered=altered), LOOKS)


def _banked(bank: Querybank, rows: Rows) -> Rows:
    with torch.inference_mode():
        found: Rows = bank(torch.from_numpy(rows)).numpy()
    return found
