"""A damaged file of a generation is an error before anything reads it, whatever kind of index it holds."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np
import pytest

from indexes import checksums
from indexes.checksums import digest
from indexes.engine import ivf
from indexes.errors import StoreCorrupt
from indexes.generation import file_checks
from indexes.generation.description.index_kinds import FileInfo

ROWS = np.random.default_rng(0).standard_normal((3000, 32)).astype(np.float32)

LISTED = ["IVF16,Flat", "IVF16,SQ8", "IVF16,PQ8", "IVF16,PQ8x4fs", "HR,IVF16,RaBitQfs", "HR,IVF16,RaBitQfs2"]
LISTED += ["OPQ8,IVF16,PQ8", "IVF16_HNSW4,SQ8", "IVF64,SQ4", "IVF16,RaBitQ"]
OTHERS = ["Flat", "PQ8", "PQ8x4fs", "SQ8", "HNSW8,Flat", "IVF16,PQ8,RFlat", "LSH"]


def saved(tmp_path, factory):
    index = ivf.make(factory, dim=32)
    ivf.train(index, ROWS)
    ivf.add(index, [(np.arange(len(ROWS)), ROWS)])
    path = tmp_path / "index.faiss"
    ivf.save(index, path)
    return path


@pytest.mark.parametrize("factory", LISTED)
def test_of_a_large_index_with_lists_the_head_is_checked(tmp_path, monkeypatch, factory):
    path = saved(tmp_path, factory)
    monkeypatch.setattr(file_checks, "WHOLE", 100)
    info = file_checks.measured(path, FileInfo.of(path))
    whole = path.read_bytes()

    assert info.head is not None
    assert 0 < info.head < len(whole) - 8 * len(ROWS)
    file_checks.check(path, info)
    draws = np.random.default_rng(1)
    for place in draws.choice(info.head, 300, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(draws.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(StoreCorrupt, match=r"index\.faiss: not the bytes that were published"):
            file_checks.check(path, info)


def test_changed_sizes_of_block_lists_are_found(tmp_path, monkeypatch):
    path = saved(tmp_path, "HR,IVF16,RaBitQfs")
    monkeypatch.setattr(file_checks, "WHOLE", 100)
    info = file_checks.measured(path, FileInfo.of(path))
    whole = path.read_bytes()
    place, rows = info.head, 0
    block = int.from_bytes(whole[place - 8 : place], "little")
    while place < len(whole):
        size = int.from_bytes(whole[place : place + 8], "little")
        rows += size
        for bit in (0, 1, 5, 31, 62):
            damaged = bytearray(whole)
            damaged[place + bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            with pytest.raises(StoreCorrupt):
                file_checks.check(path, info)
        place += 8 * (size + 2) + -(-size // 32) * block
    assert rows == len(ROWS)


@pytest.mark.parametrize("factory", OTHERS)
def test_an_index_without_lists_at_its_end_is_checked_whole(tmp_path, monkeypatch, factory):
    path = saved(tmp_path, factory)
    monkeypatch.setattr(file_checks, "WHOLE", 100)
    info = file_checks.measured(path, FileInfo.of(path))

    assert info.head is None
    file_checks.check(path, info)
    damaged = bytearray(path.read_bytes())
    damaged[-9] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StoreCorrupt):
        file_checks.check(path, info)


def test_what_lies_in_a_small_index_is_checked_whole(tmp_path):
    path = saved(tmp_path, "IVF16,SQ8")
    info = file_checks.measured(path, FileInfo.of(path))

    assert info.head is None
    assert info.digest == digest(path.read_bytes())


@pytest.mark.parametrize("change", ["cut", "longer", "missing"])
def test_another_length_is_said(tmp_path, change):
    path = tmp_path / "keys.bin"
    path.write_bytes(b"x" * 5000)
    info = FileInfo.of(path)
    path.write_bytes(b"x" * (4999 if change == "cut" else 5001))
    if change == "missing":
        path.unlink()
    with pytest.raises(StoreCorrupt, match="missing" if change == "missing" else "expected 5,000"):
        file_checks.check(path, info)


def test_a_file_of_an_older_format_is_held_to_its_sha256(tmp_path):
    path = tmp_path / "keys.bin"
    path.write_bytes(b"x" * 5000)
    full = FileInfo.of(path)
    info = FileInfo(bytes=full.bytes, sha256=full.sha256)

    file_checks.check(path, info)
    path.write_bytes(b"x" * 4999 + b"y")
    with pytest.raises(StoreCorrupt, match="checksum"):
        file_checks.check(path, info)


def test_the_digest_sees_flips_swaps_zeroes_and_lengths():
    data = np.random.default_rng(2).integers(0, 256, 40_000, dtype=np.uint8)
    swapped, zeroed, flipped = data.copy(), data.copy(), data.copy()
    swapped[4096:8192], swapped[8192:12288] = data[8192:12288], data[4096:8192]
    zeroed[4096:8192] = 0
    flipped[39_999] ^= 128
    words = data.copy()
    words[:8], words[8:16] = data[8:16], data[:8]
    kinds = [data, swapped, zeroed, flipped, words, data[:-1], data[4096:], data[:0]]

    assert len({digest(each.tobytes()) for each in kinds} | {digest(data.tobytes(), b"more")}) == 9
    assert digest(data.tobytes()) == digest(data)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = tmp_path / "keys.bin"
    path.write_bytes(b"x" * 5000)
    info = FileInfo.of(path)

    def refuse(*_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(file_checks, "_same", refuse)
    with pytest.raises(
        StoreCorrupt, match=r"cannot be read \(Permission denied\).*nothing is known to be damaged"
    ) as caught:
        file_checks.check(path, info)
    assert "delete" not in str(caught.value)


def test_a_file_that_was_right_is_read_again_when_it_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "keys"
    path.write_bytes(bytes(5000))
    info = file_checks.measured(path, FileInfo.of(path))
    reads = []
    same = file_checks._same
    monkeypatch.setattr(file_checks, "_same", lambda *given: (reads.append(1), same(*given))[1])
    monkeypatch.setattr(file_checks, "_sound", checksums.Sound())

    file_checks.check(path, info)
    file_checks.check(path, info)
    assert len(reads) == 2  # it has just been written: its times may not show another change

    monkeypatch.setattr(checksums, "_SETTLED", -(10**12))
    file_checks.check(path, info)
    file_checks.check(path, info)
    assert len(reads) == 3

    time.sleep(0.05)  # the system's clock of files ticks every few milliseconds
    before = path.stat()
    path.write_bytes(b"\1" + bytes(4999))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(StoreCorrupt, match="checksum differs"):
        file_checks.check(path, info)


def test_sizes_that_are_known_stand_for_those_between_the_lists(tmp_path, monkeypatch):
    path = saved(tmp_path, "HR,IVF16,RaBitQfs")
    monkeypatch.setattr(file_checks, "WHOLE", 100)
    info = file_checks.measured(path, FileInfo.of(path))
    sizes = file_checks.sizes_of_blocks(path)
    assert sizes.sum() == len(ROWS)
    (tmp_path / "other").mkdir()
    assert file_checks.sizes_of_blocks(saved(tmp_path / "other", "IVF16,SQ8")) is None

    monkeypatch.setattr(file_checks.os, "pread", None)  # none is read
    file_checks.check(path, info, sizes=sizes)
    for wrong in (sizes[:-1], sizes[::-1], sizes + np.uint32(1)):
        with pytest.raises(StoreCorrupt, match="not the bytes that were published"):
            file_checks.check(path, replace(info, sha256="another"), sizes=wrong)
