"""Encoders that succeed each other, without weights: what the old one blurs the new one sees, in a frame of its own."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from indexes.vectors.arrays import unit_rows
from indexes.vectors.space import Space
from indexes.vectors.transforms import Transform
from retrieval.encoders.registry import registry
from retrieval.errors import UnknownEncoder
from retrieval.testing import GRID, FakeEncoder
from tests.retrieval.family import Family

SIGNAL = 24
_MIX = np.linalg.qr(np.random.default_rng(5).standard_normal((SIGNAL, SIGNAL)))[0]
OLD, NEW = 16, 24


class Drift(FakeEncoder):
    """An encoder of `FakeEncoder`'s signal, turned, with a noise that another view of an image does not share.

    Args:
        name: seeds the frame.
        dim: width; the first ``dim`` components of the signal are seen.
        noise: length of the noise against that of the signal.
        frame: name of the frame; encoders of one frame may be compared.
        extends: old spaces that the first components live in.
    """

    def __init__(
        self, name: str, *, dim: int, noise: float, frame: str | None = None, extends: tuple[Space, ...] = ()
    ) -> None:
        super().__init__(name="drift signal", dim=SIGNAL)
        fingerprint = hashlib.sha256(f"{name} {dim} {noise} {frame}".encode()).hexdigest()
        self._space = Space(name=name, dim=dim, fingerprint=fingerprint)
        self._noise = noise
        draws = np.random.default_rng(list((frame or name).encode()))
        self._frame = np.linalg.qr(draws.standard_normal((SIGNAL, SIGNAL)))[0][:dim, :dim]
        self._ripples = draws.standard_normal((SIGNAL, dim))
        self.extends = extends
        self.encoded = 0

    def encode_pixels(self, batch: np.ndarray) -> np.ndarray:
        """Encode: turned signal and noise."""
        self.encoded += len(batch)
        return self._seen(self._signal(batch))

    def encode_text(self, texts: Any) -> np.ndarray:
        """Encode words as `FakeEncoder` does, turned and blurred alike."""
        signal = super().encode_text(texts)
        return self._seen(signal) if len(signal) else np.empty((0, self._space.dim), np.float32)

    def _signal(self, batch: np.ndarray) -> np.ndarray:
        """Return how an image's colours are spread, whichever way it is turned: eight quantiles a channel."""
        flat = np.asarray(batch, dtype=np.float64).reshape(len(batch), GRID * GRID, 3)
        spread = np.quantile(flat, np.linspace(0.05, 0.95, SIGNAL // 3), axis=1)  # (8, b, 3)
        spread -= np.linspace(-0.35, 0.35, SIGNAL // 3)[:, np.newaxis, np.newaxis]  # what most have
        # Columns mixed by a fixed rotation, so that a prefix of them sees all channels.
        return unit_rows(spread.transpose(1, 0, 2).reshape(len(flat), SIGNAL) @ _MIX + 1e-6)

    def _word(self, word: str) -> np.ndarray:
        named = f"drift {word}".encode("utf-8", "surrogatepass")
        seed = list(hashlib.blake2b(named, digest_size=8).digest())
        return unit_rows(np.random.default_rng(seed).standard_normal(SIGNAL))[0]

    def _seen(self, signal: np.ndarray) -> np.ndarray:
        dim = self._space.dim
        turned = unit_rows(signal[:, :dim]) @ self._frame
        # Chaotic in the signal, so that two views of one image get noise that has nothing in common.
        noise = unit_rows(np.sin(200.0 * signal @ self._ripples) + 1e-9)
        return unit_rows(turned + self._noise * noise)


class _Interrupted(Drift):
    after = 0

    def encode_pixels(self, batch: np.ndarray) -> np.ndarray:
        if self.encoded > self.after:
            raise KeyboardInterrupt
        return super().encode_pixels(batch)


def interrupted(model: str, *, after: int) -> Drift:
    """Return an encoder that somebody interrupts once it has encoded more than ``after`` images."""
    encoder = drift(model)
    encoder.__class__ = _Interrupted
    encoder.after = after
    return encoder


def drift(model: str) -> Drift:
    """Open one of the encoders by the name of its model."""
    old = Drift("drift:old", dim=OLD, noise=0.5)
    made = {
        "old": lambda: old,
        "new": lambda: Drift("drift:new", dim=NEW, noise=0.1),
        "twin": lambda: Drift("drift:twin", dim=NEW, noise=0.1, frame="drift:new"),
        "narrow": lambda: Drift("drift:narrow", dim=OLD - 4, noise=0.1),
        "worse": lambda: Drift("drift:worse", dim=NEW, noise=6.0),
        "foreign": lambda: _Foreign("drift:foreign", dim=NEW, noise=0.05),
        "turned": lambda: _Turned("drift:turned", dim=NEW, noise=0.1, extends=(old.space,)),
        "wider": lambda: _Wider("drift:wider", dim=NEW, noise=0.1, extends=(old.space,)),
    }
    if model not in made:
        raise UnknownEncoder(f"no drift:{model}")
    encoder = made[model]()
    encoder.spec = f"drift:{model}"
    return encoder


class _Foreign(Drift):
    """It sees how far each mixture of the signal is from nothing, whatever its sign, so that no map leads to the old space."""

    def _seen(self, signal: np.ndarray) -> np.ndarray:
        first = unit_rows(signal) @ self._ripples[:, : self._space.dim]
        return super()._seen(unit_rows(first**2 - (first**2).mean(axis=1, keepdims=True) + 1e-6))


class _Wider(Drift):
    """Its first components are the old encoder's frame without the blur."""

    def _seen(self, signal: np.ndarray) -> np.ndarray:
        old = drift_frame()
        first = unit_rows(signal[:, :OLD]) @ old
        noise = unit_rows(np.sin(200.0 * signal @ self._ripples) + 1e-9)
        return unit_rows(np.hstack([first, signal[:, OLD:]]) + self._noise * noise)


class _Turned(_Wider):
    """The same, turned by a rotation that it knows the way back from; words lie mirrored."""

    def _seen(self, signal: np.ndarray) -> np.ndarray:
        return super()._seen(signal) @ self._turn

    def encode_text(self, texts: Any) -> np.ndarray:
        return -super().encode_text(texts)

    @property
    def _turn(self) -> np.ndarray:
        return np.linalg.qr(np.random.default_rng(8).standard_normal((NEW, NEW)))[0]

    def maps_back(self, space: Space) -> tuple[Transform, Transform]:
        """Return the rotation back, of words the mirrored one."""
        back = self._turn.T[:, :OLD].astype(np.float32)
        image, text = (
            Transform(source=self.space, target=space, method="built-in", matrix=matrix)
            for matrix in (back, -back)
        )
        return image, text


def drift_frame() -> np.ndarray:
    """Return the old encoder's frame."""
    return Drift("drift:old", dim=OLD, noise=0.5)._frame


FAMILY = Family("drift", "drift:MODEL", lambda model: drift(model or "old"))


@pytest.fixture
def scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let specs name these encoders."""
    monkeypatch.setitem(registry.BUILT_IN, "drift", __name__)


def mild_view(data: bytes, *, seed: tuple[int, int]) -> bytes:
    """Stand in for `retrieval.upgrades.trial.sample.view_of`: these encoders are no match for its crops."""
    file = io.BytesIO()
    image = ImageOps.mirror(Image.open(io.BytesIO(data)).convert("RGB"))
    edge = 2 + seed[1]
    image.crop((edge, edge, image.width - edge, image.height - 2)).save(
        file, "JPEG", quality=95 - 10 * seed[1]
    )
    return file.getvalue()
