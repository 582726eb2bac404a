"""Encoders in a folder of ONNX graphs: ``onnx:DIR``.

    DIR/encoder.json      {"width": 512, "size": 224, "resize": "shortest", "mean": [...], "std": [...],
                           "context_length": 77, "nesting": []}
    DIR/image.onnx        (b, 3, size, size) float32 or float16 -> (b, width)
    DIR/text.onnx         optional: (t, context_length) int64 or int32, and an attention mask if it wants one
    DIR/tokenizer.json    with text.onnx: a tokenizer of the `tokenizers` library

``encoder.json`` may also have ``interpolation`` (bicubic), ``name``, ``fingerprint``: that of the space, where the graphs
are another form of a model that already has one, and ``extends``: spaces (``name``, ``dim``, ``fingerprint``, ``nesting``) that
the first components live in, for a model that was trained to be compatible with older ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.distribution import pip_install
from indexes.vectors import Space
from retrieval.encoders import (
    CallableEncoder,
    Preprocessing,
    check_device_name,
    hash_file,
    preprocess,
    space_fingerprint,
)
from retrieval.encoders.families.onnx_graphs import Graph, open_image_graph, open_text_graph
from retrieval.errors import EncoderError, MissingExtra, UnknownEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from indexes.vectors import Vectors

TEXTS_AT_ONCE = 64
EXTERNAL_SUFFIXES = (".safetensors", ".data", ".bin", ".weights", ".onnx_data")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contract:
    """What ``encoder.json`` says."""

    width: int
    how: Preprocessing
    context_length: int | None
    nesting: tuple[int, ...]
    name: str | None
    fingerprint: str | None
    extends: tuple[Space, ...] = ()


class OnnxEncoder(CallableEncoder):
    """An image encoder from ``image.onnx``."""

    def __init__(self, contract: _Contract, image: Graph, space: Space) -> None:
        self._contract = contract
        self._image = image
        self._space = space

    @property
    def space(self) -> Space:
        """The space; named after the folder unless ``encoder.json`` names it."""
        return self._space

    @property
    def extends(self) -> tuple[Space, ...]:
        """The spaces that the first components live in."""
        return self._contract.extends

    @property
    def device(self) -> str:
        """Where the graphs run: ``cpu`` or ``cuda``."""
        return "cuda" if "CUDAExecutionProvider" in self._image.session.get_providers() else "cpu"

    @property
    def decode_size(self) -> int:
        """Twice the size that the model reads."""
        return self._contract.how.decode_size

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        """Return ``(3, size, size)`` float32."""
        return preprocess(image, self._contract.how)

    def encode_pixels(self, batch: NDArray[np.float32]) -> Vectors:
        """Return ``(b, width)`` float32 unit rows for ``(b, 3, size, size)`` arrays."""
        return self._image.run([batch], width=self._contract.width)


class OnnxTextEncoder(OnnxEncoder):
    """An encoder from ``image.onnx`` and ``text.onnx``."""

    def __init__(
        self, contract: _Contract, image: Graph, space: Space, *, text: Graph, tokenizer: Any
    ) -> None:
        super().__init__(contract, image, space)
        self._text = text
        self._tokenizer = tokenizer

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Return ``(t, width)`` float32 unit rows of texts (a `str` is one), which are cut to ``context_length`` tokens."""
        texts = [texts] if isinstance(texts, str) else texts
        chunks = [np.empty((0, self._contract.width), dtype=np.float32)]
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            encodings = self._tokenizer.encode_batch(list(texts[start : start + TEXTS_AT_ONCE]))
            ids = np.asarray([encoding.ids for encoding in encodings], dtype=np.int64)  # (t, context)
            mask = np.asarray(
                [encoding.attention_mask for encoding in encodings], dtype=np.int64
            )  # (t, context)
            feeds = [mask if "mask" in name else ids for name, _ in self._text.inputs]
            chunks.append(self._text.run(feeds, width=self._contract.width))
        return np.concatenate(chunks)


class OnnxFamily:
    """The family ``onnx``."""

    scheme = "onnx"
    install: str | None = "pip install onnxruntime"
    image = True
    text = True
    differentiable = False

    def available(self) -> bool:
        """Say whether onnxruntime is installed (it is a dependency)."""
        import importlib.util

        return importlib.util.find_spec("onnxruntime") is not None

    def models(self) -> list[str]:
        """Return the form of a spec."""
        return ["onnx:DIR"]

    def canonical(self, model: str) -> str:
        """Return the folder as an absolute path."""
        return str(Path(model.strip()).expanduser().absolute())

    def open(self, model: str | None, version: str | None, *, device: str) -> OnnxEncoder:
        """Open a folder of graphs.

        Raises:
            UnknownEncoder: no such folder, or no ``encoder.json`` or ``image.onnx`` in it.
            EncoderError: a file is not what the contract says.
            MissingExtra: there is a ``text.onnx`` and the tokenizers package is not installed.
            OptionError: the device is not there.
        """
        if model is None or version is not None:
            raise UnknownEncoder("onnx takes a folder: onnx:DIR with encoder.json and image.onnx")
        folder = Path(self.canonical(model))
        for name in ("encoder.json", "image.onnx"):
            if not (folder / name).is_file():
                raise UnknownEncoder(
                    f"onnx:{folder}: no file {name}; the folder holds encoder.json and image.onnx"
                )
        contract = _contract(folder / "encoder.json")
        device = check_device_name(device)
        image = open_image_graph(
            folder / "image.onnx", width=contract.width, size=contract.how.size, device=device
        )
        text_path = folder / "text.onnx"
        tokenizer = _tokenizer(folder / "tokenizer.json", contract) if text_path.is_file() else None
        space = Space(
            name=contract.name or f"onnx:{folder.name}",
            dim=contract.width,
            fingerprint=contract.fingerprint
            or space_fingerprint(_hash_folder(folder), contract.how.to_json()),
            nesting=contract.nesting,
        )
        if tokenizer is None:
            return OnnxEncoder(contract, image, space)
        text = open_text_graph(
            text_path, width=contract.width, context=contract.context_length, device=device
        )
        return OnnxTextEncoder(contract, image, space, text=text, tokenizer=tokenizer)


FAMILY = OnnxFamily()


def _contract(path: Path) -> _Contract:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        size = data["size"]
        height, width = (size, size) if isinstance(size, int) else size
        red, green, blue = map(float, data["mean"])
        std_red, std_green, std_blue = map(float, data["std"])
        context = data.get("context_length")
        contract = _Contract(
            width=int(data["width"]),
            how=Preprocessing(
                size=(int(height), int(width)),
                resize=str(data["resize"]),
                mean=(red, green, blue),
                std=(std_red, std_green, std_blue),
                interpolation=str(data.get("interpolation", "bicubic")),
            ),
            context_length=None if context is None else int(context),
            nesting=tuple(int(prefix) for prefix in data.get("nesting") or ()),
            name=data.get("name"),
            fingerprint=data.get("fingerprint"),
            extends=tuple(Space.from_json(space) for space in data.get("extends") or ()),
        )
    except KeyError as error:
        raise EncoderError(
            f"{path}: the key {error} is missing (width, size, resize, mean and std must be there)"
        ) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise EncoderError(f"{path}: not readable as an encoder's description: {error}") from error
    if contract.width < 1:
        raise EncoderError(f"{path}: width {contract.width} is not positive")
    return contract


def _tokenizer(path: Path, contract: _Contract) -> Any:
    if not path.is_file():
        raise EncoderError(f"{path.parent}: text.onnx needs {path.name} beside it")
    if contract.context_length is None or contract.context_length < 1:
        raise EncoderError(f"{path.parent / 'encoder.json'}: text.onnx needs a positive context_length")
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtra(f"{path} needs the tokenizers package; {pip_install('onnx')}") from error
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise EncoderError(f"{path}: not readable as a tokenizer: {error}") from error
    tokenizer.enable_truncation(contract.context_length)
    padding = tokenizer.padding or {}
    tokenizer.enable_padding(
        length=contract.context_length,
        pad_id=padding.get("pad_id", 0),
        pad_token=padding.get("pad_token", "[PAD]"),
        direction=padding.get("direction", "right"),
    )
    return tokenizer


def _hash_folder(folder: Path) -> str:
    """Return the hash of the graphs, the weights beside them and the tokenizer."""
    names = ["image.onnx", "text.onnx", "tokenizer.json"]
    names += sorted(path.name for path in folder.iterdir() if path.suffix in EXTERNAL_SUFFIXES)
    return json.dumps([[name, hash_file(folder / name)] for name in names if (folder / name).is_file()])
