"""Keys of pictures of films and documents are split and joined, and nothing else is taken for one."""

import subprocess
import sys

import pytest

from retrieval.errors import OptionError
from retrieval.sources.media import MediaOptions, clock, page_of, seconds_of, split_key, split_path
from retrieval.sources.media.parts import part_of_time


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"clip.mp4#t=12.4", (b"clip.mp4", "t=12.4")),
        (b"a#b/\xff.MKV#t=0", (b"a#b/\xff.MKV", "t=0")),
        (b"x.mp4#t=1.mp4#t=2", (b"x.mp4#t=1.mp4", "t=2")),
        (b"paper.pdf#page=3", (b"paper.pdf", "page=3")),
        (b"clip.mp4", None),
        (b"clip.mp4#t=", None),
        (b"clip.mp4#t=1x", None),
        (b"clip.mp4#page=3", None),
        (b"paper.pdf#t=3", None),
        (b"photo.jpg#t=3", None),
        (b"train.parquet#7", None),
    ],
)
def test_a_key_is_split(key, expected):
    assert split_key(key) == expected


@pytest.mark.parametrize("seconds", [0.0, 0.04, 12.4, 12.345, 3600.0, 100000.001])
def test_a_time_comes_back(seconds):
    assert seconds_of(part_of_time(seconds)) == seconds
    assert page_of(part_of_time(seconds)) is None


def test_a_file_with_the_whole_name_is_a_file(tmp_path):
    (tmp_path / "a.mp4#t=1").touch()

    assert split_path(f"{tmp_path}/a.mp4#t=1") is None
    assert split_path(f"{tmp_path}/b.mp4#t=1") == (f"{tmp_path}/b.mp4", "t=1")


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0:00"), (12.4, "0:12.4"), (59.97, "1:00"), (3723.0, "1:02:03")]
)
def test_a_time_is_shown_as_players_do(seconds, expected):
    assert clock(seconds) == expected


def test_options_come_back_from_the_manifest():
    for given in ({"every": 5}, {"every": "0.5", "pages": True}, {"every": "scenes"}, {"every": ""}, {}):
        options = MediaOptions.from_json(given)
        assert MediaOptions.from_json(options.to_json()) == options
    assert not MediaOptions.from_json({"every": "", "pages": False})


@pytest.mark.parametrize("every", ["x", "0", -1, True, "nan", "inf", []])
def test_spacings_that_cannot_be_are_refused(every):
    with pytest.raises(OptionError, match="every is"):
        MediaOptions.from_json({"every": every})


def test_stamps_differ_by_options_and_begin_with_the_files():
    stamp = bytes(16)
    one, other = MediaOptions(every=1.0), MediaOptions(every=2.0)

    assert one.stamp(stamp).startswith(stamp)
    assert one.stamp(stamp) != other.stamp(stamp)
    assert one.is_mark_of(one.stamp(bytes(24)))
    assert not one.is_mark_of(other.stamp(stamp))
    assert one.stamp(b"") == b""


def test_names_of_parts_load_neither_pillow_nor_a_decoder():
    code = (
        "import sys, retrieval.sources.folders.folder, retrieval.sources.tar.tar_source, retrieval.sources.media.parts\n"
        "print([name for name in ('PIL', 'av', 'pypdfium2', 'rawpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
