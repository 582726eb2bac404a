"""CLIP models of the open_clip library: ``open_clip:MODEL/TAG``.

``open_clip:MODEL/TAG``, ``open_clip:MODEL/FILE``, ``open_clip:hf-hub:NAME`` (also ``NAME@REVISION``) and
``open_clip:local-dir:PATH``, a folder with ``open_clip_config.json`` and the weights.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks
from indexes.distribution import pip_install
from indexes.vectors import Space
from retrieval.encoders import (
    CallableEncoder,
    Preprocessing,
    differentiable,
    hash_weights,
    hub_file,
    preprocess,
    space_fingerprint,
    torch_device,
    url_file,
)
from retrieval.encoders.families.torch_models import (
    absolute_model,
    encode_images,
    half_precision,
    hub_folder,
    quiet,
    unfit_weights,
    unit_rows_of,
    weight_bytes,
)
from retrieval.errors import EncoderError, MissingExtra, UnknownEncoder, WeightsNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray
    from PIL import Image

    from indexes.vectors import Vectors

__all__ = ["FAMILY", "OpenClipEncoder"]

INSTALL = pip_install("open-clip")
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".npz")
HUB_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
PREPROCESSING_KEYS = ("size", "mean", "std", "interpolation", "resize_mode", "fill_color")
TEXTS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What to build: arguments of ``open_clip.create_model``, and where the weights lie."""

    name: str
    config: dict[str, Any]
    weights: Path
    arguments: dict[str, Any]


class OpenClipEncoder(CallableEncoder):
    """A CLIP model of open_clip in half precision on a GPU, in float32 on a CPU."""

    def __init__(
        self, model: torch.nn.Module, *, space: Space, how: Preprocessing, source: _Source, device: str
    ) -> None:
        self._model: Any = model  # torch types a module's methods as tensors
        self._space = space
        self._how = how
        self._source = source
        self._device = device
        self._tokenizer: Any = None
        self._lock = forks.Lock()

    @property
    def space(self) -> Space:
        """The joint space of images and words."""
        return self._space

    @property
    def device(self) -> str:
        """Where the model runs, such as ``cpu`` or ``cuda:0``."""
        return str(self._device)

    @property
    def decode_size(self) -> int:
        """Twice the size that the model reads."""
        return self._how.decode_size

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        """Return ``(3, h, w)`` float32, as open_clip's own evaluation transform does."""
        return preprocess(image, self._how)

    def encode_pixels(self, batch: NDArray[np.float32]) -> Vectors:
        """Return ``(b, d)`` float32 unit rows for ``(b, 3, h, w)`` arrays."""
        return encode_images(self._model.encode_image, batch, self._device)

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Return ``(t, d)`` float32 unit rows of texts (a `str` is one); the tokenizer cuts off what exceeds the model's context."""
        import torch

        texts = [texts] if isinstance(texts, str) else texts
        chunks = [np.empty((0, self._space.dim), dtype=np.float32)]
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            tokens = self._tokens(list(texts[start : start + TEXTS_AT_ONCE]))
            with torch.inference_mode(), half_precision(self._device):
                chunks.append(unit_rows_of(self._model.encode_text(tokens.to(self._device))))
        return np.concatenate(chunks)

    def torch_module(self) -> torch.nn.Module:
        """Return the image tower, resize and normalisation inside: ``(b, 3, h, w)`` in [0, 1] to ``(b, d)``."""
        module = differentiable(self._how, self._model.encode_image, self._model)
        return module.to(self._device)

    def _tokens(self, texts: list[str]) -> torch.Tensor:
        with self._lock:  # the tokenizer is made on the first text, and its cache is no thread's own
            if self._tokenizer is None:
                self._tokenizer = _tokenizer(self._source, spec=self._space.name)
            tokens: torch.Tensor = self._tokenizer(texts)
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
            import open_clip
        except ImportError as error:
            raise MissingExtra(f"open_clip:{model} needs torch and open_clip ({error}); {INSTALL}") from error
        place = torch_device(device)
        model = self.canonical(model)
        with quiet():
            source = _source(model)
            try:
                network = open_clip.create_model(source.name, device=place, **source.arguments)
            except (RuntimeError, ValueError, KeyError, TypeError, OSError) as error:
                raise unfit_weights(error, source.weights, spec=f"open_clip:{model}") from error
        network.eval().requires_grad_(requires_grad=False)
        how = _preprocessing(network.visual.preprocess_cfg)
        space = Space(
            name=f"open_clip:{model}",
            dim=int(source.config["embed_dim"]),
            fingerprint=space_fingerprint(hash_weights(source.weights), how.to_json()),
        )
        return OpenClipEncoder(network, space=space, how=how, source=source, device=place)


FAMILY = OpenClipFamily()


def _source(model: str) -> _Source:
    """Resolve a model to its configuration and a weight file on this machine."""
    if model.startswith("local-dir:"):
        return _from_folder(Path(model.removeprefix("local-dir:")), spec=f"open_clip:{model}")
    if model.startswith("hf-hub:"):
        spec = f"open_clip:{model}"
        return _from_folder(hub_folder(model, "open_clip_config.json", HUB_WEIGHTS, spec=spec), spec=spec)
    return _built_in(model)


def _from_folder(folder: Path, *, spec: str) -> _Source:
    """Read ``open_clip_config.json`` and find the weights beside it."""
    import open_clip.factory

    path = folder / "open_clip_config.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        config = data["model_cfg"]
        int(config["embed_dim"])
    except FileNotFoundError as error:
        raise UnknownEncoder(
            f"{spec}: {path} does not exist; a local-dir holds it and the weights"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(f"{spec}: {path} is no configuration of open_clip ({error!r})") from error
    # The very function by which create_model will choose the file that it reads.
    weights = open_clip.factory._find_checkpoint_in_dir(folder)  # noqa: SLF001
    if weights is None:
        raise WeightsNotFound(
            f"{spec}: {folder} has no weights; put {HUB_WEIGHTS[0]} or {HUB_WEIGHTS[-1]} there"
        )
    return _Source(name=f"local-dir:{folder}", config=config, weights=Path(weights), arguments={})


def _built_in(model: str) -> _Source:
    """Resolve ``MODEL/TAG`` or ``MODEL/FILE`` of a built-in model; ``ViT-B/32`` is ``ViT-B-32``, as in papers."""
    import open_clip

    known = open_clip.list_models()
    name, _, rest = model.partition("/")
    if name not in known:
        second, _, after = rest.partition("/")
        if f"{name}-{second}" in known:
            name, rest = f"{name}-{second}", after
    name, rest = name.strip(), rest.strip()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        raise UnknownEncoder(
            f"open_clip has no model {name!r}; close: {', '.join(close) or 'none'} "
            f"(all {len(known)}: python -c 'import open_clip; print(open_clip.list_models())')"
        )
    config = open_clip.get_model_config(name)
    if rest and Path(rest).is_file():
        return _Source(name=name, config=config, weights=Path(rest), arguments={"pretrained": rest})
    tags = open_clip.list_pretrained_tags_by_model(name)
    if rest.endswith(WEIGHT_SUFFIXES):
        raise WeightsNotFound(f"open_clip:{model}: no file {rest}")
    if rest not in tags:
        wanted = (
            f"no weights {rest!r} for {name}" if rest else f"{name} needs weights, as open_clip:{name}/TAG"
        )
        close = difflib.get_close_matches(rest, tags, n=1)
        hint = f"did you mean open_clip:{name}/{close[0]}? " if close else ""
        raise UnknownEncoder(f"open_clip: {wanted}; {hint}tags: {', '.join(tags) or 'none'}, or a file")
    return _tagged(name, rest, config)


def _tagged(name: str, tag: str, config: dict[str, Any]) -> _Source:
    import open_clip

    spec = f"open_clip:{name}/{tag}"
    entry = open_clip.get_pretrained_cfg(name, tag)
    repository, _, filename = entry.get("hf_hub", "").rpartition("/")
    if repository:
        safe = f"{Path(filename).stem}.safetensors"
        names = list(dict.fromkeys((safe, filename))) if filename else HUB_WEIGHTS
        weights = hub_file(repository, names, spec=spec, size=lambda: _size(name))
    else:
        weights = url_file(
            entry["url"],
            Path("~/.cache/clip").expanduser(),  # where open_clip keeps what is not on the hub
            open_clip.download_pretrained_from_url,
            spec=spec,
            size=lambda: _size(name),
        )
    overrides = {key: entry[key] for key in PREPROCESSING_KEYS if entry.get(key) is not None}
    arguments: dict[str, Any] = {"pretrained": str(weights), "force_preprocess_cfg": overrides}
    if bool(entry.get("quick_gelu")) != bool(config.get("quick_gelu")):
        # open_clip only warns and computes with the wrong activation, which costs several points of accuracy.
        arguments["quick_gelu"] = bool(entry.get("quick_gelu"))
    return _Source(name=name, config=config, weights=weights, arguments=arguments)


def _size(name: str) -> int | None:
    """Return about how many bytes a model's weights are, for a message; None where that cannot be told offline."""
    import open_clip

    if "hf_model_name" in open_clip.get_model_config(name).get("text_cfg", {}):
        return None  # Building it would ask the network.
    return weight_bytes(lambda: open_clip.create_model(name, load_weights=False, device="meta"))


def _tokenizer(source: _Source, *, spec: str) -> Any:
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
