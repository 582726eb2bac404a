"""Image models of the timm library: ``timm:MODEL``.

``timm:MODEL`` (also ``MODEL.TAG``), ``timm:MODEL/FILE``, ``timm:hf-hub:NAME`` and ``timm:local-dir:PATH``, a folder
with ``config.json`` and the weights.
"""

from __future__ import annotations

import difflib
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.distribution import pip_install
from indexes.vectors import Space
from retrieval.encoders import (
    Preprocessing,
    hash_weights,
    hub_file,
    space_fingerprint,
    torch_device,
    url_file,
)
from retrieval.encoders.families.torch_encoder import TorchEncoder
from retrieval.encoders.families.torch_models import (
    TorchModel,
    absolute_model,
    hub_folder,
    quiet,
    unfit_weights,
    weight_bytes,
)
from retrieval.encoders.towers import folder_of
from retrieval.errors import EncoderError, MissingExtra, UnknownEncoder, WeightsNotFound

if TYPE_CHECKING:
    import torch

INSTALL = pip_install("open-clip")
HUB_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What to build: arguments of ``timm.create_model``, and where the weights lie."""

    name: str
    weights: Path
    overlay: dict[str, Any] | None = None
    config: str = ""


class TimmEncoder(TorchEncoder):
    """A timm model's pooled features, without its classifier."""

    def __reduce__(self) -> Any:
        return _opened, (self._space.name.partition(":")[2], self._device)

    def torch_module(self) -> torch.nn.Module:
        """Return the model, resize and normalisation inside: ``(b, 3, h, w)`` in [0, 1] to ``(b, d)``."""
        return self._differentiable()


class TimmFamily:
    """The family ``timm``."""

    scheme = "timm"
    install: str | None = INSTALL
    image = True
    text = False
    differentiable = True

    def available(self) -> bool:
        """Say whether torch and timm are installed."""
        return all(importlib.util.find_spec(name) is not None for name in ("torch", "timm"))

    def models(self) -> list[str]:
        """Return the forms of a spec; timm lists over a thousand models itself."""
        return ["timm:MODEL", "timm:MODEL/FILE", "timm:hf-hub:NAME", "timm:local-dir:PATH"]

    def canonical(self, model: str) -> str:
        """Return ``model`` with an absolute path where it names one."""
        return absolute_model(model, is_file=lambda _: True)

    def open(self, model: str | None, version: str | None, *, device: str) -> TimmEncoder:
        """Load a model: cache first, then network.

        Raises:
            MissingExtra: torch or timm is not installed.
            UnknownEncoder: no such model, or one without pretrained weights.
            WeightsNotFound: the weights are neither cached nor reachable.
            OptionError: the device is not there.
        """
        if model is None or version is not None:
            raise UnknownEncoder(
                "timm takes a model, such as timm:resnet18; forms: " + ", ".join(self.models())
            )
        try:
            from timm.data.config import resolve_model_data_config
        except ImportError as error:
            raise MissingExtra(f"timm:{model} needs torch and timm ({error}); {INSTALL}") from error
        place = torch_device(device)
        model = self.canonical(model)
        spec = f"timm:{model}"
        with quiet():
            source = _source(model, spec=spec)
        loaded = TorchModel(lambda: _network(source, spec=spec))
        weights = hash_weights(source.weights)
        folder = folder_of(
            weights,
            source.name.partition(":")[0],
            source.config,
            packages=("torch", "timm", "onnxruntime"),
        )
        how = _preprocessing(resolve_model_data_config(loaded()))  # type: ignore[no-untyped-call]
        space = Space(
            name=spec,
            dim=_width(loaded(), how, spec=spec),
            fingerprint=space_fingerprint(weights, how.to_json()),
        )
        return TimmEncoder(loaded, space=space, how=how, folder=folder, device=place, encode=_features)


FAMILY = TimmFamily()


def _opened(model: str, device: str) -> TimmEncoder:
    return FAMILY.open(model, None, device=device)


def _network(source: _Source, *, spec: str) -> torch.nn.Module:
    """Load the model on the CPU, in float32."""
    import timm

    with quiet():
        try:
            network: torch.nn.Module = timm.create_model(
                source.name, pretrained=True, num_classes=0, pretrained_cfg_overlay=source.overlay
            )
        except (RuntimeError, ValueError, KeyError, TypeError, OSError, AssertionError) as error:
            raise unfit_weights(error, source.weights, spec=spec) from error
    return network


def _features(network: Any, pixels: torch.Tensor) -> torch.Tensor:
    features: torch.Tensor = network(pixels)
    return features


def _source(model: str, *, spec: str) -> _Source:
    """Resolve a model to its name in timm and a weight file on this machine."""
    import timm

    if model.startswith("local-dir:"):
        return _from_folder(Path(model.removeprefix("local-dir:")), spec=spec)
    if model.startswith("hf-hub:"):
        return _from_folder(hub_folder(model, "config.json", HUB_WEIGHTS, spec=spec), spec=spec)
    name, _, file = model.partition("/")
    name = name.strip()
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        raise UnknownEncoder(
            f"timm has no model {architecture!r}; close: {', '.join(close) or 'none'} "
            f"(all: python -c 'import timm; print(timm.list_models())')"
        )
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*") or []]
    if file:
        if not Path(file).is_file():
            raise WeightsNotFound(f"{spec}: no file {file}")
        return _Source(
            name=architecture if tag not in tags else name, weights=Path(file), overlay={"file": file}
        )
    if tag and tag not in tags:
        raise UnknownEncoder(
            f"timm has no weights {tag!r} for {architecture}; tags: {', '.join(tags) or 'none'}, or timm:{name}/FILE"
        )
    return _pretrained(name, spec=spec)


def _pretrained(name: str, *, spec: str) -> _Source:
    import timm
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    if config is not None and config.hf_hub_id:
        repository, _, revision = config.hf_hub_id.partition("@")
        names = [config.hf_hub_filename] if config.hf_hub_filename else list(HUB_WEIGHTS)
        path = hub_file(repository, names, spec=spec, revision=revision or None, size=lambda: _size(name))
    elif config is not None and config.url:
        from timm.models._hub import download_cached_file, get_cache_dir

        url = config.url if isinstance(config.url, str) else config.url[0]
        path = url_file(url, Path(get_cache_dir()), download_cached_file, spec=spec, size=lambda: _size(name))
    else:
        raise UnknownEncoder(
            f"{spec}: timm {timm.__version__} has no pretrained weights for it; use timm:{name}/FILE"
        )
    return _Source(name=name, weights=path, overlay={"file": str(path)})


def _from_folder(folder: Path, *, spec: str) -> _Source:
    """Find ``config.json`` and the weights beside it, in the layout of timm's ``save_for_hf``."""
    if not (folder / "config.json").is_file():
        raise UnknownEncoder(
            f"{spec}: {folder / 'config.json'} does not exist; a local-dir holds it and the weights"
        )
    # The names that timm prefers, in its order: otherwise another file might be hashed than is read.
    for name in (*HUB_WEIGHTS, "pytorch_model.pth", "model.pth"):
        if (folder / name).is_file():
            config = (folder / "config.json").read_text(encoding="utf-8")
            return _Source(name=f"local-dir:{folder}", weights=folder / name, config=config)
    raise WeightsNotFound(f"{spec}: {folder} has no weights; put {' or '.join(HUB_WEIGHTS)} there")


def _size(name: str) -> int | None:
    """Return about how many bytes a model's weights are, for a message."""
    import timm

    return weight_bytes(lambda: timm.create_model(name, pretrained=False, num_classes=0))


def _width(model: torch.nn.Module, how: Preprocessing, *, spec: str) -> int:
    """Return the width of the pooled features: by asking, as no attribute says it for every model."""
    import torch

    with torch.inference_mode():
        features = model(torch.zeros(1, 3, *how.size))
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        raise EncoderError(
            f"{spec}: expected pooled features (b, d), got {getattr(features, 'shape', type(features))}"
        )
    return int(features.shape[1])


def _preprocessing(config: dict[str, Any]) -> Preprocessing:
    """Translate timm's data configuration."""
    _, height, width = config["input_size"]
    part = config["crop_pct"]
    mode = config.get("crop_mode") or "center"
    red, green, blue = (float(value) for value in config["mean"])
    std_red, std_green, std_blue = (float(value) for value in config["std"])
    return Preprocessing(
        size=(height, width),
        scale=(math.floor(height / part), math.floor(width / part)),
        mean=(red, green, blue),
        std=(std_red, std_green, std_blue),
        resize={"center": "shortest", "border": "longest", "squash": "squash"}[mode],
        interpolation=config["interpolation"] if config["interpolation"] != "random" else "bilinear",
        fill=(round(255 * red), round(255 * green), round(255 * blue)) if mode == "border" else (0, 0, 0),
    )
