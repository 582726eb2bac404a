"""Choose the sources of a build: those that were named, those that the manifest names, those that are to be dropped."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.generation import FOLDER, HAND, Source as Recorded, check_sizes, free_number, store_path
from indexes.store import RERANK, SOURCES, RerankRows
from retrieval.errors import OptionError, StoreCorrupt
from retrieval.ingestion import is_text_of_another
from retrieval.ingestion.build_sources.build_sources import BuildSource, BuildSources
from retrieval.location import (
    DIRECTORY,
    ENVIRONMENT,
    chosen_by_environment,
    inside,
    record_path,
    record_root,
    require_folder,
    resolve_root,
)
from retrieval.sources import (
    SINGLE_FILE,
    STANDARD_INPUT,
    FolderOptions,
    FolderSource,
    RememberingSource,
    memory_of,
    named_type,
    open_recorded,
    open_spec,
    source_type,
    spec_of,
    walk,
    whole_text,
)
from retrieval.sources.folders import folder_memory
from retrieval.sources.remote import is_url, public_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexes.generation import Manifest
    from retrieval.ingestion import SourceLike
    from retrieval.sources import Part, Source


def choose_sources(
    given: Sequence[SourceLike],
    directory: Path,
    before: Manifest | None,
    *,
    options: Mapping[str, Any],
    root: str | os.PathLike[str] | None = None,
    drop: Sequence[str | os.PathLike[str]] = (),
    part: Part | None = None,
) -> BuildSources:
    """Match the sources that were named with those that the manifest names, and open them.

    Args:
        given: texts, paths or opened sources; none repeats all that the collection has.
        directory: the collection's.
        before: its published manifest; None for a new collection.
        options: what was asked for, by name; each source takes what it understands.
        root: the folder that paths are recorded relative to.
        drop: texts of recorded sources that are to be removed with their rows.
        part: what of them is taken; None for all.
    Raises:
        OptionError: a source cannot be opened, stands twice, or is none of the collection's that is to be dropped; or an option
            means nothing to any of them.
        MissingExtra: a package is missing.
    """
    recorded = () if before is None else before.sources
    built = tuple(source for source in recorded if source.type != HAND)
    dropped = tuple(_named(text, directory, built) for text in drop)
    kept = tuple(source for source in recorded if source not in dropped)
    choice = _Choice(directory, before, kept, options, root)
    passed_over: list[str] = []
    if given:
        for one in given:
            choice.add(one)
    else:
        for source in built:
            text = spec_of(directory, source)
            if source in dropped or _is_home_of_rows(directory, source, recorded):
                continue
            if text == STANDARD_INPUT:
                passed_over.append(text)
            else:
                choice.repeat(source)
    if not choice.recorded or (not choice.chosen and not dropped):
        raise OptionError(
            f"{directory} would have no source left; name another one beside those that are dropped"
            if dropped
            else f"{directory} was built from a list on standard input, which cannot be read again; pipe the list once more and name `-`, or "
            f"write it to a file and name that"
            if passed_over
            else f"{directory} was built from no source that can be asked again; name one"
        )
    choice.refuse_unused()
    return BuildSources(
        chosen=tuple(replace(one, part=part) for one in choice.chosen),
        recorded=tuple(choice.recorded),
        dropped=dropped,
        passed_over=tuple(passed_over),
    )


def _named(text: str | os.PathLike[str], directory: Path, built: tuple[Recorded, ...]) -> Recorded:
    """Return the recorded source that a text names, by what it says or by where it leads."""
    _, plain = named_type(os.fspath(text))
    whole = whole_text(plain)
    if is_url(plain):  # as the manifest has it
        plain = whole = public_url(plain)
    for source in built:
        if plain in {source.path, spec_of(directory, source)} or whole == spec_of(directory, source):
            return source
    known = ", ".join(spec_of(directory, source) for source in built) or "none"
    raise OptionError(f"{plain} is no source of {directory}; nothing was removed. It has {known}")


def only_rows_by_hand(
    given: Sequence[SourceLike], directory: Path, before: Manifest, *, is_named: bool = False
) -> bool:
    """Say whether a build is asked to index rows by hand once more: no source is named, and the collection has none that can be listed.

    So it is where the folder is named that such a collection lies in, it has no images, and a file of its index was lost.
    With an encoder (``is_named``) new images are expected; only a file that was lost says that none are.
    """
    if not all(
        one.type == HAND or _is_home_of_rows(directory, one, before.sources) for one in before.sources
    ):
        return False
    if not given:
        return not is_named or _is_damaged(directory, before)
    home, (first, *others) = resolve_root(directory, before.root), given
    if others or not isinstance(first, str | os.PathLike) or not os.path.isdir(first):
        return False
    is_home = os.path.realpath(first) == os.path.realpath(home)
    return is_home and _is_damaged(directory, before) and not any(walk(first))


def _is_damaged(directory: Path, before: Manifest) -> bool:
    """Say whether a file that can be made again from the store is missing or has another length."""
    rerank = store_path(directory, before) / RERANK
    try:
        check_sizes(directory, before)
        RerankRows.open(rerank, dim=before.space.dim, count=before.count)
    except StoreCorrupt:
        return True
    return False


def _is_home_of_rows(directory: Path, source: Recorded, recorded: tuple[Recorded, ...]) -> bool:
    """Say whether a folder is only where a collection of rows by hand lies: no build has ever walked it."""
    by_hand = any(other.type == HAND for other in recorded)
    return source.type == FOLDER and by_hand and not (directory / folder_memory.FOLDERS).exists()


class _Choice:
    """The sources of a build, one after the other."""

    def __init__(
        self,
        directory: Path,
        before: Manifest | None,
        recorded: tuple[Recorded, ...],
        options: Mapping[str, Any],
        root: str | os.PathLike[str] | None,
    ) -> None:
        self.chosen: list[BuildSource] = []
        self.recorded = list(recorded)
        self._directory, self._before, self._options = directory, before, options
        self._root = None if root is None else require_folder(root)
        self._next = free_number(() if before is None else before.sources)
        self._used: set[str] = set()

    def add(self, given: SourceLike) -> None:
        """Take a source that was named."""
        if not isinstance(given, str | os.PathLike):
            self._take_opened(given)
            return
        kind, text = named_type(os.fspath(given))
        whole = whole_text(text)
        for source in self.recorded:  # what the collection was built from means what it did
            fits = source.type not in {HAND, FOLDER} and kind in {None, source.type}
            if fits and whole == spec_of(self._directory, source):
                self.repeat(source)
                return
        if kind in {None, FOLDER} and (os.path.isdir(whole) or not is_text_of_another(whole)):
            if kind is None and os.path.isdir(whole) and not self._is_folder(whole):
                self._take_opened(open_spec(whole, self._options))
            else:
                self._take_folder(require_folder(whole))
            return
        self._take_opened(open_spec(given, self._options))

    def _is_folder(self, whole: str) -> bool:
        """Say whether a folder is a folder of images: it is one of the collection's, or no other type recognises it."""
        folders = [source for source in self.recorded if source.type == FOLDER]
        if any(inside(whole, spec_of(self._directory, source)) is not None for source in folders):
            return True
        return open_spec(whole, self._options).type == FOLDER

    def repeat(self, source: Recorded) -> None:
        """Take a source of the collection as it was recorded, with the options of this build."""
        if source.type == FOLDER:
            moved = self._root if source.number == self._main() else None
            self._take_folder(moved or require_folder(spec_of(self._directory, source)))
            return
        opened = open_recorded(self._directory, source, self._options)
        self._note_options(source_type(source.type).takes)
        self._take(opened, replace(source, options=dict(opened.options)), is_new=False)

    def _take_opened(self, source: Source) -> None:
        if isinstance(source, FolderSource):
            self._take_folder(source.root, source.taken)
            return
        kind = source_type(source.type)
        if source.type == SINGLE_FILE:
            self._refuse_inside(source.spec)
        for known in self.recorded:
            if known.type == source.type and spec_of(self._directory, known) == source.spec:
                self.repeat(known)
                return
        self._note_options(kind.takes)
        recorded = Recorded(
            type=source.type,
            path=record_path(self._directory, source.spec),
            options=dict(source.options),
            number=self._next,
        )
        if isinstance(source, RememberingSource):
            source.memory = memory_of(self._directory, recorded.number)
        self._take(source, recorded, is_new=True)

    def _refuse_inside(self, path: str) -> None:
        """Refuse a file of a folder that the collection has already: it would have two keys."""
        for folder in (known for known in self.recorded if known.type == FOLDER):
            home = spec_of(self._directory, folder)
            if inside(path, home) is not None:
                raise OptionError(f"{path} lies in {home}, a source of this collection; build that folder")

    def _take_folder(self, images: Path, taken: FolderOptions | None = None) -> None:
        """Take a folder of images: one of the collection's, a part of one, or a new one."""
        own, home, part = self._find_folder(images)
        self._note_options(FolderSource.takes)
        below = b"" if part == os.curdir else os.fsencode(part).replace(os.fsencode(os.sep), b"/") + b"/"
        asked = {} if own is None else dict(own.options)
        asked |= {name: value for name, value in self._options.items() if name in FolderSource.takes}
        source = FolderSource(home, taken or FolderOptions.from_json(asked), below=below)
        path = record_root(self._directory, home)
        if own is None:
            recorded = Recorded(path=path, options=dict(source.options), number=self._next)
        elif below:  # the options of a part hold for this build only
            recorded = replace(own, path=path)
        else:
            recorded = replace(own, path=path, options=dict(source.options))
        self._take(source, recorded, below=below, is_new=own is None)

    def _find_folder(self, images: Path) -> tuple[Recorded | None, Path, str]:
        """Return the collection's folder that a folder lies in, with its root and the part of it that is meant."""
        folders = [source for source in self.recorded if source.type == FOLDER]
        roots = {source.number: resolve_root(self._directory, source.path) for source in folders}
        if self._root is not None:
            part = inside(images, self._root)
            if part is None:
                raise OptionError(f"{images} does not lie in the root {self._root}")
            own = next((source for source in folders if roots[source.number] == self._root), None)
            return own or next(iter(folders), None), self._root, part
        for source in folders:
            part = inside(images, roots[source.number])
            if part is not None:
                return source, images if part == os.curdir else roots[source.number], part
        for source in folders:
            home = roots[source.number]
            moved = len(folders) == 1 and not home.exists()
            if moved or inside(home, images) is not None or chosen_by_environment(self._directory):
                raise OptionError(_foreign(self._directory, images, home))
        return None, images, os.curdir

    def _take(self, source: Source, recorded: Recorded, *, below: bytes = b"", is_new: bool) -> None:
        numbers = [known.number for known in self.recorded]
        if any(one.number == recorded.number and one.below == below for one in self.chosen):
            raise OptionError(f"{source.name} stands twice among the sources; name it once")
        if any(one.number == recorded.number for one in self.chosen):
            raise OptionError(
                f"two parts of {source.name} cannot be built at once; build one after the other"
            )
        if recorded.number in numbers:
            self.recorded[numbers.index(recorded.number)] = recorded
        else:
            if recorded.number >= SOURCES:
                raise OptionError(
                    f"{self._directory} has had {SOURCES} sources, as many as it can; name many files by one text with braces or "
                    f"stars, or in a listing"
                )
            self.recorded.append(recorded)
            self._next += 1
        is_main = recorded.type == FOLDER and recorded.number == self._main()
        self.chosen.append(
            BuildSource(
                source=source,
                recorded=recorded,
                memory=self._directory if is_main else memory_of(self._directory, recorded.number),
                below=below,
                is_new=is_new,
                is_main=is_main,
            )
        )

    def _main(self) -> int:
        """Return the number of the first folder."""
        return next(source.number for source in self.recorded if source.type == FOLDER)

    def _note_options(self, takes: frozenset[str]) -> None:
        self._used |= takes

    def refuse_unused(self) -> None:
        """Refuse an option that means nothing to any of the sources."""
        for name in self._options:
            if name not in self._used:
                names = ", ".join(one.source.name for one in self.chosen)
                raise OptionError(f"`{name}` has no meaning for {names}; leave it out")


def _foreign(directory: Path, images: Path, recorded: Path) -> str:
    moved = f'if that folder moved, say so with `root="{images}"`'
    named = ""
    if chosen_by_environment(directory):  # --root would make another folder's collection one of this
        named = f", which {ENVIRONMENT} names,"
        own = f'unset {ENVIRONMENT}, or name the folder\'s own with `index="{images / DIRECTORY}"`'
        moved = own if recorded.exists() else f"{own}; {moved}"
    return f"the collection {directory}{named} belongs to the folder {recorded}, not to {images}; {moved}"
