"""Report images that were picked from a collection; write them as JSON, CSV and a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, overload

from retrieval.display import path_json
from retrieval.errors import OptionError

if TYPE_CHECKING:
    import os

    from retrieval.curation.picks.picked_image import PickedImage

_TITLES: Final = {
    "facility-location": "representatives",
    "k-center": "diverse images",
    "outliers": "oddest images",
}
_FOOTERS: Final = {
    "facility-location": "These images stand for the others. The number is the mean cosine with the images that each stands for.",
    "k-center": "These images are far from each other. The number is the mean cosine with the images that each stands for.",
    "outliers": "These images are least like their nearest neighbours. The number is the mean cosine with these.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked(Sequence["PickedImage"]):
    """Images that were picked from a collection, in the order in which they were picked.

    Attributes:
        images: all of them.
        method: ``facility-location``, ``k-center`` or ``outliers``.
        total: images that were looked at.
        sampled: images among which it was chosen.
        typical: median of what `score` is for all images; None where only picked ones were counted.
        fence: what is below it is far from usual: the lower quartile less 1.5 times the distance of the quartiles; None as above.
    """

    images: tuple[PickedImage, ...]
    method: str
    total: int
    sampled: int
    typical: float | None = None
    fence: float | None = None

    @overload
    def __getitem__(self, at: int) -> PickedImage: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[PickedImage, ...]: ...
    def __getitem__(self, at: int | slice) -> Any:
        return self.images[at]

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[PickedImage]:
        return iter(self.images)

    def __repr__(self) -> str:
        return f"<Picked: {len(self):,} of {self.total:,} images by {self.method}>"

    @property
    def title(self) -> str:
        """What they are, such as ``20 representatives of 890 images``."""
        kind = _TITLES[self.method]
        if len(self) == 1:
            kind = kind.replace("images", "image").removesuffix("s")
        return f"{len(self):,} {kind} of {self.total:,} {'image' if self.total == 1 else 'images'}"

    @property
    def below_fence(self) -> int:
        """How many of them lie below the fence.

        Raises:
            OptionError: these images have none.
        """
        if self.fence is None:
            raise OptionError(f"images picked by {self.method} have no fence; outliers have one")
        return sum(image.score < self.fence for image in self.images)

    @property
    def note(self) -> str:
        """How far from usual they are; empty where that is not known."""
        if self.fence is None or self.typical is None:
            return ""
        far = self.below_fence
        count = "none of them is" if not far else f"{far:,} of them {'is' if far == 1 else 'are'}"
        return f"{count} far from usual, below {self.fence:.3f}; half of all images have {self.typical:.3f} or more"

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return {
            "method": self.method,
            "total": self.total,
            "sampled": self.sampled,
            "typical": None if self.typical is None else round(self.typical, 6),
            "fence": None if self.fence is None else round(self.fence, 6),
            "images": [image.to_json() for image in self.images],
        }

    def to_csv(self, *, terminal: bool = False) -> str:
        """Return one line for each image, with a header: ``path``, ``score``, ``stands_for``, ``id``.

        Args:
            terminal: the text goes to a terminal: what could drive it is escaped.
        """
        from retrieval.render import csv_text

        rows = (
            [
                path_json(image.path)["path"],
                f"{image.score:.6f}",
                "" if image.stands_for is None else image.stands_for,
                image.id,
            ]
            for image in self.images
        )
        return csv_text(("path", "score", "stands_for", "id"), rows, terminal=terminal)

    def write_page(self, path: str | os.PathLike[str]) -> None:
        """Write a page of the images.

        Raises:
            StoreFull: no space left; a file that had the name stays.
        """
        from pathlib import Path

        from retrieval.curation.picks.picks_page import figures, image_page, pictures
        from retrieval.render import replacing

        beside = Path(path).absolute().parent
        shown = figures(self.images, pictures(self.images), beside)
        text = image_page(
            self.title,
            note=f"{self.note[0].upper()}{self.note[1:]}." if self.note else "",
            sections=f'<section><ol class="hits">{shown}</ol></section>' if shown else "",
            footer=_FOOTERS[self.method],
        )
        with replacing(Path(path)) as file:
            file.write(text.encode())
