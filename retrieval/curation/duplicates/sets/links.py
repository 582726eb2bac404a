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


def link_sets(sets: Sequence[DuplicateSet], directory: str | os.PathLike[str]) -> list[Path]:
    """Link the images of each set into ``directory/0001``, ``directory/0002`` and so on; nothing is overwritten.

    The links of images that stay begin with ``keep-``.

    Raises:
        OptionError: an image is no file of its own, the name is that of a file, or links of other sets lie there.
            Nothing was written.
        StoreFull, StoreReadOnly: the folder cannot be written.
    """
    folder = absolute_path(directory)
    for one in sets:
        for image in one.images:
            if not os.path.isfile(image.link):
                raise OptionError(
                    f"{image.link}: is no file of its own, so there is nothing to link to; leave it out with `under`"
                )
    width = max(4, len(str(len(sets))))
    linked = {
        folder / f"{number:0{width}}": [
            (("keep-" if image.keep else "") + os.path.basename(image.path), image.link)
            for image in one.images
        ]
        for number, one in enumerate(sets, start=1)
    }
    _check_no_other_sets(folder, linked)
    made: list[Path] = []
    with writing(folder):
        for one_folder, pairs in linked.items():
            made += link_files(pairs, one_folder)
    return made


def _check_no_other_sets(folder: Path, linked: dict[Path, list[tuple[str, str]]]) -> None:
    """Refuse a folder of links to other sets: links of two sets in one folder would look like one set.

    Raises:
        OptionError: a numbered folder has a link that is not of its set.
    """
    for there in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not (there.name.isdecimal() and there.is_dir()):
            continue
        files = {os.path.realpath(file) for _, file in linked.get(there, ())}
        if any(link.is_symlink() and os.path.realpath(link) not in files for link in there.iterdir()):
            raise OptionError(f"{folder}: has links of other sets; choose another folder, or delete this one")
