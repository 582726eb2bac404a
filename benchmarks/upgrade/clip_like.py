"""Train a small CLIP on captioned photographs, by open_clip's text tower and loss: an encoder with another objective.

The network that sees is MobileNetV2 as it is, with a layer behind it that is trained beside the text tower (locked-image tuning, Zhai
et al. 2022, arXiv 2111.07991). Its features are computed once, so that training takes minutes of one core.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.vectors import unit_rows

SIDE, WIDTH = 224, 256
STEPS, BATCH = 400, 128
_CONTEXT, _FEATURES, _BLOCK = 16, 1280, 32


def train(data: Path, folder: Path) -> Any:
    """Return the trained network as a module with ``encode_image``; features of the photographs are kept in ``folder``."""
    import torch
    from open_clip import ClipLoss, SimpleTokenizer
    from open_clip.transformer import TextTransformer

    from tools.train_nano.targets.teachers import load_mobilenet

    torch.manual_seed(0)
    head = torch.nn.Linear(_FEATURES, WIDTH, bias=False)
    text = TextTransformer(context_length=_CONTEXT, width=128, heads=4, layers=1, output_dim=WIDTH)
    scale = torch.nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))
    optimizer = torch.optim.AdamW([*head.parameters(), *text.parameters(), scale], lr=1e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=STEPS)
    sentences = _sentences(data)
    seen = torch.from_numpy(_features(list(sentences), data=data, kept=folder / "features.npy"))
    said = list(sentences.values())
    tokenize, loss = SimpleTokenizer(context_length=_CONTEXT), ClipLoss()
    for step in range(STEPS):
        draws = np.random.default_rng(step)
        picked = draws.choice(len(seen), BATCH, replace=False)
        words = tokenize([str(draws.choice(said[place])) for place in picked])
        features = (torch.nn.functional.normalize(side, dim=-1) for side in (head(seen[picked]), text(words)))
        value = loss(*features, scale.exp())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 50 == 0:
            print(f"clip: step {step + 1} of {STEPS}, loss {value.item():.3f}", flush=True)

    class Tuned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network, self.head = load_mobilenet(data), head

        def encode_image(self, x: torch.Tensor) -> Any:
            return self.head(torch.nn.functional.normalize(self.network.embed(x), dim=-1))

    return Tuned()


def _sentences(data: Path) -> dict[Path, list[str]]:
    """Return the captions of each captioned photograph."""
    found: dict[Path, list[str]] = {}
    for name in ("captions_more", "captions"):
        with (data / name / "captions.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(data / name / row["file"], []).append(row["caption"])
    return found


def _features(files: list[Path], *, data: Path, kept: Path) -> NDArray[np.float32]:
    """Return MobileNetV2's features of photographs as unit rows ``(n, 1280)``; kept in a file once they are whole."""
    from tools.train_nano.targets.teachers import load_mobilenet, mobilenet_session, teacher_pixels

    if not kept.exists():
        session = mobilenet_session(load_mobilenet(data), threads=1)
        rows = [
            session.run(["y"], {"x": teacher_pixels(files[start : start + _BLOCK])})[0]
            for start in range(0, len(files), _BLOCK)
        ]
        partial = kept.with_suffix(".partial.npy")
        np.save(partial, np.concatenate(rows).astype(np.float16))
        partial.replace(kept)
    return unit_rows(np.load(kept).astype(np.float32))
