"""Put links to the images of each set of duplicates into a folder of its own, for looking."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from indexes.files import writing
from retrieval.collection.answers import link_files
from retrieval.errors import OptionError
from retrieval.location import absolute_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.curation.duplicates.sets.image_sets import DuplicateSet

__all__ = ["link_sets"]


def link_sets(sets: Sequence[DuplicateSet], directory: str | os.PathLike[str]) -> list[Path]:
    """Link the images of each set into ``directory/0001``, ``directory/0002`` and so on; nothing is overwritten.

    The links of images that stay begin with ``keep-``.

    Raises:
        OptionError: an image is no file of its own, or the name is that of a file. Nothing was written.
        StoreFull, StoreReadOnly: the folder cannot be written.
    """
    folder = absolute_path(directory)
    for one in sets:
        for image in one.images:
            if not os.path.isfile(image.link):
                raise OptionError(
                    f"{image.link}: is no file of its own, so there is nothing to link to; leave it out with `under`"
                )
    made: list[Path] = []
    with writing(folder):
        width = max(4, len(str(len(sets))))
        for number, one in enumerate(sets, start=1):
            pairs = [
                (("keep-" if image.keep else "") + os.path.basename(image.path), image.link)
                for image in one.images
            ]
            made += link_files(pairs, folder / f"{number:0{width}}")
    return made
