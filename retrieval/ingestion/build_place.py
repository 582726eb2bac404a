"""Find the directory of a build's collection: the one that was named, or inside the first source, if that is a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from indexes.generation import FOLDER
from retrieval.errors import OptionError
from retrieval.location import DIRECTORY, find_collection, is_sharded, place_collection, require_folder
from retrieval.sources import STANDARD_INPUT, FolderSource, named_type, open_spec, whole_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.sources import Source

SourceLike: TypeAlias = "str | os.PathLike[str] | Source"


def several(given: Any) -> list[Any]:
    """Return what was given as a list: one source, several, or none."""
    if given is None:
        return []
    if isinstance(given, str | os.PathLike) or hasattr(given, "entries"):
        return [given]
    return list(given)


def find_directory(given: Sequence[SourceLike], index: str | os.PathLike[str] | None) -> Path:
    """Return where the collection of a build lies or will lie.

    Args:
        given: the sources that were named; none for those that the collection has.
        index: where it lies; None is ``.retrieve`` in the first source, if that is a folder.
    Raises:
        OptionError: the first source is no folder, and nothing else says where.
        CollectionNotFound: no source was named, and there is no collection.
    """
    if not given:
        if index is None:
            raise OptionError(
                "nothing says what to build; name a source, or a collection with `index=…` to build it again"
            )
        place = place_collection(Path(os.sep), index)
        begun = (one for one in (place, place / DIRECTORY) if is_sharded(one))
        return next(begun, None) or find_collection(index)
    folders = [_folder(source) for source in given]  # each is looked at before a directory is made
    if index is not None:
        return place_collection(folders[0] or Path(os.sep), index)
    if folders[0] is not None:
        return place_collection(folders[0], None)
    first = given[0]
    raise OptionError(
        f"{_shown(first)} is no folder that a collection could lie in; say where with `index=…`, a directory"
    )


def _folder(source: SourceLike) -> Path | None:
    """Return the folder that a source is; None for another one."""
    if isinstance(source, FolderSource):
        return source.root
    if isinstance(source, str | os.PathLike):
        kind, text = named_type(os.fspath(source))
        if kind in {None, FOLDER} and not is_text_of_another(text):
            return require_folder(text)
    elif not hasattr(source, "entries"):
        raise OptionError(
            f"{type(source).__name__} is no source; give the path of a folder, a text that names a source, or both"
        )
    return None


def is_text_of_another(text: str) -> bool:
    """Say whether a text is recognised by a type besides the folder."""
    whole = whole_text(text)
    if os.path.isdir(whole):
        return False
    try:
        return open_spec(whole).type != FOLDER
    except OptionError:
        # A path of nothing, or a file of another kind, is told in the words of a folder.
        return "://" in whole or whole == STANDARD_INPUT


def _shown(source: Any) -> str:
    return (
        os.fspath(source) if isinstance(source, str | os.PathLike) else str(getattr(source, "name", source))
    )
