"""Pages of images that the rooms of curation share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.pages.picture_page import (
        Pictures as Pictures,
        write_picture_page as write_picture_page,
    )

lazy(__name__)
