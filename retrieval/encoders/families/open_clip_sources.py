"""Resolve the name of an open_clip model to its configuration and a weight file on this machine."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.encoders import hub_file, url_file
from retrieval.encoders.families.torch_models import hub_folder, weight_bytes
from retrieval.errors import EncoderError, UnknownEncoder, WeightsNotFound

WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".npz")
HUB_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
PREPROCESSING_KEYS = ("size", "mean", "std", "interpolation", "resize_mode", "fill_color")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What to build: arguments of ``open_clip.create_model``, where the weights lie, and all that its configuration says."""

    name: str
    config: dict[str, Any]
    whole: dict[str, Any]
    weights: Path
    arguments: dict[str, Any]


def source_of(model: str) -> Source:
    """Resolve a model to its configuration and a weight file on this machine."""
    if model.startswith("local-dir:"):
        return _from_folder(Path(model.removeprefix("local-dir:")), spec=f"open_clip:{model}")
    if model.startswith("hf-hub:"):
        spec = f"open_clip:{model}"
        return _from_folder(hub_folder(model, "open_clip_config.json", HUB_WEIGHTS, spec=spec), spec=spec)
    return _built_in(model)


def _from_folder(folder: Path, *, spec: str) -> Source:
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
    return Source(name=f"local-dir:{folder}", config=config, whole=data, weights=Path(weights), arguments={})


def _built_in(model: str) -> Source:
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
        return Source(
            name=name, config=config, whole=config, weights=Path(rest), arguments={"pretrained": rest}
        )
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


def _tagged(name: str, tag: str, config: dict[str, Any]) -> Source:
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
    return Source(name=name, config=config, whole=config, weights=weights, arguments=arguments)


def _size(name: str) -> int | None:
    """Return about how many bytes a model's weights are, for a message; None where that cannot be told offline."""
    import open_clip

    if "hf_model_name" in open_clip.get_model_config(name).get("text_cfg", {}):
        return None  # Building it would ask the network.
    return weight_bytes(lambda: open_clip.create_model(name, load_weights=False, device="meta"))
