"""Further files tell of the rows that came later, each row once, and are written again seldom."""

from __future__ import annotations

from hypothesis import given, strategies as st

from indexes.generation import further_files, further_name, kept_files_and_next


def test_files_are_named_by_their_first_row():
    names = [further_name("keys.bin", first) for first in (0, 12, 1_000_000)]
    assert names == ["keys.bin", "keys-0000000012.bin", "keys-0001000000.bin"]
    assert further_files(["tombstones.npy", *reversed(names), "keys-12.bin", "xkeys.bin"], "keys.bin") == [
        0,
        12,
        1_000_000,
    ]


@given(added=st.lists(st.integers(0, 50), max_size=40), large=st.integers(1, 60))
def test_files_follow_each_other(added, large):
    firsts, covered = [], 0
    for count in added:
        kept, start = kept_files_and_next(firsts, covered, covered + count, large=large)
        assert kept == firsts[: len(kept)]
        firsts = kept if start is None else [*kept, start]
        assert (start is None) == (count == 0)
        assert firsts == sorted(set(firsts))
        assert not firsts or firsts[0] == 0
        covered += count


def test_a_small_first_file_is_written_again_and_a_large_one_stays():
    assert kept_files_and_next([0], 9, 10, large=10) == ([], 0)
    assert kept_files_and_next([0], 10, 11, large=10) == ([0], 10)


def test_rows_are_written_again_about_as_often_as_they_double():
    firsts, covered, written = [0], 1_000, 0
    for _ in range(256):
        firsts, start = kept_files_and_next(firsts, covered, covered + 1, large=1_000)
        covered += 1
        written += covered - start
        firsts = [*firsts, start]
    assert len(firsts) <= 8
    assert written <= 6 * 256  # 5.0 as it is
