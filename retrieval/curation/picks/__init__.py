"""Few images of a collection that say much: representatives, diverse ones, outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.picks.choosing import most_diverse as most_diverse, most_telling as most_telling
    from retrieval.curation.picks.odd_images import outliers as outliers
    from retrieval.curation.picks.picked import Picked as Picked
    from retrieval.curation.picks.picked_image import (
        PickedImage as PickedImage,
        picked_images as picked_images,
    )
    from retrieval.curation.picks.picks_page import (
        figures as figures,
        image_page as image_page,
        pictures as pictures,
    )
    from retrieval.curation.picks.representative_images import (
        METHODS as METHODS,
        representatives as representatives,
    )

lazy(__name__)
