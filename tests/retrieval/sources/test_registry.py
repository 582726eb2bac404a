"""Which type of source a text names, against committed fake distributions (`tests/fixtures/archives`)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from retrieval.errors import OptionError, SourceConflict, SourceError
from retrieval.sources import FolderSource, keys, open_spec, source_type
from retrieval.testing import check_source
from tests.retrieval.folders import fill

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FIXTURES / "archives")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A ZIP file of three pictures and a text."""
    photos = fill(tmp_path / "filled", ["b/2.png", "a/1.png", "c.png"])
    with zipfile.ZipFile(tmp_path / "holidays.zip", "w") as file:
        for path in sorted(photos.rglob("*.png"), reverse=True):
            file.write(path, path.relative_to(photos).as_posix())
        file.writestr("notes.txt", "sun")
    return tmp_path / "holidays.zip"


class TestRecognised:
    def test_a_folder(self, tmp_path: Path) -> None:
        source = open_spec(tmp_path, {"exclude": ["x"], "every": 3})

        assert isinstance(source, FolderSource)
        assert (source.spec, source.options) == (str(tmp_path), {"exclude": ["x"], "every": 3.0})

    def test_a_folder_with_its_type_in_front(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "photos").mkdir()
        monkeypatch.chdir(tmp_path)

        assert open_spec("folder:photos").spec == str(tmp_path / "photos")

    def test_a_path_that_looks_like_a_type_is_a_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "folder:photos").mkdir()
        monkeypatch.chdir(tmp_path)

        assert open_spec("folder:photos").spec == str(tmp_path / "folder:photos")

    def test_what_nothing_reads(self, tmp_path: Path) -> None:
        (tmp_path / "notes.doc").write_text("x")

        with pytest.raises(OptionError, match=r"gone\.doc does not exist"):
            open_spec(tmp_path / "gone.doc")
        with pytest.raises(OptionError, match=r"notes\.doc is no source that can be read; .*folder"):
            open_spec(tmp_path / "notes.doc")
        with pytest.raises(OptionError, match=r"'hologram'; known are .*folder"):
            source_type("hologram")


@pytest.mark.usefixtures("plugin")
class TestPlugin:
    def test_it_keeps_the_contract(self, archive: Path, tmp_path: Path) -> None:
        check_source("zip", archive, memory=tmp_path / "memory")

        source = open_spec(archive)
        assert [entry.key for entry in source.entries(None)] == [b"a/1.png", b"b/2.png", b"c.png"]
        assert open_spec(f"zip:{archive}").spec == source.spec

    def test_two_that_claim_one_type_are_named(self, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(FIXTURES / "archives_rival")

        with pytest.raises(SourceConflict, match="'retrieve-zap' and 'retrieve-zip'"):
            open_spec(archive)

    def test_a_folder_is_a_folder_whatever_is_installed(self, tmp_path: Path) -> None:
        (tmp_path / "holidays.zip").mkdir()

        assert open_spec(tmp_path / "holidays.zip").type == "folder"


class TestContract:
    """`check_source` names what is not kept."""

    @pytest.fixture
    def kind(self, monkeypatch: pytest.MonkeyPatch) -> type:
        monkeypatch.syspath_prepend(FIXTURES / "archives")
        return source_type("zip")

    def test_the_folder_keeps_it(self, tmp_path: Path) -> None:
        check_source(
            "folder", fill(tmp_path / "photos", ["a.png", "b/c.png", "d"]), options={"exclude": ["*.gif"]}
        )

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("recognises", classmethod(lambda *_: False), r"recognises\(\) is False"),
            ("holds", lambda *_: True, "True for a key of nothing"),
            ("link", lambda *_: "", "link"),
            ("read", lambda *_, **__: b"x", "its stamp says"),
            ("read", lambda *_, **__: None, "returns NoneType"),
            ("columns", lambda *_: {"when": object()}, "cannot be kept as JSON"),
            ("total", lambda *_: -1, r"total\(\) is -1"),
        ],
    )
    def test_a_member_that_is_not_kept(
        self, kind: type, archive: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object, words: str
    ) -> None:
        monkeypatch.setattr(kind, name, value, raising=False)

        with pytest.raises(SourceError, match=words):
            check_source(kind, archive)

    def test_an_order_that_is_not_fixed(
        self, kind: type, archive: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entries, turns = kind.entries, iter([False, True, False])
        monkeypatch.setattr(
            kind,
            "entries",
            lambda self, seen: sorted(entries(self, seen), key=lambda e: e.key, reverse=next(turns)),
        )

        with pytest.raises(SourceError, match="another order"):
            check_source(kind, archive)


def test_a_stamp_of_a_tag_holds_the_size_and_differs_with_the_tag() -> None:
    one, other = (keys.stamp_of_tag(size=7, tag=tag) for tag in (b"one", b"other"))

    assert (keys.size_of(one), len(one)) == (7, 16)
    assert one != other


def test_the_guide_shows_the_plugin_that_is_tested() -> None:
    guide = (Path(__file__).parents[3] / "retrieval/sources/README.md").read_text()

    assert (FIXTURES / "archives/retrieve_zip.py").read_text() in guide
