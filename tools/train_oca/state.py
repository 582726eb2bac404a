"""Keep a nano@2 that is not shipped yet in one file, and lay it out again: what a later session goes on from.

The file holds the targets' map, the words, the bank of texts, the maps back and the tower; of a tower that is still nano@1's, only its head.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch

from indexes.vectors.space import Space
from retrieval.encoders.families.nano import WEIGHTS
from retrieval.encoders.families.nano_text import map_tensors
from retrieval.encoders.families.nano_torch import QUERYBANK, Querybank, folded_tower, read_state
from tools.train_nano.export import read_note
from tools.train_oca.data import EXTENSION
from tools.train_oca.finish import POPULARITY, read_back, write

MOST = 25e6  # bytes


def keep(work: Path, out: Path) -> int:
    """Write ``RUN/nano-2`` and the map of its targets into one file; gives the bytes.

    Raises:
        ValueError: it would be too large for the repository.
    """
    folder = work / "nano-2"
    image = folder / "image.safetensors"
    own, old = read_state(image), read_state(WEIGHTS / "nano-1" / "image.safetensors")
    changed = {
        name: value.numpy().astype(np.float16)
        for name, value in own.items()
        if name not in old or not torch.equal(value, old[name])
    }
    tensors = map_tensors(image)
    bank = {name: np.array(tensors[f"{QUERYBANK}{name}"]) for name in ("texts", "offsets")}
    with np.load(work / EXTENSION) as kept:
        extension = {
            name: array.astype(np.float16) if array.dtype.kind == "f" else array
            for name, array in kept.items()
        }
    parts = {"tower": changed, "bank": bank, "extension": extension}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as packed:
        for name in ("text.safetensors", "back.safetensors"):
            packed.write(folder / name, name)
        for name, arrays in parts.items():
            with packed.open(f"{name}.npz", "w") as file:
                np.savez(file, allow_pickle=False, **arrays)
        packed.writestr("samples", read_note(image).get("samples", "0"))
    data = stream.getvalue()
    if len(data) > MOST:
        raise ValueError(f"{out} would have {len(data) / 1e6:.1f} MB; it may have {MOST / 1e6:.0f}")
    out.write_bytes(data)
    return len(data)


def restore(state: Path, work: Path, *, old: Space) -> None:
    """Lay out what `keep` wrote: ``RUN/nano-2`` as `finish` writes it, and the map of its targets."""
    folder = work / "nano-2"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(state) as packed:
        for name in ("text.safetensors", "back.safetensors"):
            (folder / name).write_bytes(packed.read(name))
        tower, bank = (dict(np.load(io.BytesIO(packed.read(f"{name}.npz")))) for name in ("tower", "bank"))
        samples = int(packed.read("samples"))
        (work / EXTENSION).write_bytes(packed.read(EXTENSION))
    weights = read_state(WEIGHTS / "nano-1" / "image.safetensors")
    weights |= {name: torch.from_numpy(value.astype(np.float32)) for name, value in tower.items()}
    texts, offsets = (torch.from_numpy(bank[name].astype(np.float32)) for name in ("texts", "offsets"))
    write(
        folded_tower(weights),
        folder,
        bank=Querybank(texts, offsets, weight=POPULARITY),
        back=read_back(folder / "back.safetensors"),
        old=old,
        samples=samples,
    )
