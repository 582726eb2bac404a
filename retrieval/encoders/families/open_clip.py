"""CLIP models of the open_clip library: ``open_clip:MODEL/TAG``.

``open_clip:MODEL/TAG``, ``open_clip:MODEL/FILE``, ``open_clip:hf-hub:NAME`` (also ``NAME@REVISION``) and
``open_clip:local-dir:PATH``, a folder with ``open_clip_config.json`` and the weights.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks
from indexes.distribution import pip_install
from indexes.vectors import Space
from retrieval.encoders import (
    Preprocessing,
    hash_weights,
    hub_file,
    space_fingerprint,
    torch_device,
)
from retrieval.encoders.families.open_clip_sources import WEIGHT_SUFFIXES, Source, source_of
from retrieval.encoders.families.open_clip_towers import encode_image, text_tower
from retrieval.encoders.families.torch_encoder import TorchEncoder
from retrieval.encoders.families.torch_models import (
    TorchModel,
    absolute_model,
    known_preprocessing,
    quiet,
    unfit_weights,
)
from retrieval.encoders.towers import folder_of
from retrieval.errors import MissingExtra, UnknownEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from indexes.vectors import Vectors

INSTALL = pip_install("open-clip")
TEXTS_AT_ONCE = 256


class OpenClipEncoder(TorchEncoder):
    """A CLIP model of open_clip, for images and words."""

    def __init__(
        self,
        model: TorchModel,
        *,
        source: Source,
        space: Space,
        how: Preprocessing,
        folder: Path,
        device: str,
    ) -> None:
        self._source = source
        self._tokenizer: Any = None
        self._lock = forks.Lock()
        towers = {"text": text_tower(source.config, tokens=self._tokens)}
        super().__init__(
            model, space=space, how=how, folder=folder, device=device, encode=encode_image, towers=towers
        )

    def __reduce__(self) -> Any:
        return _opened, (self._space.name.partition(":")[2], self._device)

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Return ``(t, d)`` float32 unit rows of texts (a `str` is one); the tokenizer cuts off what exceeds the model's context."""
        texts = [texts] if isinstance(texts, str) else texts
        chunks = [np.empty((0, self._space.dim), dtype=np.float32)]
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            tokens = self._tokens(list(texts[start : start + TEXTS_AT_ONCE]))
            chunks.append(self._towers.encode("text", tokens))
        return np.concatenate(chunks)

    def torch_module(self) -> torch.nn.Module:
        """Return the image tower, resize and normalisation inside: ``(b, 3, h, w)`` in [0, 1] to ``(b, d)``."""
        return self._differentiable("encode_image")

    def _tokens(self, texts: list[str]) -> NDArray[np.int64]:
        with self._lock:  # the tokenizer is made on the first text, and its cache is no thread's own
            if self._tokenizer is None:
                self._tokenizer = _tokenizer(self._source, spec=self._space.name)
            tokens: NDArray[np.int64] = self._tokenizer(texts).numpy()  # (t, context)
        return tokens


class OpenClipFamily:
    """The family ``open_clip``."""

    scheme = "open_clip"
    install: str | None = INSTALL
    image = True
    text = True
    differentiable = True

    def available(self) -> bool:
        """Say whether torch and open_clip are installed."""
        return all(importlib.util.find_spec(name) is not None for name in ("torch", "open_clip"))

    def models(self) -> list[str]:
        """Return the forms of a spec; open_clip lists over a hundred tags itself."""
        return [
            "open_clip:MODEL/TAG",
            "open_clip:MODEL/FILE",
            "open_clip:hf-hub:NAME",
            "open_clip:local-dir:PATH",
        ]

    def canonical(self, model: str) -> str:
        """Return ``model`` with an absolute path where it names one."""
        return absolute_model(model, is_file=lambda rest: rest.endswith(WEIGHT_SUFFIXES))

    def open(self, model: str | None, version: str | None, *, device: str) -> OpenClipEncoder:
        """Load a model: cache first, then network.

        Raises:
            MissingExtra: torch or open_clip is not installed.
            UnknownEncoder: no such model, tag or folder.
            WeightsNotFound: the weights are neither cached nor reachable.
            OptionError: the device is not there.
        """
        if model is None or version is not None:
            raise UnknownEncoder(
                "open_clip takes a model, such as open_clip:ViT-B-32/laion2b_s34b_b79k; forms: "
                + ", ".join(self.models())
            )
        try:
            import open_clip  # noqa: F401 - whether it is there
        except ImportError as error:
            raise MissingExtra(f"open_clip:{model} needs torch and open_clip ({error}); {INSTALL}") from error
        place = torch_device(device)
        model = self.canonical(model)
        spec = f"open_clip:{model}"
        with quiet():
            source = source_of(model)
        weights = hash_weights(source.weights)
        folder = folder_of(
            weights,
            source.name,
            source.whole,
            source.arguments,
            packages=("torch", "open_clip_torch", "onnxruntime"),
        )
        loaded = TorchModel(lambda: _network(source, spec=spec))
        how = known_preprocessing(folder) if place == "cpu" else None
        if how is None:
            how = _preprocessing(loaded().visual.preprocess_cfg)
        space = Space(
            name=spec,
            dim=int(source.config["embed_dim"]),
            fingerprint=space_fingerprint(weights, how.to_json()),
        )
        return OpenClipEncoder(loaded, source=source, space=space, how=how, folder=folder, device=place)


FAMILY = OpenClipFamily()


def _opened(model: str, device: str) -> OpenClipEncoder:
    return FAMILY.open(model, None, device=device)


def _network(source: Source, *, spec: str) -> torch.nn.Module:
    """Load the model on the CPU, in float32."""
    import open_clip

    with quiet():
        try:
            network: torch.nn.Module = open_clip.create_model(source.name, device="cpu", **source.arguments)
        except (RuntimeError, ValueError, KeyError, TypeError, OSError) as error:
            raise unfit_weights(error, source.weights, spec=spec) from error
    return network


def _tokenizer(source: Source, *, spec: str) -> Any:
    import open_clip

    repository = source.config.get("text_cfg", {}).get("hf_tokenizer_name")
    arguments: dict[str, Any] = {}
    if repository:
        if importlib.util.find_spec("transformers") is None:
            raise MissingExtra(
                f"{spec}: its tokenizer {repository} needs transformers; pip install transformers"
            )
        if not source.name.startswith("local-dir:"):
            hub_file(repository, ["tokenizer_config.json"], spec=spec)
            hub_file(
                repository, ["tokenizer.json", "spiece.model", "vocab.txt", "tokenizer.model"], spec=spec
            )
            arguments["local_files_only"] = True
    with quiet():
        return open_clip.get_tokenizer(source.name, **arguments)


def _preprocessing(config: dict[str, Any]) -> Preprocessing:
    """Translate open_clip's preprocessing configuration."""
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    fill = int(config.get("fill_color") or 0)
    # "random" evaluates as bicubic.
    interpolation = "bilinear" if config.get("interpolation") == "bilinear" else "bicubic"
    mean, std = (_three(config[key]) for key in ("mean", "std"))
    return Preprocessing(
        size=(int(height), int(width)),
        mean=mean,
        std=std,
        resize=config.get("resize_mode") or "shortest",
        interpolation=interpolation,
        fill=(fill, fill, fill),
    )


def _three(values: float | Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (values,) * 3 if isinstance(values, int | float) else values
    return (float(red), float(green), float(blue))
