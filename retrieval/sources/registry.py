"""Find the type of a source by its name or by what its text looks like: built-in ones and plugins."""

from __future__ import annotations

import importlib
import os
import re
from typing import TYPE_CHECKING, Any, cast

from indexes import DISTRIBUTION
from indexes.distribution import claimants_of, entry_points_of, others_mention
from retrieval.errors import OptionError, SourceConflict
from retrieval.location import absolute_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrieval.sources.protocol import Source, SourceType

GROUP = "retrieval.sources"

SINGLE_FILE = "file"
"""The type of a source that is one file."""

BUILT_IN = {
    "tar": "retrieval.sources.tar:TarSource",
    "table": "retrieval.sources.tables:TableSource",
    "listing": "retrieval.sources.listings:ListingSource",
    SINGLE_FILE: "retrieval.sources.folders.single_file:SingleFile",
    "remote": "retrieval.sources.remote:RemoteSource",
    "folder": "retrieval.sources.folders.folder:FolderSource",
}
"""Our own types, in the order in which they are asked whether they recognise a text; a folder is what is left."""

STANDARD_INPUT = "-"
"""The text of a source that is read once and cannot be asked again."""

_PREFIX = re.compile(r"([a-z][a-z0-9_]*):(?!//)(.+)", re.DOTALL)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def whole_text(text: str | os.PathLike[str]) -> str:
    """Return the text of a SOURCE so that it means the same from any working directory: a path is made absolute."""
    plain = os.fspath(text)
    if plain == STANDARD_INPUT or _ADDRESS.match(plain):
        return plain
    return str(absolute_path(plain))


def named_type(text: str) -> tuple[str | None, str]:
    """Split ``TYPE:TEXT``, where TYPE is one that is known; otherwise there is no type."""
    found = _PREFIX.fullmatch(text)
    if found is None or os.path.exists(text) or found[1] not in _types():
        return None, text
    return found[1], found[2]


def open_spec(text: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Source:
    """Open the source that a text names.

    Args:
        text: a path, a glob, an address, ``-``, or one of these behind a type, such as ``folder:photos``.
        options: by name; those that the type does not take are left out.
    Raises:
        OptionError: no type recognises the text, or it cannot be opened.
        SourceConflict: two plugins claim it.
        MissingExtra: a package is missing.
    """
    name, rest = named_type(os.fspath(text))
    whole = whole_text(rest)
    kind = _recognised(whole) if name is None else source_type(name)
    return kind.from_spec(whole, {key: value for key, value in (options or {}).items() if key in kind.takes})


def source_type(name: str) -> SourceType:
    """Return the class of a type.

    Raises:
        OptionError: nothing that is installed has it.
        SourceConflict: two distributions have it.
    """
    value, owners = claimants_of(name, GROUP, BUILT_IN)
    if len(owners) > 1:
        raise SourceConflict(
            f"the type {name!r} of sources is claimed by the distributions {' and '.join(map(repr, owners))}; "
            f"uninstall all but one"
        )
    if not owners:
        raise OptionError(
            f"nothing that is installed reads sources of the type {name!r}; known are {', '.join(_types())}"
        )
    return _loaded(value, owner=owners[0])


def _recognised(text: str) -> SourceType:
    """Return the type that recognises a text: a built-in one first, so that no plugin changes what a text means."""
    for name in BUILT_IN:
        kind = source_type(name)
        if kind.recognises(text):
            return kind
    found = [
        kind for name in _types() if name not in BUILT_IN and (kind := source_type(name)).recognises(text)
    ]
    if len(found) > 1:
        names = " and ".join(kind.type for kind in found)
        raise SourceConflict(
            f"{text} is claimed by the types {names}; say which one is meant: `{found[0].type}:{text}`"
        )
    if found:
        return found[0]
    if "://" not in text and not os.path.exists(text) and not any(mark in text for mark in "*?[{"):
        raise OptionError(f"{text} does not exist; check the path, or mount its drive")
    raise OptionError(
        f"{text} is no source that can be read; name a folder, or one of the types {', '.join(_types())} in front of it "
        f"(`TYPE:TEXT`)"
    )


def _types() -> list[str]:
    plugins = {point.name for point in entry_points_of(GROUP, BUILT_IN)} if others_mention(GROUP) else set()
    return [*BUILT_IN, *sorted(plugins - BUILT_IN.keys())]


def _loaded(value: str, *, owner: str) -> SourceType:
    module, _, attribute = value.partition(":")
    try:
        kind = getattr(importlib.import_module(module.strip()), attribute.strip())
    except Exception as error:
        if owner == DISTRIBUTION:
            raise
        raise OptionError(f"{value} of the distribution {owner!r} cannot be imported: {error!r}") from error
    missing = [name for name in ("type", "takes", "recognises", "from_spec") if not hasattr(kind, name)]
    if missing:
        raise OptionError(
            f"{value} of the distribution {owner!r} is no type of sources: it has no {missing[0]}"
        )
    return cast("SourceType", kind)
