"""Report how two encoders differ over the same images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import os

    from retrieval.curation.picks import PickedImage
    from retrieval.evaluation.copy_detection import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedImage:
    """An image, and what each encoder finds nearest to it.

    Attributes:
        image: the image; its `score` is the share of neighbours that both encoders find.
        a, b: the nearest images by each encoder, best first; their `score` is its cosine.
        label: its label; empty where it has none.
    """

    image: PickedImage
    a: tuple[PickedImage, ...]
    b: tuple[PickedImage, ...]
    label: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        facts = self.image.to_json()
        return {
            "id": facts["id"],
            **{name: facts[name] for name in facts if name.startswith("path")},
            "overlap": facts["score"],
            "label": self.label,
            "a": [image.to_json() for image in self.a],
            "b": [image.to_json() for image in self.b],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedGroup:
    """Images that are alike, or have one label, and how much the encoders agree about them.

    Attributes:
        name: a label, or a word for the group; empty where the first encoder knows no words.
        queries: images of it that were asked for.
        overlap: share of the neighbours that both encoders find.
        knn_a, knn_b: share of its labelled images whose nearest one has the same label; None without labels.
        images: those of it about which the encoders agree least.
    """

    name: str
    queries: int
    overlap: float
    knn_a: float | None
    knn_b: float | None
    images: tuple[ComparedImage, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return {
            "name": self.name,
            "queries": self.queries,
            "overlap": round(self.overlap, 6),
            "knn_a": None if self.knn_a is None else round(self.knn_a, 6),
            "knn_b": None if self.knn_b is None else round(self.knn_b, 6),
            "images": [image.to_json() for image in self.images],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedQuality:
    """One measure by labels, of the same queries in the same gallery; in 95 of 100 draws of the queries it is from low to high.

    Attributes:
        measure: ``knn_accuracy`` or ``map_at_10``; of words ``words_precision_at_10``.
        a, b: of each encoder.
        difference: of the second less the first, query by query.
    """

    measure: str
    a: Interval
    b: Interval
    difference: Interval

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return {
            "measure": self.measure,
            "a": asdict(self.a),
            "b": asdict(self.b),
            "difference": asdict(self.difference),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedWord:
    """A word, and what each encoder finds for it.

    Attributes:
        word: what was asked.
        overlap: share of the first images that both encoders find.
        a, b: the first images by each encoder, best first; their `score` is its cosine.
    """

    word: str
    overlap: float
    a: tuple[PickedImage, ...]
    b: tuple[PickedImage, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return {
            "word": self.word,
            "overlap": round(self.overlap, 6),
            "a": [image.to_json() for image in self.a],
            "b": [image.to_json() for image in self.b],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedWords:
    """How two encoders answer words over the same images.

    Attributes:
        words: how many were asked.
        overlap: share of a word's first images that both find.
        same_first: share of the words whose first image is the same.
        chance: the overlap of encoders that have nothing in common.
        quality: how many of the first images of a label's name have that label; empty without labels.
        least: some words, those about which the encoders agree least first.
    """

    words: int
    overlap: Interval
    same_first: Interval
    chance: float
    quality: tuple[ComparedQuality, ...]
    least: tuple[ComparedWord, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return {
            "words": self.words,
            "overlap": asdict(self.overlap),
            "same_first": asdict(self.same_first),
            "chance": round(self.chance, 6),
            "quality": [one.to_json() for one in self.quality],
            "least": [one.to_json() for one in self.least],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How two encoders differ over the same images.

    Attributes:
        a, b: what the encoders are called.
        dim_a, dim_b: widths of their vectors.
        images: that were compared, with each other and nothing else.
        encoded: the second encoder saw only these images, a sample that was encoded for the comparison.
        only_a, only_b: images that one of two collections alone has.
        changed: images left out because their bytes are not the same any more, or not the same in both.
        unreadable: images of the sample that could not be read.
        copies: exact copies of images of the sample, which were left out.
        queries: images that were asked for.
        k: neighbours of each that were looked at.
        overlap: share of the neighbours that both find.
        same_first: share of the queries whose first neighbour is the same.
        chance: the overlap of encoders that have nothing in common.
        quality: by labels; empty without them.
        labelled: images with a label among those compared.
        groups: where they agree least first; those that are too small to tell are left out.
        lost, won: labelled images whose nearest has their label by the first encoder alone, or by the second alone; some of them.
        losses, wins: how many such images there are.
        words: how they answer words; None where one of them knows none.
        wordless: why no words were asked; empty where they were.
    """

    a: str
    b: str
    dim_a: int
    dim_b: int
    images: int
    encoded: bool
    only_a: int
    only_b: int
    changed: int
    unreadable: int
    queries: int
    k: int
    overlap: Interval
    same_first: Interval
    chance: float
    quality: tuple[ComparedQuality, ...]
    labelled: int
    groups: tuple[ComparedGroup, ...]
    lost: tuple[ComparedImage, ...]
    won: tuple[ComparedImage, ...]
    losses: int
    wins: int
    words: ComparedWords | None = None
    wordless: str = ""
    copies: int = 0

    @property
    def better(self) -> Literal["a", "b"] | None:
        """Which encoder's neighbours have the right label more often; None where that cannot be told, or without labels."""
        if not self.quality:
            return None
        difference = self.quality[0].difference
        if difference.low > 0:
            return "b"
        return "a" if difference.high < 0 else None

    @property
    def verdict(self) -> str:
        """Which encoder finds the right label more often, in words; empty without labels."""
        if not self.quality:
            return ""
        if self.better is None:
            return f"{self.labelled:,} labelled images do not tell which encoder finds more"
        name = self.a if self.better == "a" else self.b
        return f"{name} finds the right label more often, on {self.labelled:,} labelled images"

    def __repr__(self) -> str:
        return (
            f"<Comparison: {self.a} and {self.b}, {self.overlap.value:.3f} of {self.k} neighbours the same>"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        plain = (
            "a", "b", "dim_a", "dim_b", "images", "encoded", "only_a", "only_b", "changed", "unreadable", "copies", "queries",
            "k",
            "labelled", "losses", "wins", "better",
        )  # fmt: skip
        return {
            **{name: getattr(self, name) for name in plain},
            "overlap": asdict(self.overlap),
            "same_first": asdict(self.same_first),
            "chance": round(self.chance, 6),
            "quality": [one.to_json() for one in self.quality],
            "groups": [group.to_json() for group in self.groups],
            "lost": [image.to_json() for image in self.lost],
            "won": [image.to_json() for image in self.won],
            "words": None if self.words is None else self.words.to_json(),
            "wordless": self.wordless,
        }

    def write_page(self, path: str | os.PathLike[str]) -> None:
        """Write a page with examples side by side.

        Raises:
            StoreFull: no space left; a file that had the name stays.
        """
        from pathlib import Path

        from retrieval.curation.compare.comparison_page import write_comparison

        write_comparison(self, Path(path))
