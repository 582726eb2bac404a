"""Define what an encoder can do, as protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL import Image

    from indexes.vectors import Space, Vectors


@runtime_checkable
class Encoder(Protocol):
    """Something that turns images into vectors of one space.

    A template, whole but for the model::

        class Mine:
            def __init__(self, model=None, *, device="auto"):
                self.net = load_my_network(WEIGHTS)
                self.space = retrieval.Space(name="mine", dim=512, fingerprint=retrieval.fingerprint(WEIGHTS, "224 px"))

            def preprocess(self, image):
                return np.asarray(image.resize((224, 224)), np.float32) / 255

            def encode_pixels(self, batch):
                rows = self.net(batch)
                return rows / np.linalg.norm(rows, axis=1, keepdims=True)

            def encode_text(self, texts):  # if it reads words
                ...

    Give it to ``build_index(…, encoder=Mine())``, or let people name it: ``--encoder mine`` and ``load_encoder("mine")`` work
    once the package declares ``mine = "my_package:Mine"`` in the entry-point group ``retrieval.encoders``.

    An encoder may also have ``decode_size: int | None``, the short side in pixels that a scaled decode should
    keep at least (`None`, or no such attribute: decode in full), and ``device: str``, where it runs (``cpu`` without
    such an attribute): ahead of an accelerator, batches are larger and decoded further ahead. If it has ``trouble: str | None``
    and that is a line at the end of a build, the build passes it on as a note. One that was trained to extend
    older spaces has ``extends: tuple[Space, ...]``: its first components, as many as such a space is wide and normalised on
    their own, may be compared with that space's vectors, so that `retrieval.upgrade` needs to fit nothing; or it has
    ``maps_back(space)``, which gives the map of queries by image to such a space and that of queries by words (or None).
    """

    @property
    def space(self) -> Space:
        """The space of every vector that this encoder returns."""
        ...

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        """Return what the model reads of one image.

        Args:
            image: RGB, upright; left unchanged. Called from several threads at once.
        Returns:
            float32, of one fixed shape whatever the image's size.
        """
        ...

    def encode_pixels(self, batch: NDArray[np.float32]) -> Vectors:
        """Return the vectors of stacked `preprocess` arrays.

        Args:
            batch: ``(b, ...)`` float32, ``b >= 1``; left unchanged.
        Returns:
            ``(b, d)`` float32 unit rows, in order; a row does not depend on its neighbours in the batch.
        """
        ...


@runtime_checkable
class ByteEncoder(Encoder, Protocol):
    """An encoder that normalises pixels where it runs: a quarter of the bytes travel to an accelerator."""

    def preprocess_bytes(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return what `preprocess` returns, not normalised: uint8 of one fixed shape; called from several threads."""
        ...

    def encode_bytes(self, batch: NDArray[np.uint8]) -> Vectors:
        """Return the vectors of stacked `preprocess_bytes` arrays, as `encode_pixels` does."""
        ...

    def bytes_array(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return memory for a batch, from which the device copies fast."""
        ...


@runtime_checkable
class TextEncoder(Encoder, Protocol):
    """An encoder that also places words in its space."""

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Return ``(t, d)`` float32 unit rows for ``texts``, in order; long texts are truncated."""
        ...


@runtime_checkable
class VocabularyEncoder(TextEncoder, Protocol):
    """A text encoder that can tell which words it has learned, and which it would only guess at.

    Words such as *not* or *the* are known. A text of which nothing is known asks for nothing: a search refuses it.
    """

    def known_words(self, text: str) -> Sequence[str]:
        """Return the words of a text that it has learned; none where the text means nothing to it."""
        ...

    def unknown_words(self, text: str) -> Sequence[str]:
        """Return the words of a text that it has not learned, as they were written."""
        ...


@runtime_checkable
class SpellingEncoder(VocabularyEncoder, Protocol):
    """A text encoder that can tell which of the words that it has learned a misspelt word was meant as."""

    def read_as(self, text: str, *, keep: Collection[str] = ()) -> tuple[str, Mapping[str, str]]:
        """Correct the words of a text that it has not learned and that are clearly a misspelt one.

        Args:
            text: words between double quotes are taken as they are written, and so is one with a capital that does not begin the text.
            keep: words that are right as they are, in lower case.
        Returns:
            the text to encode, and of each corrected word, as it was written, what it was read as.
        """
        ...


@runtime_checkable
class DifferentiableEncoder(Encoder, Protocol):
    """An encoder whose vectors can be followed back to pixels, for active indexing."""

    def torch_module(self) -> torch.nn.Module:
        """Return a module in evaluation mode on the encoder's device.

        It maps ``(b, 3, h, w)`` float32 RGB in [0, 1], of any size, to ``(b, d)`` float32 unit rows; resize
        and normalisation lie inside and are differentiable. It may have its two parts as ``preprocess`` (to the fixed
        size that is read) and ``tower`` (from there to unit rows): images of different sizes then share a batch.
        """
        ...


EncoderLike: TypeAlias = "str | Encoder | type[Encoder]"
"""What functions take as an encoder: a spec, an object, or a class whose objects need no arguments."""


class EncoderFamily(Protocol):
    """Encoders of one scheme: what an entry point of the group ``retrieval.encoders`` may name; cheap to import.

    A loader alone is enough for a plug-in: a function that returns an encoder, or an encoder class. It may take ``model``,
    ``version`` and ``device``. A family may have any of the members here; only `open` must be there, and it too takes of the
    three what it needs. ``text`` and ``differentiable`` are None where only loading would tell.

    Attributes:
        scheme: the word before ``:`` or ``@`` in a spec; equal to the entry point's name.
        install: the command that provides what is missing, or `None` when nothing can be.
        image: it encodes images.
        text: it (or some of its models) encodes words.
        differentiable: it (or some of its models) has a torch module.

    A family may also have ``canonical(model: str) -> str``, which returns the model's name as a manifest
    should record it (an absolute path for a relative one, say).
    """

    scheme: str
    install: str | None
    image: bool
    text: bool | None
    differentiable: bool | None

    def available(self) -> bool:
        """Say whether `open` can work here; imports nothing heavy."""
        ...

    def models(self) -> list[str]:
        """Return the specs to show: whole ones (``nano@1``), or patterns with CAPITALS (``timm:MODEL``).

        Of those that read ``scheme@N`` the highest N is what the bare scheme means.
        """
        ...

    def open(self, model: str | None, version: str | None, *, device: str) -> Any:
        """Load an encoder.

        Args:
            model: what followed ``:``, or `None`.
            version: what followed ``@``, or `None`.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        Raises:
            UnknownEncoder: no such model or version.
            WeightsNotFound: neither cached nor reachable.
            MissingExtra: a package is missing.
            OptionError: the device is not there.
        """
        ...
