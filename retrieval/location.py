"""Find where a collection lies: by walking up, by name, or by RETRIEVE_INDEX."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from indexes.errors import value_text
from retrieval.errors import CollectionNotFound, OptionError, RetrievalError, StoreCorrupt

DIRECTORY = ".retrieve"
ENVIRONMENT = "RETRIEVE_INDEX"
MANIFEST = "manifest.json"
SHARDS = "shards.json"
_LEDGER = "building.json"

DELETED = "the working directory was deleted; change to another one, or give absolute paths"


def working_directory() -> Path:
    """Return the working directory.

    Raises:
        OptionError: it was deleted.
    """
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise OptionError(DELETED) from error


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """Return ``path`` below the working directory, which only a relative one needs.

    Raises:
        OptionError: it is relative, and the working directory was deleted; or no file can have this name.
    """
    if "\0" in (os.fspath(path) if isinstance(path, str | os.PathLike) else ""):
        raise OptionError(f"{value_text(os.fspath(path))}: no file can have this name; leave the NUL out")
    try:
        return Path(os.path.abspath(path))
    except FileNotFoundError as error:
        raise OptionError(f"{os.fspath(path)}: {DELETED}") from error


def inside(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> str | None:
    """Return a path relative to a folder, by their names or else by where these lead.

    Returns:
        ``.`` for the folder itself; None if the path lies outside.
    """
    name, top = os.path.abspath(path), os.path.abspath(folder)
    known = _below(
        name, top
    )  # mostly the names alone say it, and looking at each of their folders takes longer
    if known is not None:
        return known
    real_name, real_top = os.path.realpath(name), os.path.realpath(top)
    for below, above in ((real_name, top), (name, real_top), (real_name, real_top)):
        known = _below(below, above)
        if known is not None:
            return known
    return None


def _below(name: str, top: str) -> str | None:
    """Return an absolute path relative to another by their names alone; ``.`` for the same one, None if it lies outside."""
    if name == top:
        return os.curdir
    return os.path.relpath(name, top) if name.startswith(top.rstrip(os.sep) + os.sep) else None


def find_collection(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the directory that holds the collection's ``manifest.json``.

    Args:
        path: that directory itself, an image folder, or anything below one; ``None`` asks ``RETRIEVE_INDEX``, then
            the working directory and its parents.
    Raises:
        CollectionNotFound: there is none; the message says how to build one.
    """
    if path is None:
        path = os.environ.get(ENVIRONMENT) or None
    start = working_directory() if path is None else Path(path)
    absolute = absolute_path(start)  # not resolve(): a linked folder is found under its own name
    if not os.path.lexists(absolute):  # what lies above it is another collection
        raise CollectionNotFound(f"{absolute} does not exist; check the path, or mount its drive")
    found = _upwards(absolute)
    if found is None:
        for home in (absolute, absolute / DIRECTORY):
            lost = None
            with suppress(RetrievalError, OSError):  # nothing is there, or it cannot be read
                lost = lost_manifest(home)
            if lost is not None:
                raise CollectionNotFound(lost)
        raise CollectionNotFound(
            f"no collection in {absolute} or above it; build one with "
            + (f'`build_index("{absolute}")`' if path is not None else "`build_index(FOLDER)`")
        )
    require_whole(found)
    return found


def require_whole(directory: Path) -> None:
    """Refuse a directory of shards without the file that names them: whoever built there would leave rows by hand behind.

    Raises:
        StoreCorrupt: `shards.json` is lost.
    """
    if _has_lost_shards(directory):
        raise StoreCorrupt(
            f"{directory / SHARDS}: missing, though shards lie there; restore it from a backup, or move {directory} away and "
            "build again"
        )


def is_sharded(directory: Path) -> bool:
    """Say whether a sharded collection lies in a directory, or one whose first build was killed: the next build goes on with it."""
    if (directory / SHARDS).is_file():
        return True
    return (directory / _LEDGER).is_file() and not (directory / MANIFEST).is_file()


def _has_lost_shards(directory: Path) -> bool:
    """Say whether shards lie in a directory that nothing names; those of a first build that was killed are named by its ledger."""
    if any((directory / name).exists() for name in (SHARDS, MANIFEST, _LEDGER)):
        return False
    return any((directory / f"shard-{number:05d}" / MANIFEST).is_file() for number in range(2))


def lost_manifest(directory: Path) -> str | None:
    """Say what to do about vectors without a manifest; None for an empty store, as a first build that was killed leaves it.

    Raises:
        StoreCorrupt, FileNotFoundError: the store cannot be read, or is not there.
    """
    from indexes.store import VectorStore

    with VectorStore.open(directory, dim=None) as store:
        count = store.count
    if not count:
        return None
    return (
        f"{directory} holds {count:,} vectors but no {MANIFEST}; copy it whole again, or move the "
        "directory away and build anew"
    )


def find_whole(path: str | os.PathLike[str] | None, *, what: str) -> Path:
    """Return the directory of a collection that is no shard of another one; takes and raises what `find_collection` does.

    Args:
        path: as there.
        what: changes whole collections only, for the message.
    Raises:
        OptionError: the collection is a shard.
    """
    directory = find_collection(path)
    if directory.name.startswith("shard-") and (directory.parent / SHARDS).is_file():
        raise OptionError(f"{directory} is a shard, and {what} works on the whole: name {directory.parent}")
    return directory


def find_below(folder: Path) -> Path | None:
    """Return the collection of the one direct subfolder that has one, where `find_collection` finds none.

    For who can tell a person which collection that is: a program should not depend on what lies beside.

    Returns:
        None if a collection is found upwards, or if no subfolder has one.
    Raises:
        CollectionNotFound: several have one; the message lists them.
    """
    if _upwards(folder) is not None:
        return None
    with os.scandir(folder) as inside:
        names = sorted(entry.name for entry in inside if _has_own(entry.path))
    if len(names) > 1:
        choices = ", ".join(f'`index="{name}"`' for name in names)
        raise CollectionNotFound(
            f"no collection in {folder} or above it, but several below; name one: {choices}"
        )
    return folder / names[0] / DIRECTORY if names else None


def find_hidden(folder: Path) -> Path | None:
    """Return the collection that answers below an image folder until it gets one of its own; None if none does."""
    absolute = absolute_path(folder)
    if _has_own(absolute):
        return None
    return next((above / DIRECTORY for above in absolute.parents if _has_own(above)), None)


def _is_collection(directory: Path) -> bool:
    return (directory / MANIFEST).is_file() or (directory / SHARDS).is_file() or _has_lost_shards(directory)


def _upwards(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        for candidate in (folder, folder / DIRECTORY):
            if _is_collection(candidate):
                return candidate
    return None


def _has_own(folder: str | os.PathLike[str]) -> bool:
    """Say whether a collection lies inside its image folder: a bare manifest may be anybody's."""
    return _is_collection(Path(folder) / DIRECTORY)


def lies_in(folder: str | os.PathLike[str]) -> bool:
    """Say whether a folder is the directory of a collection, or has one of its own; what lies above it does not count."""
    return _is_collection(Path(folder)) or _has_own(folder)


def chosen_by_environment(directory: Path) -> bool:
    """Say whether ``RETRIEVE_INDEX`` names this collection."""
    named = os.environ.get(ENVIRONMENT)
    return bool(named) and place_collection(directory, named) == directory


def place_collection(folder: Path, index: str | os.PathLike[str] | None) -> Path:
    """Return the directory where the collection of ``folder`` lies or will lie.

    Raises:
        OptionError: its path is not UTF-8; LMDB and FAISS open no other.
    """
    named = folder / DIRECTORY if index is None else absolute_path(index)
    try:
        if not _is_collection(named) and _is_collection(named / DIRECTORY):
            named /= DIRECTORY
        str(named).encode()
    except OSError as error:  # a name that is too long, a circle of links …
        raise OptionError(f"{named!s:.200}: no collection can lie here ({error.strerror})") from error
    except UnicodeEncodeError as error:
        raise OptionError(
            f"{named}: a path that is not UTF-8 can hold images, but no collection; put that elsewhere with `index=…`, or rename it"
        ) from error
    return named


def home_of(folder: str | os.PathLike[str]) -> Path:
    """Return a folder of which a collection lies in its ``.retrieve``, whether that or the folder itself is named."""
    home = absolute_path(folder)
    return home.parent if home.name == DIRECTORY else home


def record_root(directory: Path, root: Path) -> str | None:
    """Return what the manifest keeps of the image folder: nothing inside it, else a path, relative where it can be."""
    if directory.parent == root and directory.name == DIRECTORY:
        return None
    try:
        return os.path.relpath(root, directory)
    except ValueError:  # another drive
        return str(root)


def resolve_root(
    directory: Path, recorded: str | None, *, given: str | os.PathLike[str] | None = None
) -> Path:
    """Return the image folder as an absolute path: the one given, or the one that `record_root` recorded."""
    if given is not None:
        return absolute_path(given)
    if recorded is None:
        return directory.parent
    return Path(os.path.normpath(directory / recorded))


def require_folder(folder: str | os.PathLike[str]) -> Path:
    """Return ``folder`` as an absolute path.

    Raises:
        OptionError: it is missing (an unmounted drive?), not a folder, or no path at all.
    """
    if not isinstance(folder, str | os.PathLike):
        raise OptionError(
            f"{type(folder).__name__} is no folder; give the path of one folder that holds the images"
        )
    absolute = absolute_path(folder)
    if os.path.isdir(absolute):  # false too for a name that no file can have
        return absolute
    if os.path.exists(absolute):
        raise OptionError(f"{absolute} is a file; name the folder that holds the images")
    raise OptionError(f"{absolute} does not exist; check the path, or mount its drive")


def record_path(directory: Path, spec: str) -> str:
    """Return what the manifest keeps of a source's text: a path relative to the collection's directory where it can be.

    Such a path begins with ``./`` or ``../``; everything else is kept as it is.
    """
    if not os.path.isabs(spec):
        return spec
    try:
        relative = os.path.relpath(spec, directory)
    except ValueError:  # another drive
        return spec
    return relative if relative.startswith(os.pardir + os.sep) else os.path.join(os.curdir, relative)


def resolve_path(directory: Path, recorded: str) -> str:
    """Return the text of a source that `record_path` recorded."""
    if recorded.startswith((os.curdir + os.sep, os.pardir + os.sep)):
        return os.path.normpath(directory / recorded)
    return recorded
