"""Find the image files below a folder, in a fixed order."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from indexes.distribution import pip_install
from retrieval.sources.decoding import has_rawpy, os_reason
from retrieval.sources.folders.listing import (
    FORMATS,
    NOT_FOLLOWED,
    RAW_SUFFIXES,
    SUFFIXES,
    UNSUPPORTED,
    UNSUPPORTED_FORMAT,
    Folder,
    Found,
    Seen,
    Skipped,
    suffix_of,
)
from retrieval.sources.folders.selection import OWN, RESOURCE_FORK, Selection
from retrieval.sources.folders.signatures import first_bytes, recognise

_DEVELOPED = frozenset({"jpg", "jpeg", "jpe", "jfif", "heic", "heif", "hif"})
"""What the names of photographs end in that cameras write beside raw ones."""

_OCTAL = re.compile(rb"\\([0-7]{3})")  # how the system writes blanks in the paths of mounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from retrieval.sources.folders.folder_options import FolderOptions


@dataclass(slots=True, kw_only=True)
class _Level:
    """One folder on the way down: what is left of it, and who it is, for finding loops of links."""

    listed: list[os.DirEntry[str]]
    entries: Iterator[os.DirEntry[str]]
    identity: tuple[int, int]
    folder: Folder
    inside_left_out: bool = False
    photographs: frozenset[str] | None = None

    def has_photograph(self, raw: str, selection: Selection, *, above: str) -> bool:
        """Say whether a raw photograph lies beside one of the same name that needs no developing, and is taken."""
        if self.photographs is None:
            self.photographs = frozenset(
                entry.name.rpartition(".")[0]
                for entry in self.listed
                if suffix_of(entry.name) in _DEVELOPED and not selection.excludes(above + entry.name)
            )
        return raw.rpartition(".")[0] in self.photographs


def walk_files(
    root: str | os.PathLike[str],
    *,
    exclude: Iterable[str] = (),
    include: Iterable[str] = (),
    follow_links: bool = False,
    below: bytes = b"",
    seen: Seen | None = None,
) -> Iterator[Found | Skipped]:
    """Yield every file below ``root`` that is or may be an image: depth first, names in each folder in the order of characters.

    A link to a file counts as that file. Only regular files are yielded as `Found`, and none is opened: `images` tells which
    of those without an image's suffix are images.

    Args:
        root: a folder.
        exclude, include: see `Selection`.
        follow_links: enter links to folders too, except one that leads back to a folder which contains it.
        below: key of the folder, with a slash at its end, if it is a part of the root that keys and globs are relative to.
        seen: gets what the walk sees besides.
    Raises:
        OSError: the root itself is missing, no folder, or cannot be listed (an unmounted drive is not an empty folder).
    """
    selection = Selection(exclude=exclude, include=include)
    seen = Seen() if seen is None else seen
    top = os.path.abspath(root)
    start = len(os.path.join(top, ""))
    above = os.fsdecode(below)
    status = os.stat(top)
    mounts = mount_points(top)
    folder = seen.folders[below.rstrip(b"/")] = Folder(time=status.st_mtime_ns)
    stack = [_level(top, status, folder)]
    raws, has_reader = 0, has_rawpy()
    while stack:
        level = stack[-1]
        for entry in level.entries:
            name = entry.name
            try:
                is_folder = entry.is_dir()
            except OSError:
                is_folder = False
            suffix = "" if is_folder else suffix_of(name)
            relative = above + entry.path[start:]
            if selection.excludes(relative):
                continue
            inside = level.inside_left_out
            if inside and not selection.includes(relative):
                if not (is_folder and selection.leads_to_included(relative)):
                    continue
            elif inside:
                inside = False
            key = os.fsencode(relative)
            if suffix in UNSUPPORTED and not name.startswith(RESOURCE_FORK):
                level.folder.add(key)
                yield Skipped(
                    key=key, reason=UNSUPPORTED_FORMAT, detail=f"{suffix} is not read; convert it ({FORMATS})"
                )
            elif not is_folder and not seen.takes(key):
                if suffix in SUFFIXES and not name.startswith(RESOURCE_FORK):
                    level.folder.add(key)  # without looking: `names_in` counts it, too
            elif not is_folder:
                found = _look(entry, key, claimed=suffix in SUFFIXES and not name.startswith(RESOURCE_FORK))
                if found is None:
                    continue
                if not isinstance(found, Found) or found.claimed:
                    level.folder.add(key)
                if isinstance(found, Found) and found.claimed and suffix in RAW_SUFFIXES:
                    if level.has_photograph(name, selection, above=relative[: -len(name)]):
                        raws += 1
                        continue
                    if not has_reader:  # told here, so that nobody reads whole files for it
                        yield Skipped(
                            key=key,
                            reason="needs-raw",
                            detail=f"is a raw photograph; {pip_install('raw')} reads it",
                        )
                        continue
                yield found
            else:
                system = selection.left_out(relative, name)
                if system is not None:
                    if system == OWN:
                        continue
                    if not selection.leads_to_included(relative):
                        seen.left_out[system] += 1
                        continue
                    inside = True
                level.folder.add(key)
                if not seen.enters(key + b"/"):
                    continue
                entered = _enter(
                    entry, key, ancestors=[other.identity for other in stack], follow_links=follow_links
                )
                if isinstance(entered, Skipped):
                    yield entered
                    continue
                entered.inside_left_out = inside
                entered.folder.mount = (
                    entered.identity[0] != level.identity[0] or entry.path[start:] in mounts
                )
                seen.folders[key] = entered.folder
                stack.append(entered)
                break
        else:
            stack.pop()
    if raws:
        seen.note(
            f"{raws:,} raw photographs lie beside a JPEG or HEIC of the same name, which is taken for them"
        )


def walk(root: str | os.PathLike[str], **options: Any) -> Iterator[Found | Skipped]:
    """Yield every image below ``root``; takes the options of `walk_files`."""
    return images(walk_files(root, **options))


def images(entries: Iterable[Found | Skipped]) -> Iterator[Found | Skipped]:
    """Leave out the files that are no images; those whose suffix does not tell are opened for their first bytes."""
    for entry in entries:
        if isinstance(entry, Skipped) or entry.claimed:
            yield entry
            continue
        looked = look(entry)
        if looked is not None:
            yield looked


def look(file: Found) -> Found | Skipped | None:
    """Say by its first bytes what a file is whose suffix does not tell: an image, one that is not read, or None."""
    try:
        head = first_bytes(file.path) if file.size else b""
    except OSError as error:
        reason = os_reason(error)
        return None if reason == "vanished" else Skipped(key=file.key, reason=reason, detail=_why(error))
    kind = recognise(head or b"", size=file.size)
    if kind == "image":
        return file
    if kind == "no image":
        return None
    return Skipped(
        key=file.key, reason=UNSUPPORTED_FORMAT, detail=f"{kind} is not read; convert it ({FORMATS})"
    )


def names_in(path: str, key: bytes, *, taken: FolderOptions, limit: int) -> int | None:
    """Return the checksum of the names in one folder that matter, as `Folder.names` has it.

    Args:
        path: the folder.
        key: its key.
        taken: what the walk was asked to take.
        limit: how many files without an image's suffix may be opened for their first bytes.
    Returns:
        None if there are more of these.
    Raises:
        OSError: it cannot be listed.
    """
    folder, selection = Folder(time=0), taken.selection
    above = os.fsdecode(key + b"/" if key else b"")
    for entry in _listed(path):
        name = entry.name
        relative = above + name
        if selection.excludes(relative):
            continue
        try:
            is_folder = entry.is_dir()
        except OSError:
            is_folder = False
        suffix = "" if is_folder else suffix_of(name)
        if is_folder:
            if selection.left_out(relative, name) is None or selection.leads_to_included(relative):
                folder.add(os.fsencode(relative))
        elif ((suffix in SUFFIXES or suffix in UNSUPPORTED) and not name.startswith(RESOURCE_FORK)) or (
            taken.media and taken.media.takes(os.fsencode(relative))
        ):
            folder.add(os.fsencode(relative))
        elif isinstance(found := _look(entry, b"", claimed=False), Found) and found.size:
            limit -= 1
            if limit < 0:
                return None
            if look(found) is not None:
                folder.add(os.fsencode(relative))
    return folder.names


def mount_points(top: str) -> frozenset[str]:
    """Return the paths relative to a folder of the file systems mounted below it, bind mounts too, where the system lists them."""
    try:
        with open("/proc/self/mountinfo", "rb") as lines:
            paths = [
                os.fsdecode(_OCTAL.sub(lambda code: bytes([int(code[1], 8)]), line.split(b" ")[4]))
                for line in lines
            ]
    except (OSError, IndexError, ValueError):
        return frozenset()
    real = os.path.join(os.path.realpath(top), "")
    return frozenset(path[len(real) :] for path in paths if path.startswith(real) and len(path) > len(real))


def _level(path: str, status: os.stat_result, folder: Folder) -> _Level:
    listed = _listed(path)
    identity = (status.st_dev, status.st_ino)
    return _Level(listed=listed, entries=iter(listed), identity=identity, folder=folder)


def _listed(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _look(entry: os.DirEntry[str], key: bytes, *, claimed: bool) -> Found | Skipped | None:
    """Return the file with its size and time, or why it is none; a pipe or device is never opened.

    Of a file that does not claim to be an image, nothing is said where it is gone, or no regular file.
    """
    try:
        status = entry.stat()
    except OSError as error:
        reason = os_reason(error)
        if not claimed and reason in ("vanished", "link-loop"):
            return None
        return Skipped(key=key, reason=reason, detail=_why(error))
    if not stat.S_ISREG(status.st_mode):
        if not claimed:
            return None
        return Skipped(key=key, reason="not-a-file", detail="a pipe, device or socket, not a file")
    return Found(key, entry.path, status.st_size, status.st_mtime_ns, claimed)


def _enter(
    entry: os.DirEntry[str], key: bytes, *, ancestors: list[tuple[int, int]], follow_links: bool
) -> _Level | Skipped:
    """Return a folder's entries and identity, or why it is not entered."""
    try:
        linked = entry.is_symlink()
        if linked and not follow_links:
            return Skipped(
                key=key,
                reason=NOT_FOLLOWED,
                detail="a link to a folder; --follow-links enters it",
                folder=True,
            )
        status = os.stat(entry.path)
        identity = (status.st_dev, status.st_ino)
        if linked and identity in ancestors:
            return Skipped(
                key=key, reason="link-loop", detail="a link to a folder that contains it", folder=True
            )
        return _level(entry.path, status, Folder(time=status.st_mtime_ns))
    except OSError as error:
        return Skipped(key=key, reason=os_reason(error), detail=_why(error), folder=True)


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
