"""Keep a nano@2 that is not shipped yet in one file, and lay it out again: what a later session goes on from.

The file holds the targets' map, the words, the bank of texts, the maps back and the tower; of a tower that is still nano@1's, only its head.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from indexes.vectors.space import Space
from retrieval.encoders.families.nano import WEIGHTS
from retrieval.encoders.families.nano_text import map_tensors
from retrieval.encoders.families.nano_torch import QUERYBANK, Querybank, folded_tower, read_state
from tools.train_nano.export import read_note
from tools.train_oca.data import with_classifiers
from tools.train_oca.finish import POPULARITY, read_back, write

MOST = 25e6  # bytes
EXTENSION = "extension.pkl"


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
    parts = {"tower": changed, "bank": bank}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as packed:
        for name in ("text.safetensors", "back.safetensors"):
            packed.write(folder / name, name)
        for name, arrays in parts.items():
            with packed.open(f"{name}.npz", "w") as file:
                np.savez(file, allow_pickle=False, **arrays)
        packed.writestr("samples", read_note(image).get("samples", "0"))
        extension = with_classifiers(_unpickled((work / EXTENSION).read_bytes()), [])
        packed.writestr(EXTENSION, pickle.dumps(cast(extension, np.float16)))
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
        extension = cast(_unpickled(packed.read(EXTENSION)), np.float32)
        (work / EXTENSION).write_bytes(pickle.dumps(extension))
    weights = read_state(WEIGHTS / "nano-1" / "image.safetensors")
    weights |= {name: torch.from_numpy(value.astype(np.float32)) for name, value in tower.items()}
    texts, offsets = (torch.from_numpy(bank[name].astype(np.float32)) for name in ("texts", "offsets"))
    write(
        folded_tower(weights, dim=len(weights["head.bias"])),
        folder,
        bank=Querybank(texts, offsets, weight=POPULARITY),
        back=read_back(folder / "back.safetensors"),
        old=old,
        samples=samples,
    )


def cast(value: Any, dtype: Any) -> Any:
    """Return a value with all its arrays of floats in ``dtype``: in data classes, dictionaries, lists and tuples."""
    if isinstance(value, np.ndarray):
        return value.astype(dtype) if value.dtype.kind == "f" else value
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{field.name: cast(getattr(value, field.name), dtype) for field in fields(value)}
        )
    if isinstance(value, dict):
        return {key: cast(part, dtype) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(cast(part, dtype) for part in value)
    return value


def _unpickled(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301 - this tool's own
