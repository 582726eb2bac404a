"""Select which folders and files of a source are walked: what is excluded, and system folders that are left out by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.sources import glob_pattern

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

OWN = ".retrieve"
"""A collection's own directory: never entered."""

SKIPPED_FOLDERS = frozenset({
    OWN,
    # what programs keep of sources, byte for byte
    ".git", ".svn", ".hg", ".bzr", "node_modules",
    # thumbnails and caches, made by machines
    "@eaDir", ".@__thumb", ".thumbnails", ".cache", ".dropbox.cache", "@tmp",
    # files that their owner has thrown away
    "#recycle", "@Recycle", ".recycle", "$RECYCLE.BIN", "RECYCLER", "RECYCLED", ".Trash", ".Trashes",
    ".local/share/Trash", "Network Trash Folder",
    # earlier states of the same files
    "#snapshot", "@Recently-Snapshot", ".snapshot", ".snapshots", "~snapshot", ".zfs/snapshot", ".stversions",
    # what file systems and archivers keep for themselves
    "System Volume Information", "lost+found", "__MACOSX", ".AppleDouble", ".Spotlight-V100", ".fseventsd",
    ".DocumentRevisions-V100", ".TemporaryItems",
})  # fmt: skip
"""Folders left out unless they are included, in any case. Other hidden folders are entered: photos may well lie in one."""

_SKIPPED = {name.casefold() for name in SKIPPED_FOLDERS}
_SKIPPED_BELOW = {name.rpartition("/")[2] for name in _SKIPPED if "/" in name}  # a look at the parents is due
_TRASH = ".trash-"  # freedesktop.org's trash folder on a mounted volume: .Trash-UID
RESOURCE_FORK = "._"  # what macOS leaves beside a file on a volume that has no resource forks


class Selection:
    """Which paths a walk enters and yields.

    Args:
        exclude: globs over paths relative to the root; ``*`` crosses no ``/``, ``**`` does; one without ``/`` matches names
            at any depth, one with ``/`` in front only at the root. A folder that matches is not entered.
        include: the same, of folders that are left out by default (`SKIPPED_FOLDERS`) and of what to take in them. It is
            no whitelist: nothing else is left out for it.
    """

    exclude: tuple[str, ...]
    include: tuple[str, ...]

    def __init__(self, *, exclude: Iterable[str] = (), include: Iterable[str] = ()) -> None:
        self.exclude, self.include = _globs(exclude), _globs(include)
        self._excluded = [("/" * glob.startswith("/"), glob_pattern(glob)) for glob in self.exclude]
        self._included = [("/" * glob.startswith("/"), glob_pattern(glob)) for glob in self.include]
        # A folder on the way to what is included must be entered, too.
        parts = [glob.strip("/").split("/") for glob in self.include if "/" in glob.strip("/")]
        self._on_the_way = [
            glob_pattern("/" + "/".join(names[:length]))
            for names in parts
            for length in range(1, len(names))
            if set(names[:length]) != {"**"}
        ]

    def excludes(self, relative: str) -> bool:
        """Say whether a path is excluded."""
        return bool(self._excluded) and _matches(relative, self._excluded)

    def left_out(self, relative: str, name: str) -> str | None:
        """Return under which name a folder is left out by default; None if it is not, or is included by itself."""
        found = _system_name(relative, name)
        if found is None or found == OWN or not self.includes(relative):
            return found
        return None

    def includes(self, relative: str) -> bool:
        """Say whether a path is included by itself."""
        return bool(self._included) and _matches(relative, self._included)

    def leads_to_included(self, relative: str) -> bool:
        """Say whether something below a folder may be included by itself."""
        return any(pattern.match(f"/{relative}") for pattern in self._on_the_way)

    def hides(self, relative: str) -> str | None:
        """Return why a path would not be walked: the glob that excludes it, or the system folder that it lies in."""
        parts = relative.split("/")
        for length in range(1, len(parts) + 1):
            prefix = "/".join(parts[:length])
            for glob, pattern in zip(self.exclude, self._excluded, strict=True):
                if _matches(prefix, [pattern]):
                    return f'`exclude="{glob}"`'
            if length < len(parts) and (name := self.left_out(prefix, parts[length - 1])) is not None:
                return name
        return None


def _globs(globs: Iterable[str]) -> tuple[str, ...]:
    """Return globs without those that are empty, and without the slash that folders may end in."""
    given = (globs,) if isinstance(globs, str) else tuple(globs)
    return tuple(glob.removesuffix("/") for glob in given if glob.strip("/"))


def _system_name(relative: str, name: str) -> str | None:
    """Return the name under which a folder is left out by default, or None."""
    folded = name.casefold()
    if folded in _SKIPPED or folded.startswith(_TRASH) or name.startswith(RESOURCE_FORK):
        return OWN if folded == OWN else name
    if folded in _SKIPPED_BELOW:
        whole = f"/{relative.casefold()}"
        return next(
            (name for name in SKIPPED_FOLDERS if "/" in name and whole.endswith(f"/{name.casefold()}")), None
        )
    return None


def _matches(relative: str, patterns: Iterable[tuple[str, re.Pattern[str]]]) -> bool:
    return any(pattern.match(top + relative) for top, pattern in patterns)
