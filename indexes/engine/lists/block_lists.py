"""Merge FastScan and RaBitQ inverted lists, and add to them after deletions: FAISS 1.15 does both wrongly.

A block list keeps the codes of 32 rows interleaved in one block. FAISS 1.15.1 (and its main branch) has three faults there:

1. `BlockInvertedLists::add_entries`, which `merge_from` calls, copies whole blocks where ``o % block_size == 0`` holds for the
   ``o`` rows that a list has. ``block_size`` is a number of *bytes*; ``n_per_block`` is meant. It then copies as many bytes as
   the list will have in the end, from a source that is shorter, to the end of a list that is too short: the heap is
   overwritten. It happens with a list of 512 rows of ``RaBitQfs`` at 64 dimensions, and of every multiple.
2. `BlockInvertedLists::remove_ids` leaves the codes of removed rows in the last block, and adding rows to it combines the new
   codes with those bits by *or*: up to 31 new rows a list get wrong codes, without a word. After `merge_from` too the place behind the last row holds anything.
3. Blocks of other sizes (``PQ8x4fs_64``) are packed in one order, and unpacked in another by `merge_from` and `remove_ids`.

Here lists that end in a full block are merged by copying blocks, so that the first is never reached. The second is mended
by clearing what lies behind the last row before any row is added. The third is refused by `ivf.make`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from indexes.engine import faiss
from indexes.errors import OptionError

ROWS_PER_BLOCK = 32
"""The only size of a block whose rows FAISS unpacks in the order in which it packed them."""


def of(inner: Any) -> Any | None:
    """Return the block lists of an innermost index; None if it has others, or none."""
    module = faiss()
    if not isinstance(inner, module.IndexIVF):
        return None
    lists = module.downcast_InvertedLists(inner.invlists)
    return lists if isinstance(lists, module.BlockInvertedLists) else None


def require_safe(inner: Any, factory: str) -> None:
    """Refuse block lists that FAISS cannot merge or delete from.

    Raises:
        OptionError: a block holds another number of rows than 32.
    """
    lists = of(inner)
    if lists is not None and lists.n_per_block != ROWS_PER_BLOCK:
        rows = int(lists.n_per_block)
        raise OptionError(
            f"index kind {factory!r}: FAISS damages blocks of {rows} rows when rows are deleted; leave _{rows} out"
        )


def merge(whole: Any, part: Any) -> None:
    """Move all rows of ``part`` into ``whole``; both are innermost inverted-file indexes with the same training.

    Rows keep their ids and their order. ``part`` is empty afterwards.
    """
    lists, other = of(whole), of(part)
    if lists is not None and other is not None:
        for number in range(lists.nlist):
            held = lists.list_size(number)
            if held and held % lists.n_per_block == 0 and (added := other.list_size(number)):
                _append_blocks(lists, other, number, held, added)
    whole.merge_from(part, 0)  # of a list that was moved above nothing is left to merge


def _append_blocks(lists: Any, other: Any, number: int, held: int, added: int) -> None:
    """Append one list to another whose last block is full: its blocks are copied as they are."""
    view = faiss().rev_swig_ptr
    lists.resize(number, held + added)
    view(lists.get_ids(number), held + added)[held:] = view(other.get_ids(number), added)
    begin = held // lists.n_per_block * lists.block_size
    size = -(-added // lists.n_per_block) * lists.block_size
    view(lists.get_codes(number), begin + size)[begin:] = view(other.get_codes(number), size)
    other.resize(number, 0)


def clear_behind(inner: Any) -> None:
    """Clear what lies behind the last row of each list, where removed rows or a merge left some bits."""
    lists = of(inner)
    if lists is None or inner.ntotal == 0:
        return
    module = faiss()
    blank = np.zeros(lists.packer.code_size, dtype=np.uint8)
    pointer, pack, block = module.swig_ptr(blank), lists.packer.pack_1_c, int(lists.n_per_block)
    for number in range(lists.nlist):
        size = lists.list_size(number)
        if size % block:
            codes = lists.get_codes(number)
            for place in range(size, -(-size // block) * block):
                pack(pointer, place, codes)
