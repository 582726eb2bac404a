"""Run and resolve torch models of model libraries: what the families open_clip and timm share."""

from __future__ import annotations

import contextlib
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks
from retrieval.encoders import Preprocessing, hub_file, made_images, preprocess
from retrieval.encoders.towers import CardTowers, CpuTowers, Tower, read_facts
from retrieval.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import torch
    from numpy.typing import NDArray


class TorchModel:
    """A torch model that is loaded when it is first needed, without gradients, and may be given back.

    Args:
        load: makes the model, on the CPU.
    """

    def __init__(self, load: Callable[[], torch.nn.Module]) -> None:
        self._load = load
        self._lock = forks.Lock()
        self._model: Any = None

    def __call__(self) -> Any:
        """Return the model; the same one until it is given back."""
        with self._lock:
            if self._model is None:
                self._model = self._anew()
            return self._model

    def taken(self) -> Any:
        """Return a model for a caller that changes it; the next call loads another one."""
        with self._lock:
            model, self._model = self._model, None
        return self._anew() if model is None else model

    def give_back(self) -> None:
        """Let go of the model."""
        with self._lock:
            self._model = None

    def _anew(self) -> Any:
        return self._load().eval().requires_grad_(requires_grad=False)


def running(
    model: TorchModel,
    towers: Mapping[str, Tower],
    *,
    folder: Path,
    how: Preprocessing,
    device: str,
) -> CpuTowers | CardTowers:
    """Return what runs a model's towers on a device.

    Args:
        model: loads it.
        towers: by name, such as ``image``.
        folder: of its exported graphs.
        how: its preprocessing.
        device: torch's name.
    """
    if device != "cpu":
        return CardTowers(model.taken, towers, device=device, how=how)
    if read_facts(folder) is not None:
        model.give_back()  # exported before
    return CpuTowers(folder, model, towers, done=model.give_back, notes={"preprocessing": how.to_json()})


def known_preprocessing(folder: Path) -> Preprocessing | None:
    """Return the preprocessing of a model whose towers were exported before; None where they were not."""
    facts = read_facts(folder)
    return None if facts is None else Preprocessing.from_json(facts["preprocessing"])


def image_tower(how: Preprocessing, encode: Callable[[Any, Any], Any]) -> Tower:
    """Return the image tower of a model.

    Args:
        how: its preprocessing.
        encode: maps the model and pixels ``(b, 3, h, w)`` to features ``(b, d)``.
    """
    return Tower(
        module=lambda network: as_module(network, encode), encode=encode, example=lambda: _example(how)
    )


def as_module(network: torch.nn.Module, encode: Callable[[Any, Any], Any]) -> torch.nn.Module:
    """Return a module whose `forward` is a function of a model and one tensor."""
    import torch

    class Encode(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, inputs: Any) -> Any:
            return encode(self.network, inputs)

    return Encode().eval()


def _example(how: Preprocessing) -> NDArray[np.float32]:
    """Return images by which two runtimes are compared, ``(8, 3, h, w)``: two made ones, and noise."""
    made = [preprocess(image, how) for image in made_images()]
    noise = np.random.default_rng(0).standard_normal((8 - len(made), *made[0].shape), dtype=np.float32)
    return np.concatenate((np.stack(made), noise))


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
