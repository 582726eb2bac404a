"""Start nano@2's tower from nano@1's weights, train it, and keep what a later session goes on from in one file."""

from __future__ import annotations

from pathlib import Path

import torch

from retrieval.encoders.families.nano import WEIGHTS
from retrieval.encoders.families.nano_torch import CROPS, ImageTower, folded_tower, read_state
from tools.train_nano.export import averaged_tower, read_note
from tools.train_nano.tower.head import fit_head
from tools.train_nano.tower.train import Recipe, Run, TrainingSet

# nano@1's own: with a look of 128 px its own head finds 0.641 of crops in nano@1's gallery instead of 0.713, though 1-NN rises by 0.004.
LOOKS = CROPS
RECIPE = Recipe(
    batch=192, part=64, workers=1, rate=1.2e-3, warm_steps=60, views=0.0, hard=0.4, contrast=0.1, old=0.1,
    asked=0.2, places=0.0, frozen=1, ramp=(-1.0, 0.0), ema=0.999, sizes=((0.5, 112), (1.0, 128)), bfloat16=True,
    falls=0.6,
)  # fmt: skip
HEAD_PHOTOGRAPHS = 12_000


def first_weights(data: TrainingSet, *, bfloat16: bool) -> dict[str, torch.Tensor]:
    """Return nano@1's tower with a head fitted to the new targets, folded."""
    tower = folded_tower(read_state(WEIGHTS / "nano-1" / "image.safetensors"))
    fit_head(tower, data, crops=LOOKS, most=HEAD_PHOTOGRAPHS, bfloat16=bfloat16)
    return {name: value.detach() for name, value in tower.state_dict().items()}


def start_run(folder: Path, data: TrainingSet, recipe: Recipe) -> Run:
    """Return the run to go on with: of the checkpoint in ``folder``, else of its ``nano-2``, else from nano@1's weights."""
    if (folder / "checkpoint.pt").exists():
        return Run(folder, data, recipe, init=None)
    if (found := folder / "nano-2" / "image.safetensors").exists():
        run = Run(folder, data, recipe, init=read_state(found))
        run.samples = int(read_note(found).get("samples", "0"))
        return run
    return Run(folder, data, recipe, init=first_weights(data, bfloat16=recipe.bfloat16))


def averaged(folder: Path) -> tuple[ImageTower, int]:
    """Return the averaged tower of the checkpoint in ``folder``, and how many samples it saw."""
    tower, facts = averaged_tower(folder / "checkpoint.pt")
    return tower, int(facts["samples"])


def last_tower(folder: Path) -> tuple[ImageTower, int]:
    """Return what `averaged` gives, else the tower of ``folder``'s ``nano-2``, else nano@1's, with the samples each saw since nano@1."""
    if (folder / "checkpoint.pt").exists():
        return averaged(folder)
    if (found := folder / "nano-2" / "image.safetensors").exists():
        return folded_tower(read_state(found)), int(read_note(found).get("samples", "0"))
    return folded_tower(read_state(WEIGHTS / "nano-1" / "image.safetensors")), 0
