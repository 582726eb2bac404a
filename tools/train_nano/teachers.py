"""Targets that nano learns from: MobileNetV2 features, and maps from them and from sentences into CLIP's space."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tools.train_nano.data import Photo, load_rgb, squash

TEACHER_SIDE = 224


def load_mobilenet(data: Path) -> torch.nn.Module:
    """Load the MobileNetV2 that lies beside the data (Apache-2.0); never part of the product."""
    spec = importlib.util.spec_from_file_location("mobilenet_v2_teacher", data / "teachers" / "mobilenet_v2.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{data}/teachers/mobilenet_v2.py is missing; give the data folder with --data")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: torch.nn.Module = module.load()
    return network


def teacher_pixels(paths: list[Path]) -> torch.Tensor:
    """Decode files to the teacher's input, ``(n, 3, 224, 224)`` float32 in [-1, 1]."""
    stack = np.stack([np.asarray(squash(load_rgb(path), TEACHER_SIDE)) for path in paths])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 127.5 - 1  # (n, 3, 224, 224)


def mobilenet_features(
    data: Path, photos: list[Photo], out: Path, *, batch: int = 64, note: Callable[[str], None] = print
) -> NDArray[np.float16]:
    """Embed every photograph once with the teacher into ``out``, an ``.npy`` of ``(n, 1280)`` float16; resumable."""
    done = out.with_suffix(".done.json")
    start = json.loads(done.read_text())["rows"] if out.exists() and done.exists() else 0
    if start == len(photos):
        return np.load(out, mmap_mode="r")  # type: ignore[no-any-return]
    features = np.lib.format.open_memmap(
        out, mode="r+" if start else "w+", dtype=np.float16, shape=(len(photos), 1280)
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = load_mobilenet(data).to(device, memory_format=torch.channels_last)
    with torch.inference_mode():
        for i in range(start, len(photos), batch):
            paths = [data / photo.file for photo in photos[i : i + batch]]
            x = teacher_pixels(paths).to(device, memory_format=torch.channels_last)
            features[i : i + len(paths)] = network.embed(x).float().cpu().numpy()  # type: ignore[operator]
            if (i // batch) % 32 == 0 or i + len(paths) == len(photos):
                features.flush()
                done.write_text(json.dumps({"rows": i + len(paths)}))
                note(f"teacher features of {i + len(paths)} of {len(photos)}")
    return np.load(out, mmap_mode="r")  # type: ignore[no-any-return]
