"""Start nano@2's tower from nano@1's weights, train it, and keep what a later session goes on from in one file."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from retrieval.encoders.families.nano import WEIGHTS
from retrieval.encoders.families.nano_torch import Crop, ImageTower, folded_tower, read_state
from tools.train_nano.export import fold
from tools.train_nano.head import fit_head
from tools.train_nano.train import Recipe, Run, TrainingSet

# A larger look at the whole than nano@1's 112 px, for a tenth fewer images a second.
LOOKS = (Crop(size=160, side=128, weight=1.0), Crop(size=80, side=80, weight=0.6))
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


def start_run(folder: Path, data: TrainingSet, recipe: Recipe, *, state: Path | None) -> Run:
    """Return the run to go on with: of the checkpoint in ``folder``, else of a state file, else from nano@1's weights."""
    if (folder / "checkpoint.pt").exists():
        return Run(folder, data, recipe, init=None)
    if state is not None:
        return Run(folder, data, recipe, init=read_state(state))
    return Run(folder, data, recipe, init=first_weights(data, bfloat16=recipe.bfloat16))


def averaged(folder: Path) -> tuple[ImageTower, int]:
    """Return the averaged tower of the checkpoint in ``folder``, and how many samples it saw."""
    state = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    tower = ImageTower(dim=len(state["average"]["head.bias"]), norm=True)
    tower.load_state_dict(state["average"])
    return tower.eval(), int(state["samples"])


def save_state(folder: Path, out: Path) -> int:
    """Write the averaged tower of the checkpoint, folded and in float16, with its number of samples; gives the bytes."""
    from safetensors.numpy import save

    tower, samples = averaged(folder)
    data = save(fold(tower), metadata={"samples": str(samples)})
    out.write_bytes(io.BytesIO(data).getvalue())
    return len(data)
