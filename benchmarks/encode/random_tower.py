"""Open a CLIP of open_clip with random weights: speed does not depend on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MODEL = "ViT-B-32"


def random_tower(folder: Path, *, device: str, model: str = MODEL) -> Any:
    """Return the encoder, loaded through our own family from ``folder`` as ``local-dir:`` has it; made there once."""
    import open_clip
    import torch

    import retrieval

    if not (folder / "open_clip_config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        made = open_clip.create_model(model, pretrained=None)
        torch.save(made.state_dict(), folder / "open_clip_pytorch_model.bin")
        config = {"model_cfg": open_clip.get_model_config(model), "preprocess_cfg": {}}
        (folder / "open_clip_config.json").write_text(json.dumps(config))
    return retrieval.load_encoder(f"open_clip:local-dir:{folder}", device=device)
