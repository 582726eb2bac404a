"""The built-in encoder `nano` for images and words: no download, no torch.

Long because one object offers what both towers can, in ONNX Runtime, numpy and torch: images, words, and words that are misspelt.

The image tower runs in ONNX Runtime, the text tower in numpy; both load on first use, so a query by words touches no
image weights. The ONNX graph names ``image.safetensors`` as its external data: every runtime reads the same bytes.
"""

from __future__ import annotations

import json
import zlib
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks
from indexes.distribution import pip_install
from indexes.vectors import Space
from retrieval.encoders import (
    CallableEncoder,
    Preprocessing,
    Session,
    check_device_name,
    onnx_providers,
    onnx_runtime,
    preprocess,
    space_fingerprint,
)
from retrieval.errors import MissingExtra, UnknownEncoder, WeightsNotFound

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import torch
    from numpy.typing import NDArray
    from PIL import Image

    from indexes.vectors import Transform, Vectors

WEIGHTS = Path(__file__).parent.parent / "weights"
VOCABULARIES = Path(__file__).parent.parent / "vocabularies"


class NanoEncoder(CallableEncoder):
    """One shipped version of `nano`.

    Args:
        folder: holds ``encoder.json``, ``image.onnx``, ``image.safetensors`` and ``text.safetensors``; or ``encoder.json``
            names, as ``text``, the folder beside it whose words it shares: they fill its first components, the rest are 0.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; the text tower always runs on the CPU.
        threads: of the image tower on a CPU; `None` leaves it to ONNX Runtime (one a core).

    Attributes:
        space: the version's space.
        extends: the spaces of earlier versions that its first components live in (see `retrieval.encoders.Encoder`).
    """

    space: Space
    extends: tuple[Space, ...]

    def __init__(self, folder: Path, *, device: str = "auto", threads: int | None = None) -> None:
        facts = _read_facts(folder)
        self._words = folder.parent / facts["text"] if "text" in facts else folder
        self._folder, self._device, self._threads = folder, check_device_name(device), threads
        self._how = Preprocessing(
            size=(facts["size"], facts["size"]),
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
            resize=facts["resize"],
            interpolation=facts["interpolation"],
        )
        self._lock = forks.Lock()
        self.space = Space(
            name=facts["name"],
            dim=facts["width"],
            fingerprint=space_fingerprint(facts["image_sha256"], self._how.to_json()),
            nesting=tuple(facts["nesting"]),
        )
        self.extends = tuple(Space.from_json(known) for known in facts.get("extends", ()))

    def __reduce__(self) -> Any:
        return _nano, (self._folder, self._device, self._threads)

    @cached_property
    def device(self) -> str:
        """Where `encode_pixels` runs: ``cpu``, ``cuda:0`` and so on, or ``mps``; nothing heavy is loaded to say ``cpu``.

        ONNX Runtime with CUDA built in runs on the CPU where a library or a driver is missing, so it is asked.
        """
        if self._device in {"cpu", "mps"}:
            return self._device
        card = f"cuda:{self._device.partition(':')[2] or 0}"
        if self._is_in_torch():
            return card
        # On auto the graph decides: torch is never loaded to encode.
        if "CUDAExecutionProvider" not in onnx_runtime().get_available_providers():
            return "cpu"
        with self._lock:
            providers = self._session.get_providers()
        return card if "CUDAExecutionProvider" in providers else "cpu"

    @property
    def decode_size(self) -> int:
        """Short side in pixels that a scaled decode should keep at least: twice the side that `preprocess` gives."""
        return self._how.decode_size

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        """Return ``(3, s, s)`` float32: the whole image squashed to a square, since a crop would lose content."""
        return preprocess(image, self._how)

    def encode_pixels(self, batch: NDArray[np.float32]) -> Vectors:
        """Return ``(b, d)`` float32 unit rows of stacked `preprocess` arrays, in order; 256 wide for nano@1."""
        with self._lock:
            run = self._image_tower
        rows: Vectors = run(batch)
        return rows

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Return ``(t, d)`` float32 unit rows of texts (a `str` is one); words beyond the 64th of a text are left out."""
        texts = [texts] if isinstance(texts, str) else texts
        if not texts:
            return np.empty((0, self.space.dim), np.float32)
        with self._lock:
            tower = self._text_tower
        rows: Vectors = tower.encode(texts)
        missing = self.space.dim - rows.shape[1]
        return np.pad(rows, ((0, 0), (0, missing))) if missing else rows

    def known_words(self, text: str) -> list[str]:
        """Return the words of a text that nano has learned, or that are near such a word."""
        return self._split(text)[0]

    def unknown_words(self, text: str) -> list[str]:
        """Return the words of a text that nano has never seen: other languages, emoji, names."""
        return self._split(text)[1]

    def read_as(self, text: str, *, keep: Collection[str] = ()) -> tuple[str, dict[str, str]]:
        """Correct misspelt words of a text (see `retrieval.encoders.SpellingEncoder`); nano@1 corrects none."""
        return self._spelling.read_as(text, self._vocabulary, keep=keep) if self._spelling else (text, {})

    def _split(self, text: str) -> tuple[list[str], list[str]]:
        if self._vocabulary is None:
            return text.split(), []
        known, unknown = self._vocabulary.split(text)
        return known, unknown

    @cached_property
    def _vocabulary(self) -> Any:
        """What tells known words; None for weights that have no such file."""
        from retrieval.encoders import Vocabulary
        from retrieval.encoders.families.nano_text import words_of

        try:
            return Vocabulary(VOCABULARIES / f"{self._words.name}.u32", words_of)
        except FileNotFoundError:
            return None

    @cached_property
    def _spelling(self) -> Any:
        """What corrects misspelt words; None for weights that have no list of words."""
        from retrieval.encoders import Spelling

        try:
            return Spelling(VOCABULARIES / f"{self._words.name}.txt") if self._vocabulary else None
        except FileNotFoundError:
            return None

    def maps_back(self, space: Space) -> tuple[Transform, Transform | None]:
        """Return the maps of image and word vectors to an earlier version's space (see `retrieval.encoders.Encoder`).

        Raises:
            WeightsNotFound: the version has no such maps, or they are missing.
        """
        from indexes.vectors import Transform
        from retrieval.encoders.families.nano_text import map_tensors

        tensors = map_tensors(self._weights(_read_facts(self._folder).get("back", "back.safetensors")))
        image, text = (
            Transform(
                source=self.space,
                target=space,
                method="built-in",
                matrix=np.array(tensors[name], np.float32),
                offset=np.array(tensors[f"{name}.offset"], np.float32)
                if f"{name}.offset" in tensors
                else None,
            )
            for name in ("image", "text")
        )
        return image, text

    def torch_module(self) -> torch.nn.Module:
        """Return the image tower as a differentiable module in evaluation mode, preprocessing inside.

        It maps ``(b, 3, h, w)`` float32 RGB in [0, 1] of any size to ``(b, 256)`` unit rows, reading the same bytes as
        the ONNX graph.
        """
        if find_spec("torch") is None:
            raise MissingExtra(
                f"nano's differentiable form needs torch: {pip_install('open-clip')}, or torch alone"
            )
        from retrieval.encoders import differentiable, torch_device

        tower = self._tower()
        # On auto the module goes where torch is fastest: who asks for it has torch already.
        return differentiable(self._how, tower, tower).to(torch_device(self._device))

    def _tower(self) -> torch.nn.Module:
        from retrieval.encoders.families.nano_torch import (
            CROPS,
            POPULARITY_WEIGHT,
            Crop,
            MultiCrop,
            folded_tower,
            read_querybank,
            read_state,
        )

        path = self._weights("image.safetensors")
        tower = folded_tower(read_state(path))
        for parameter in tower.parameters():
            parameter.requires_grad = False
        facts = _read_facts(self._folder)
        crops = [Crop(size=size, side=side, weight=weight) for size, side, weight in facts.get("looks", ())]
        bank = read_querybank(path, weight=facts.get("popularity", POPULARITY_WEIGHT))
        return MultiCrop(tower, crops or CROPS, querybank=bank).eval()

    def _is_in_torch(self) -> bool:
        """Say whether the image tower runs in torch: on MPS, and on CUDA where ONNX Runtime has none."""
        if self._device == "mps":
            return True
        onnx_has_it = "CUDAExecutionProvider" in onnx_runtime().get_available_providers()
        return self._device.startswith("cuda") and not onnx_has_it and find_spec("torch") is not None

    @cached_property
    def _session(self) -> Session:
        self._weights("image.safetensors")  # the graph's numbers lie there
        graph = str(self._weights("image.onnx"))
        return Session(graph, providers=onnx_providers(self._device), threads=self._threads)

    @cached_property
    def _image_tower(self) -> Any:
        if self._is_in_torch():
            return self._run_in_torch()
        session = self._session

        def run(batch: NDArray[np.float32]) -> Vectors:
            rows: Vectors = session.run(None, {"pixels": np.ascontiguousarray(batch, np.float32)})[0]
            return rows

        return run

    def _run_in_torch(self) -> Any:
        if not find_spec("torch"):
            raise MissingExtra(
                f'device {self._device} needs torch; {pip_install("open-clip")}, or give `device="cpu"`'
            )
        import torch

        from retrieval.encoders import torch_device

        place = torch_device(self._device)
        tower = self._tower().to(place)

        def run(batch: NDArray[np.float32]) -> Vectors:
            with torch.inference_mode():
                rows: Vectors = tower(torch.from_numpy(np.ascontiguousarray(batch)).to(place)).cpu().numpy()
            return rows

        return run

    @cached_property
    def _text_tower(self) -> Any:
        from retrieval.encoders.families.nano_text import TextTower

        return TextTower(
            self._weights("text.safetensors", folder=self._words),
            last=_read_facts(self._folder).get("text_last", 1.0),
        )

    def _weights(self, name: str, *, folder: Path | None = None) -> Path:
        """Return the path of a file that is as it was shipped: bytes that have changed would give other vectors under the same fingerprint."""
        path = (folder or self._folder) / name
        if not path.is_file():
            raise _not_whole(path, "is missing")
        shipped = _read_facts(path.parent).get("files", {}).get(name)
        if shipped is not None and checksum(path) != shipped:
            raise _not_whole(path, "is damaged: its bytes are not those that were shipped")
        return path


class NanoFamily:
    """The entry of `nano` among the encoders."""

    scheme = "nano"
    install: str | None = None
    image = True
    text = True
    differentiable = True

    def available(self) -> bool:
        """Say whether any version's weights lie in the package."""
        return bool(_versions())

    def models(self) -> list[str]:
        """Return ``nano@1`` and its successors."""
        return [f"nano@{version}" for version in _versions()]

    def open(self, model: str | None, version: str | None, *, device: str) -> NanoEncoder:
        """Open a version, as `open_nano` does.

        Raises:
            UnknownEncoder: a model is named, or no such version is shipped.
        """
        if model is not None:
            raise UnknownEncoder(f"encoder nano:{model}: nano has versions, not models; {_choices()}")
        return open_nano(version, device=device)


FAMILY = NanoFamily()


def _nano(folder: Path, device: str, threads: int | None) -> NanoEncoder:
    return NanoEncoder(folder, device=device, threads=threads)


def open_nano(version: str | None = None, *, device: str = "auto", threads: int | None = None) -> NanoEncoder:
    """Open a shipped version of `nano`; the newest where ``version`` is `None`.

    Args:
        version: ``"1"`` and so on.
        device: where the image tower runs: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: of the image tower on a CPU; set it to 1 where the caller runs several encoders or decodes beside it.
    Raises:
        UnknownEncoder: no such version is shipped.
        OptionError: the device is not there.
    """
    versions = _versions()
    chosen = version if version is not None else (str(versions[-1]) if versions else "1")
    if chosen not in map(str, versions):
        raise UnknownEncoder(f"encoder nano@{chosen} is not shipped with this release; {_choices()}")
    return NanoEncoder(WEIGHTS / f"nano-{chosen}", device=device, threads=threads)


def _versions() -> list[int]:
    found = (path.parent.name.removeprefix("nano-") for path in WEIGHTS.glob("nano-*/encoder.json"))
    return sorted(int(version) for version in found if version.isdecimal())


def _choices() -> str:
    return "choose among " + (
        ", ".join(f"nano@{version}" for version in _versions()) or "none: no weights are installed"
    )


def _read_facts(folder: Path) -> dict[str, Any]:
    path = folder / "encoder.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _not_whole(path, "is missing") from error
    except ValueError as error:  # no JSON, or no text
        raise _not_whole(path, f"is damaged: {error}") from error
    return facts


def checksum(path: Path) -> str:
    """Return the CRC-32 of a file's bytes in hexadecimal: two milliseconds for 10 MB, so nothing need be remembered at home."""
    found = 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found = zlib.crc32(part, found)
    return f"{found:08x}"


def _not_whole(path: Path, what: str) -> WeightsNotFound:
    return WeightsNotFound(
        f"{path} {what}; install the package again: {pip_install(options='--force-reinstall')}"
    )
