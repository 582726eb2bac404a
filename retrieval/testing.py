"""Test your own encoder or source: `FakeEncoder`, and the contract tests `check_encoder`, `check_family` and `check_source`.

Long because a contract is said and checked in one place.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from indexes.vectors import Space, unit_rows
from retrieval.encoders import (
    CallableEncoder,
    DifferentiableEncoder,
    Encoder,
    TextEncoder,
    canonical_spec,
    checked_pixels,
    checked_text,
    installed_families,
    load_encoder,
)
from retrieval.errors import EncoderError, ImageError, SourceError
from retrieval.sources import (
    ColumnSource,
    CountedSource,
    Listed,
    RememberingSource,
    Seen,
    Skipped,
    Source,
    SourceType,
    keys,
    source_type,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from indexes.vectors import Vectors

__all__ = ["FakeEncoder", "check_encoder", "check_family", "check_source"]

GRID = 8  # pixels a side that FakeEncoder looks at
COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "green": (0, 160, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "orange": (255, 140, 0),
    "purple": (128, 0, 128),
    "grey": (128, 128, 128),
}
LONG_TEXT = "a red bus in the snow " * 2000


class FakeEncoder(CallableEncoder):
    """A deterministic encoder without weights, for tests: like images and like texts get like vectors.

    An image is a fixed random projection of its 8 x 8 thumbnail. A text is the sum of its words' vectors: the
    name of a colour is the vector of a plain image of that colour, any other word is a random direction of its
    own. Two fakes share a space if and only if name, width and nesting are equal.
    """

    decode_size: int | None = 2 * GRID

    def __init__(self, *, dim: int = 64, nesting: Sequence[int] = (), name: str = "fake") -> None:
        identity = f"{name} {dim} {sorted(nesting)}"
        self._space = Space(
            name=name,
            dim=dim,
            fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
            nesting=tuple(nesting),
        )
        generator = np.random.default_rng(list(name.encode()))
        # One seed a name and columns drawn in order, so that a narrower fake is a prefix of a wider one.
        self._projection = generator.standard_normal((dim, GRID * GRID * 3 + 1)).T  # (f, d)

    @property
    def space(self) -> Space:
        """The space: ``name``, ``dim`` and ``nesting`` as given."""
        return self._space

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        """Return the image's thumbnail: ``(8, 8, 3)`` float32 in [-0.5, 0.5]."""
        small = image.convert("RGB").resize((GRID, GRID), resample=4)  # 4 is PIL's BOX: the mean of each cell
        return np.asarray(small, dtype=np.float32) / np.float32(255) - np.float32(0.5)  # (8, 8, 3)

    def encode_pixels(self, batch: NDArray[np.float32]) -> Vectors:
        """Return ``(b, d)`` float32 unit rows for ``(b, 8, 8, 3)`` thumbnails."""
        flat = np.asarray(batch, dtype=np.float64).reshape(len(batch), GRID * GRID * 3)  # (b, f - 1)
        ones = np.full((len(flat), 1), 0.1)  # so that an even grey image has a direction too
        features = np.hstack([flat, ones])  # (b, f)
        return unit_rows(features @ self._projection)  # (b, d)

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Return ``(t, d)`` float32 unit rows of texts; a `str` is one."""
        texts = [texts] if isinstance(texts, str) else texts
        return unit_rows([self._text(text) for text in texts]) if len(texts) else self._none()

    def _none(self) -> Vectors:
        return np.empty((0, self._space.dim), dtype=np.float32)

    def _text(self, text: str) -> NDArray[np.float64]:
        words = re.findall(r"\w+", text.lower()) or [""]
        vectors = np.stack([self._word(word) for word in words]).astype(np.float64)  # (w, d)
        return np.asarray(vectors.sum(axis=0))  # (d,)

    def _word(self, word: str) -> NDArray[np.float32]:
        if word in COLOURS:
            pixels = np.asarray(COLOURS[word], dtype=np.float32) / np.float32(255) - np.float32(0.5)
            return np.asarray(self.encode_pixels(np.broadcast_to(pixels, (1, GRID, GRID, 3)))[0])  # (d,)
        named = f"{self._space.name} {word}".encode("utf-8", "surrogatepass")
        seed = list(hashlib.blake2b(named, digest_size=8).digest())
        vector = np.random.default_rng(seed).standard_normal(self._space.dim)  # (d,)
        return np.asarray(unit_rows(vector)[0])


def check_encoder(encoder: Encoder, images: Sequence[Image.Image] | None = None) -> None:
    """Check that an encoder keeps the contract of `retrieval.encoders`; call it from your plugin's tests.

    Checked are: the space; one fixed float32 shape for images of all sizes, which are left unchanged; unit,
    finite rows of the space's width, the same each time and whatever else is in the batch; different images and
    texts told apart; empty, long and non-ASCII texts; and, for a `DifferentiableEncoder`, that its module agrees
    with `encode_pixels` and passes a gradient to the pixels.

        def test_my_encoder():
            check_encoder(retrieval.load_encoder("mine:small", device="cpu"))

    Args:
        encoder: the encoder.
        images: at least two different RGB images; by default five made here, from 1 x 1 to 640 x 480 pixels.
    Raises:
        EncoderError: a demand is not kept; the message says which, what was expected and what was found.
    """
    if not isinstance(encoder, Encoder):
        raise EncoderError(
            f"{type(encoder).__name__} has no space, preprocess and encode_pixels: it is no encoder"
        )
    space = encoder.space
    if not isinstance(space, Space) or not space.fingerprint:
        raise EncoderError(
            f"space: expected an indexes.vectors.space.Space with a fingerprint, got {space!r}"
        )
    name = space.name
    images = _sample_images() if images is None else list(images)
    _check_pixels(encoder, images, name=name)
    if isinstance(encoder, TextEncoder):
        _check_text(encoder, name=name)
    if isinstance(encoder, DifferentiableEncoder):
        _check_module(encoder, images, name=name)


def check_family(scheme: str, *, specs: Sequence[str] | None = None) -> None:
    """Check that people can name the encoders of an installed plug-in; call it from the plug-in's tests.

    Checked are: one distribution gives the scheme; its module is imported in a new process without loading torch or another
    runtime; each spec has one canonical form; an encoder that is loaded twice, here and in a new process, has one space;
    and every encoder passes `check_encoder`.

        def test_my_family():
            check_family("mine", specs=["mine:small"])

    Args:
        scheme: the entry point's name.
        specs: what is loaded; by default all that the family lists without a part to fill in (capitals, as in ``mine:MODEL``).
    Raises:
        EncoderError: a demand is not kept; the message says which, what was expected and what was found.
        UnknownEncoder, EncoderConflict, MissingExtra: as `retrieval.load_encoder`.
    """
    listed = [family for family in installed_families() if re.split("[:@]", family["spec"])[0] == scheme]
    if not listed:
        canonical_spec(scheme)  # says what is known instead
    for family in listed:
        _demand(family["available"], f"{family['spec']}: listed as not available: {family['install']}")
    loaded = [family["spec"] for family in listed] if specs is None else list(specs)
    loaded = [spec for spec in loaded if specs is not None or not re.search(r"[:@].*[A-Z]{2}", spec)]
    _demand(bool(loaded), f"{scheme}: no spec to load is listed; give some, specs=[{scheme + ':…'!r}]")
    for spec in loaded:
        canonical = canonical_spec(spec)
        again = canonical_spec(canonical)
        _demand(
            again == canonical, f"{spec}: its canonical form {canonical} becomes {again}, expected the same"
        )
        encoder = load_encoder(canonical, device="cpu")
        other = load_encoder(canonical, device="cpu")
        _demand(
            encoder.space == other.space,
            f"{spec}: loaded twice, it has the spaces {encoder.space!r} and {other.space!r}",
        )
        check_encoder(encoder)
        _check_elsewhere(canonical, encoder.space)


_ELSEWHERE = """
import sys
from retrieval.encoders import installed_families, load_encoder
installed_families()
print(*[name for name in ("torch", "tensorflow", "jax", "onnxruntime") if name in sys.modules])
print(load_encoder(sys.argv[1], device="cpu").space.fingerprint)
"""


def _check_elsewhere(spec: str, space: Space) -> None:
    """Load an encoder in a new process: its family is light, and its fingerprint the same."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONHASHSEED": "random",
    }
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, spec], env=environment, capture_output=True, text=True, check=False
    )
    _demand(done.returncode == 0, f"{spec}: cannot be loaded in a new process: {done.stderr.strip()[-300:]}")
    heavy, found = done.stdout.splitlines()[-2:]
    _demand(
        not heavy, f"{spec}: its module imports {heavy} before an encoder is loaded; import it in the loader"
    )
    _demand(
        found == space.fingerprint,
        f"{spec}: its fingerprint is {space.fingerprint[:12]}… here and {found[:12]}… in a new process; "
        "make it with retrieval.fingerprint(…)",
    )


def check_source(
    kind: str | SourceType,
    text: str | os.PathLike[str],
    *,
    options: Mapping[str, Any] | None = None,
    memory: Path | None = None,
) -> None:
    """Check that a type of sources keeps the contract of `retrieval.sources.Source`; call it from your plugin's tests.

    Checked are: the text is recognised, and what is opened has a spec, JSON options and the type's own word; opened again from
    these it lists the same entries, twice in one order, each key once, with stamps of 16 bytes that hold the size; every image is
    read, in several threads too, with as many bytes as its stamp says, if it does; it is held, linked and found by its link; a key of nothing is
    neither held nor read; columns are plain values; and a second listing with a memory is that without one.

        def test_my_source(tmp_path):
            check_source("mine", "mine:holidays", memory=tmp_path)

    Args:
        kind: the type, or its word once it is installed.
        text: a source of it that holds at least two images.
        options: of `retrieval.build_index`, by name.
        memory: an empty folder, for a source that remembers.
    Raises:
        SourceError: a demand is not kept; the message says which, what was expected and what was found.
    """
    whole = kind if not isinstance(kind, str) else source_type(kind)
    source = whole.from_spec(os.fspath(text), options or {})
    name = source.name
    _require(whole.recognises(os.fspath(text)), f"{name}: recognises() is False for {os.fspath(text)!r}")
    _require(source.type == whole.type, f"{name}: its type is {source.type!r}, the class has {whole.type!r}")
    _require(source.type.isidentifier(), f"{name}: the type {source.type!r} is no plain word")
    kept = _json(source.options, name=name)
    strange = sorted(set(kept) - whole.takes)
    _require(not strange, f"{name}: options has {strange}, which `takes` does not name")
    if isinstance(source, RememberingSource):
        source.memory = memory
    listed = _listed(source)
    again = whole.from_spec(source.spec, kept)
    if isinstance(again, RememberingSource):
        again.memory = memory
    _require(again.spec == source.spec, f"{name}: opened from its spec, it has another one: {again.spec}")
    _require(_json(again.options, name=name) == kept, f"{name}: opened from its options, it has others")
    for other in (source, again):
        _require(
            [(entry.key, entry.stamp) for entry in _listed(other)]
            == [(entry.key, entry.stamp) for entry in listed],
            f"{name}: listed again, it gives other entries, or another order",
        )
    _check_reading(again, listed)
    if isinstance(source, CountedSource):
        total = source.total()
        _require(total is None or total >= 0, f"{name}: total() is {total}")


def _listed(source: Source) -> list[Listed]:
    """List a source, and check what it yields."""
    listed = [entry for entry in source.entries(Seen()) if not isinstance(entry, Skipped)]
    name = source.name
    _require(len(listed) > 1, f"{name}: it lists {len(listed)} images; give one that holds at least two")
    names = [entry.key for entry in listed]
    _require(all(isinstance(key, bytes) and key for key in names), f"{name}: a key is empty, or no bytes")
    _require(len(set(names)) == len(names), f"{name}: a key is listed twice")
    for entry in listed:
        stamp = entry.stamp
        fits = isinstance(stamp, bytes) and len(stamp) >= 16 and len(stamp) <= 64
        _require(fits, f"{name}: the stamp of {entry.key!r} is {stamp!r}, expected 16 bytes")
        _require(isinstance(entry.claimed, bool), f"{name}: `claimed` of {entry.key!r} is no bool")
    return listed


def _check_reading(source: Source, listed: Sequence[Listed]) -> None:
    from indexes.engine import ThreadPool

    name = source.name
    images = [entry for entry in listed if entry.claimed or source.look(entry) is entry]
    with ThreadPool(4) as pool:
        data = list(pool.map(source.read, images))
    for entry, found in zip(images, data, strict=True):
        key, size = entry.key, keys.size_of(entry.stamp)
        _require(
            isinstance(found, bytes), f"{name}: read({key!r}) returns {type(found).__name__}, expected bytes"
        )
        _require(size in {0, len(found)}, f"{name}: {key!r} has {len(found)} bytes, its stamp says {size}")
        _require(source.holds(key), f"{name}: holds({key!r}) is False")
        link = source.link(key)
        _require(isinstance(link, str) and bool(link), f"{name}: link({key!r}) is {link!r}")
        same = source.find(link)
        _require(same is None or same.key == key, f"{name}: find({link!r}) gives another key")
        _require(same is None or same.stamp == entry.stamp, f"{name}: find({link!r}) gives another stamp")
        if isinstance(source, ColumnSource):
            _json(source.columns(entry), name=f"{name}: columns of {key!r}")
    nothing = _Nothing(b"no such image/\xff", listed[0].stamp)
    _require(not source.holds(nothing.key), f"{name}: holds() is True for a key of nothing")
    try:
        source.read(nothing)
    except ImageError as error:
        _require(bool(error.reason), f"{name}: the error for a key of nothing has no reason")
    else:
        _require(kept=False, message=f"{name}: read() of a key of nothing raises no ImageError")


class _Nothing(NamedTuple):
    """An entry that no source holds."""

    key: bytes
    stamp: bytes


def _json(values: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """Return values as they come back from JSON."""
    try:
        back: dict[str, Any] = json.loads(json.dumps(dict(values), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise SourceError(f"{name}: {dict(values)!r} cannot be kept as JSON ({error})") from error
    return back


def _require(kept: bool, message: str) -> None:
    if not kept:
        raise SourceError(message)


def _check_pixels(encoder: Encoder, images: Sequence[Image.Image], *, name: str) -> None:
    before = [image.tobytes() for image in images]
    arrays = [encoder.preprocess(image) for image in images]
    after = [image.tobytes() for image in images]
    _demand(before == after, f"{name}: preprocess changed the image that it was given")
    for array in arrays:
        _demand(
            isinstance(array, np.ndarray) and array.dtype == np.float32 and array.shape == arrays[0].shape,
            f"{name}: preprocess must return float32 arrays of one shape, got {_kind(arrays[0])} and {_kind(array)}",
        )
        _demand(bool(np.isfinite(array).all()), f"{name}: preprocess returned a value that is not finite")
    batch = np.stack(arrays)  # (b, ...)
    copy = batch.copy()
    raw = encoder.encode_pixels(batch)
    _demand(np.array_equal(batch, copy), f"{name}: encode_pixels changed the batch that it was given")
    _check_rows(raw, count=len(batch), encoder=encoder, what="encode_pixels")
    vectors = checked_pixels(encoder, batch)  # (b, d)
    _demand(_agree(raw, vectors) > 1 - 1e-3, f"{name}: encode_pixels returns other vectors the second time")
    alone = np.concatenate([checked_pixels(encoder, batch[i : i + 1]) for i in range(len(batch))])  # (b, d)
    _demand(
        _agree(alone, vectors) > 1 - 1e-2, f"{name}: an image's vector depends on the batch that it is in"
    )
    turned = checked_pixels(encoder, np.ascontiguousarray(batch[::-1]))[::-1]  # (b, d)
    _demand(_agree(turned, vectors) > 1 - 1e-2, f"{name}: encode_pixels does not keep the order of its batch")
    closest = float(np.min(vectors @ vectors.T))
    _demand(closest < 1 - 1e-6, f"{name}: all images get the same vector; are the weights loaded?")


def _check_text(encoder: TextEncoder, *, name: str) -> None:
    texts = ["a photo of a dog", "", "a red bus in snow", "ein Zug überquert 東京 🚆", LONG_TEXT]
    raw = encoder.encode_text(texts)
    _check_rows(raw, count=len(texts), encoder=encoder, what="encode_text")
    vectors = checked_text(encoder, texts)  # (t, d)
    _demand(_agree(raw, vectors) > 1 - 1e-3, f"{name}: encode_text returns other vectors the second time")
    alone = np.concatenate([checked_text(encoder, [text]) for text in texts])  # (t, d)
    _demand(_agree(alone, vectors) > 1 - 1e-2, f"{name}: a text's vector depends on the texts beside it")
    _demand(float(vectors[0] @ vectors[2]) < 1 - 1e-6, f"{name}: different texts get the same vector")


def _check_module(encoder: DifferentiableEncoder, images: Sequence[Image.Image], *, name: str) -> None:
    import torch

    module = encoder.torch_module()
    _demand(not module.training, f"{name}: torch_module() must be in evaluation mode")
    parameters = [*module.parameters(), *module.buffers()]
    device = parameters[0].device if parameters else torch.device("cpu")
    largest = max(images, key=lambda image: image.width * image.height).convert("RGB")
    pixels = torch.from_numpy(np.asarray(largest, dtype=np.float32) / np.float32(255))  # (h, w, 3)
    pixels = pixels.permute(2, 0, 1)[None].to(device).requires_grad_()  # (1, 3, h, w)
    vectors = module(pixels)  # (1, d)
    rows = vectors.detach().float().cpu().numpy()
    _check_rows(rows, count=1, encoder=encoder, what="torch_module()")
    expected = checked_pixels(encoder, encoder.preprocess(largest)[None])  # (1, d)
    agreement = _agree(rows, expected)
    # Resampling differs between Pillow's 8-bit and torch's float filters, a little.
    message = f"{name}: torch_module() and encode_pixels agree to {agreement:.3f} only, expected 0.98"
    _demand(agreement > 0.98, message)
    direction = torch.linspace(-1, 1, vectors.shape[1], device=vectors.device)
    (gradient,) = torch.autograd.grad((vectors.float() * direction).sum(), pixels)  # (1, 3, h, w)
    _demand(bool(torch.isfinite(gradient).all()), f"{name}: the gradient of torch_module() is not finite")
    _demand(bool((gradient != 0).any()), f"{name}: torch_module() passes no gradient to the pixels")


def _check_rows(rows: object, *, count: int, encoder: Encoder, what: str) -> None:
    space = encoder.space
    fits = isinstance(rows, np.ndarray) and rows.dtype == np.float32 and rows.shape == (count, space.dim)
    _demand(fits, f"{space.name}: {what} must return float32 ({count}, {space.dim}), got {_kind(rows)}")
    norms = np.linalg.norm(np.asarray(rows), axis=1)  # (count,)
    _demand(bool(np.isfinite(norms).all()), f"{space.name}: {what} returned a value that is not finite")
    _demand(
        bool((np.abs(norms - 1) < 1e-3).all()),
        f"{space.name}: {what} must return unit rows, got lengths {norms.min():.4f} to {norms.max():.4f}",
    )


def _agree(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Return the smallest cosine between rows of the same number."""
    return float(np.einsum("nd,nd->n", left, right).min())


def _kind(array: object) -> str:
    if isinstance(array, np.ndarray):
        return f"{array.dtype} {array.shape}"
    return type(array).__name__


def _demand(kept: bool, message: str) -> None:
    if not kept:
        raise EncoderError(message)


def _sample_images() -> list[Image.Image]:
    """Return five different RGB images, from 1 x 1 to 640 x 480 pixels: smooth colour waves."""
    from PIL import Image

    images = []
    for number, (width, height) in enumerate([(640, 480), (300, 500), (224, 224), (31, 7), (1, 1)]):
        x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))  # (h, w)
        phase = [x * (1 + number) + y * (channel - number) + channel / 7 for channel in range(3)]
        pixels = np.sin(2 * np.pi * np.stack(phase, axis=-1)) * 127 + 128  # (h, w, 3)
        images.append(Image.fromarray(pixels.astype(np.uint8)))
    return images
