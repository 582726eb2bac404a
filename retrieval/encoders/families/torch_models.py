"""Run and resolve torch models of model libraries: what the families open_clip and timm share."""

from __future__ import annotations

import contextlib
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.encoders import hub_file
from retrieval.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch
    from numpy.typing import NDArray

    from indexes.vectors import Vectors

__all__ = [
    "absolute_model",
    "encode_images",
    "half_precision",
    "hub_folder",
    "quiet",
    "unfit_weights",
    "unit_rows_of",
    "weight_bytes",
]


def encode_images(tower: Callable[[Any], Any], batch: NDArray[np.float32], device: str) -> Vectors:
    """Run an image tower over ``(b, 3, h, w)`` preprocessed arrays: ``(b, d)`` float32 unit rows."""
    import torch

    with torch.inference_mode(), half_precision(device):
        pixels = torch.from_numpy(np.ascontiguousarray(batch)).to(device, non_blocking=True)  # (b, 3, h, w)
        return unit_rows_of(tower(pixels))  # (b, d)


def unit_rows_of(features: torch.Tensor) -> Vectors:
    """Return ``(b, d)`` float32 unit rows on the CPU, normalised in float32 whatever the precision."""
    import torch

    rows: NDArray[np.float32] = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
    return rows


def half_precision(device: str) -> contextlib.AbstractContextManager[Any]:
    """Return float16 autocast on CUDA, and nothing elsewhere."""
    import torch

    return (
        torch.autocast("cuda", dtype=torch.float16) if device.startswith("cuda") else contextlib.nullcontext()
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep a library's module-level logging from configuring the root logger, and its advice from users."""
    root = logging.getLogger()
    handler = logging.NullHandler()
    root.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)


def absolute_model(model: str, *, is_file: Callable[[str], bool]) -> str:
    """Return a model's name with an absolute path where it names one: ``local-dir:PATH`` or ``MODEL/FILE``.

    Args:
        model: as it stands in the spec.
        is_file: says whether what follows the first ``/`` is a file of weights.
    """
    if model.startswith("local-dir:"):
        return f"local-dir:{Path(model.removeprefix('local-dir:').strip()).expanduser().absolute()}"
    name, separator, rest = model.partition("/")
    if not model.startswith("hf-hub:") and separator and is_file(rest):
        return f"{name}/{Path(rest).expanduser().absolute()}"
    return model


def hub_folder(model: str, config_name: str, weight_names: Sequence[str], *, spec: str) -> Path:
    """Return the folder of one revision of ``hf-hub:NAME[@REVISION]``, configuration and weights in it.

    Raises:
        EncoderError: the cache holds the two in different revisions.
        UnknownEncoder, WeightsNotFound: as `hub_file`.
    """
    repository, _, revision = model.removeprefix("hf-hub:").strip().partition("@")
    config = hub_file(repository, [config_name], spec=spec, revision=revision or None)
    weights = hub_file(repository, weight_names, spec=spec, revision=revision or None)
    if config.parent != weights.parent:
        raise EncoderError(
            f"{spec}: the cache holds its configuration and its weights in two revisions "
            f"({config.parent.name} and {weights.parent.name}); run `hf download {repository}`"
        )
    return weights.parent


def unfit_weights(error: Exception, weights: Path, *, spec: str) -> EncoderError:
    """Say that a model cannot load its weights, with the first line of the library's reason."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
    return EncoderError(f"{spec}: the weights {weights} do not fit the model: {reason}")


def weight_bytes(build: Callable[[], torch.nn.Module]) -> int | None:
    """Return about how many bytes a model's float32 weights are, counted on torch's meta device.

    Args:
        build: makes the model without weights.
    """
    import torch

    try:
        with torch.device("meta"):
            model = build()
    except (RuntimeError, ValueError, NotImplementedError, ImportError):
        return None
    return int(4 * sum(parameter.numel() for parameter in model.parameters()))
