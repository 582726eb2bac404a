"""Few images of a collection that say much: representatives, diverse ones, outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.picks.choosing import most_diverse, most_telling
    from retrieval.curation.picks.odd_images import outliers
    from retrieval.curation.picks.picked import Picked
    from retrieval.curation.picks.picked_image import PickedImage, picked_images
    from retrieval.curation.picks.picks_page import figures, image_page, pictures
    from retrieval.curation.picks.representative_images import METHODS, representatives

__all__ = [
    "METHODS",
    "Picked",
    "PickedImage",
    "figures",
    "image_page",
    "most_diverse",
    "most_telling",
    "outliers",
    "picked_images",
    "pictures",
    "representatives",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "choosing": ("most_diverse", "most_telling"),
            "odd_images": ("outliers",),
            "picked": ("Picked",),
            "picked_image": ("PickedImage", "picked_images"),
            "picks_page": ("figures", "image_page", "pictures"),
            "representative_images": ("METHODS", "representatives"),
        },
    )
