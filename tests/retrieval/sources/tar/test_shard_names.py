"""Braces and stars in the names of archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.errors import OptionError
from retrieval.sources.tar.shard_names import expand_braces, find_shards, fixed_part


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.tar", ["a.tar"]),
        ("{0..2}.tar", ["0.tar", "1.tar", "2.tar"]),
        ("{08..11}.tar", ["08.tar", "09.tar", "10.tar", "11.tar"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{a,b}-{0..1}", ["a-0", "a-1", "b-0", "b-1"]),
        ("{train,val}.tar", ["train.tar", "val.tar"]),
        ("odd{}.tar", ["odd{}.tar"]),
        ("odd{x}.tar", ["odd{x}.tar"]),
        ("{7..7}", ["7"]),
    ],
)
def test_braces_stand_for(text: str, expected: list[str]) -> None:
    assert expand_braces(text) == expected


@pytest.mark.parametrize("text", ["{0..99999999}", "{0..9999}{0..9999}"])
def test_too_many_names_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="stands for more than 1,000,000 names"):
        expand_braces(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/a/b.tar", "/a"), ("/a/{0..1}/x.tar", "/a"), ("/a/b-*.tar", "/a"), ("/a/*/c/{0..1}.tar", "/a")],
)
def test_keys_are_relative_to_the_part_without_braces(text: str, expected: str) -> None:
    assert fixed_part(text) == expected


def test_stars_find_files_and_braces_name_them(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar", "c.txt", "[x].tar"):
        (tmp_path / name).touch()

    assert find_shards(f"{tmp_path}/*.tar") == [
        f"{tmp_path}/{name}" for name in ("[x].tar", "a.tar", "b.tar")
    ]
    assert find_shards(f"{tmp_path}/{{a,gone}}.tar") == [f"{tmp_path}/a.tar", f"{tmp_path}/gone.tar"]
    assert find_shards(f"{tmp_path}/[x].tar") == [f"{tmp_path}/[x].tar"]
    assert find_shards(f"{tmp_path}/{{a,*}}.tar")[0] == f"{tmp_path}/a.tar"
    assert find_shards(f"{tmp_path}/no*.tar") == []
