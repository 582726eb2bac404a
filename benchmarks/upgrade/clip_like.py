"""Train a small CLIP on captioned photographs, by open_clip's model and loss: an encoder with another objective.

It is weak, as ten thousand photographs are few. Training resumes at its last checkpoint.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE, WIDTH = 96, 256
STEPS, BATCH = 900, 64
_CONTEXT, _SAVED = 24, 50


def train(data: Path, folder: Path) -> Any:
    """Return the trained model; checkpoints lie in ``folder``."""
    import torch
    from open_clip import CLIP, ClipLoss, SimpleTokenizer
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    torch.manual_seed(0)
    model = CLIP(
        embed_dim=WIDTH,
        vision_cfg=CLIPVisionCfg(layers=6, width=192, patch_size=12, image_size=SIDE),
        text_cfg=CLIPTextCfg(layers=4, width=192, heads=4, context_length=_CONTEXT),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=STEPS)
    checkpoint, begin = folder / "training.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        begin = saved["step"]
        for part, name in ((model, "model"), (optimizer, "optimizer"), (schedule, "schedule")):
            part.load_state_dict(saved[name])
    pixels, sentences = _captioned(data)
    tokenize, loss = SimpleTokenizer(context_length=_CONTEXT), ClipLoss()
    for step in range(begin, STEPS):
        draws = np.random.default_rng(step)
        picked = draws.choice(len(pixels), BATCH, replace=False)
        words = [str(draws.choice(sentences[place])) for place in picked]
        images = _as_input(np.stack([_cropped(pixels[place], draws) for place in picked]))
        features = (
            torch.nn.functional.normalize(model.encode_image(images), dim=-1),
            torch.nn.functional.normalize(model.encode_text(tokenize(words)), dim=-1),
        )
        value = loss(*features, model.logit_scale.exp())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % _SAVED == 0:
            print(f"clip: step {step + 1} of {STEPS}, loss {value.item():.3f}", flush=True)
            state = {"model": model, "optimizer": optimizer, "schedule": schedule}
            partial = checkpoint.with_suffix(".partial")
            torch.save(
                {"step": step + 1, **{name: part.state_dict() for name, part in state.items()}}, partial
            )
            partial.replace(checkpoint)
    return model


def _captioned(data: Path) -> tuple[list[NDArray[np.uint8]], list[list[str]]]:
    """Return photographs ``(SIDE + 16, SIDE + 16, 3)``, a little larger than the model reads, and their sentences."""
    found: dict[Path, list[str]] = {}
    for name in ("captions_more", "captions"):
        with (data / name / "captions.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(data / name / row["file"], []).append(row["caption"])
    pixels = []
    for path in found:
        with Image.open(path) as image:
            pixels.append(np.asarray(image.convert("RGB").resize((SIDE + 16, SIDE + 16))))
    return pixels, list(found.values())


def _cropped(image: NDArray[np.uint8], draws: np.random.Generator) -> NDArray[np.uint8]:
    top, left = draws.integers(0, 17, size=2)
    cut = image[top : top + SIDE, left : left + SIDE]
    return cut[:, ::-1] if draws.random() < 0.5 else cut


def _as_input(images: NDArray[np.uint8]) -> Any:
    import torch

    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
