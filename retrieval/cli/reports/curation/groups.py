"""Say which groups a collection has, and what stands for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.display import cells, escape, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrieval.curation.groups import Groups

_NAMED = 3

_FEW, _LARGE, _FINER = 10, 40, 4
"""Groups, and images in a group on average, from which finer groups are proposed; and how many times as many."""


def group_lines(found: Groups, *, columns: int) -> str:
    """Lay out the groups: number, size, name, nearest words, then the paths of the first representatives.

    Args:
        found: the groups.
        columns: width of the terminal; 0 where there is none.
    """
    lines: list[str] = []
    for group in found:
        others = ", ".join(escape(word) for word, _ in group.words if word != group.name)
        also = f"  (also near: {others})" if others else ""
        images = "image" if group.size == 1 else "images"
        lines.append(f"{group.number:>3}. {found.title(group.number)}, {group.size:,} {images}{also}")
        for image in group.representatives[:_NAMED]:
            front = "       "
            room = max(columns - cells(front), 8) if columns else 0
            path = escape(image.path)
            lines.append(front + (shorten(path, room) if room else path))
    return "".join(f"{line}\n" for line in lines)


def group_notes(found: Groups) -> Iterator[str]:
    """Yield what there is to say besides the groups."""
    groups = "group" if len(found) == 1 else "groups"
    how = (
        "as many as describe the images shortly and lie apart"
        if found.estimated
        else "as many as were asked for"
    )
    images = "image" if len(found.ids) == 1 else "images"
    finer = f"; for finer ones: --n-groups {_FINER * len(found)}" if _is_coarse(found) else ""
    yield f"{len(found):,} {groups} of {len(found.ids):,} {images}{f', {how}' if len(found) else ''}{finer}"
    if found.unnamed:
        yield f"no names: {escape(found.unnamed)}"


def _is_coarse(found: Groups) -> bool:
    """Say whether few groups were found of many images."""
    return found.estimated and 0 < len(found) < _FEW and len(found.ids) >= _LARGE * len(found)
