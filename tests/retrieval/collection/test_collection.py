from __future__ import annotations

import gc
import io
import itertools
import json
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from indexes.store.store import VectorStore
from indexes.vectors.arrays import unit_rows
from retrieval.collection.queries.terms import image, row, text
from retrieval.errors import (
    CapabilityMissing,
    CollectionNotFound,
    ImageError,
    ManifestTooNew,
    MissingRow,
    OptionError,
    QueryError,
    ShapeError,
    SpaceMismatch,
    StoreClosed,
    StoreCorrupt,
    VectorError,
)
from retrieval.ingestion import one_collection
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, ids_by_key, picture

ENCODER = FakeEncoder()
NAMES = [f"{folder}/{number}.png" for folder in ("a", "b", "b/c") for number in range(10)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fill(tmp_path_factory.mktemp("c") / "photos", NAMES)
    shutil.copy(folder / "a/0.png", folder / "b/copy.png")
    retrieval.build_index(folder, encoder=ENCODER)
    return folder


def as_png(seed: int) -> bytes:
    stream = io.BytesIO()
    picture(seed).save(stream, format="PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "query",
    [
        picture(3),
        np.asarray(picture(3)),
        as_png(3),
        pytest.param(lambda: io.BytesIO(as_png(3)), id="stream"),
    ],
    ids=["pil", "array", "bytes", None],
)
def test_the_same_picture_in_any_form_finds_its_file(collection: retrieval.Collection, query: object) -> None:
    hit = collection.search(query() if callable(query) else query, k=1)[0]

    assert (hit.rank, hit.path) == (1, "a/3.png")
    assert hit.score == pytest.approx(1, abs=2e-3)


def test_scores_never_rise_and_ranks_count(collection: retrieval.Collection) -> None:
    hits = collection.search("words", k=30)

    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert all(before.score >= after.score for before, after in itertools.pairwise(hits))


def test_an_indexed_file_uses_its_vector_and_hides_itself(photos: Path) -> None:
    class Silent(FakeEncoder):
        def encode_pixels(self, batch: object) -> object:
            pytest.fail("encoded an indexed image")

    with retrieval.open(photos, encoder=Silent()) as collection:
        without = collection.search(photos / "a/3.png", k=40)
        with_itself = collection.search(photos / "a/3.png", k=40, include_self=True)

    assert "a/3.png" not in [hit.path for hit in without]
    assert with_itself[0].path == "a/3.png"
    assert len(with_itself) == len(without) + 1


def test_a_changed_file_is_encoded_anew(tmp_path: Path) -> None:
    folder = fill(tmp_path, ["x.png", "y.png"])
    retrieval.build_index(folder, encoder=ENCODER)
    picture(1).save(folder / "x.png")  # what y.png holds

    with retrieval.open(folder, encoder=ENCODER) as collection:
        assert collection.search(folder / "x.png", k=1)[0].path == "y.png"


def test_copies_fold_into_one_hit(collection: retrieval.Collection) -> None:
    folded = collection.search(picture(0), k=31)
    unfolded = collection.search(picture(0), k=31, fold_duplicates=False)

    assert len(folded) == 30
    assert (folded[0].path, folded[0].n_duplicates) == ("a/0.png", 1)
    assert {hit.path for hit in unfolded[:2]} == {"a/0.png", "b/copy.png"}
    assert len(unfolded) == 31
    assert {hit.n_duplicates for hit in unfolded} == {0}


def test_a_copy_of_the_query_itself_is_found(collection: retrieval.Collection, photos: Path) -> None:
    hit = collection.search(photos / "a/0.png", k=1)[0]

    assert (hit.path, hit.n_duplicates) == ("b/copy.png", 0)


def test_folding_still_fills_k(tmp_path: Path) -> None:
    folder = fill(tmp_path, ["x.png", "y.png", "z.png"])
    for number in range(20):
        shutil.copy(folder / "x.png", folder / f"x{number}.png")
    retrieval.build_index(folder, encoder=ENCODER)

    with retrieval.open(folder, encoder=ENCODER) as collection:
        assert len(collection.search(picture(0), k=3)) == 3


def test_filters_hold_inside_the_search(collection: retrieval.Collection) -> None:
    below = collection.search(picture(0), k=5, under="b/c")
    matching = collection.search(picture(0), k=5, glob="b/*.png")

    assert len(below) == 5
    assert all(hit.path.startswith("b/c/") for hit in below)
    assert len(matching) == 5
    assert all(hit.path.startswith("b/") and hit.path.count("/") == 1 for hit in matching)
    assert collection.search(picture(0), under="nowhere") == []


def test_a_filtered_search_equals_the_filtered_full_list(collection: retrieval.Collection) -> None:
    everything = collection.search(picture(7), k=40, fold_duplicates=False)
    kept = [hit.path for hit in everything if hit.path.startswith("b/")][:6]

    assert [hit.path for hit in collection.search(picture(7), k=6, under="b", fold_duplicates=False)] == kept


def test_terms_combine_and_subtract(collection: retrieval.Collection) -> None:
    one, other = collection.encode(picture(1)), collection.encode(picture(2))
    both = collection.encode(image(picture(1), weight=2.0) + picture(2))
    away = collection.encode(picture(1), minus=picture(2))

    np.testing.assert_allclose(both, unit_rows(2 * one + other), atol=1e-6)
    np.testing.assert_allclose(away, unit_rows(one - other), atol=1e-6)


def test_a_query_that_cancels_out_is_refused(collection: retrieval.Collection) -> None:
    with pytest.raises(QueryError, match="cancel"):
        collection.search(picture(1), minus=picture(1))


def test_ids_ask_with_stored_vectors(collection: retrieval.Collection) -> None:
    number = ids_by_key(collection)["a/5.png"]

    assert collection.search(row(number), k=1, include_self=True)[0].id == number
    assert number not in [hit.id for hit in collection.search(number, k=40)]
    with pytest.raises(MissingRow):
        collection.search(row(10_000))


def test_min_score_leaves_out(collection: retrieval.Collection) -> None:
    hits = collection.search(picture(0), k=31, min_score=0.9)

    assert hits
    assert all(hit.score >= 0.9 for hit in hits)


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_positive(collection: retrieval.Collection, k: int) -> None:
    with pytest.raises(OptionError, match="k is"):
        collection.search("words", k=k)


def test_more_than_there_is_gives_all(collection: retrieval.Collection) -> None:
    assert len(collection.search("words", k=1000, fold_duplicates=False)) == 31


def test_words_need_a_text_tower(photos: Path) -> None:
    class Mute:
        space = ENCODER.space
        preprocess = staticmethod(ENCODER.preprocess)
        encode_pixels = staticmethod(ENCODER.encode_pixels)

    with (
        retrieval.open(photos, encoder=Mute()) as collection,
        pytest.raises(CapabilityMissing, match="no words"),
    ):
        collection.search(text("a cat"))


def test_an_encoder_of_another_space_is_refused(photos: Path) -> None:
    with pytest.raises(SpaceMismatch, match="other"):
        retrieval.open(photos, encoder=FakeEncoder(name="other", dim=32))


def test_vectors_are_searched_as_given(collection: retrieval.Collection) -> None:
    vectors = collection.vectors([4, 9])
    found = collection.search_vectors(3 * vectors, k=3)

    assert found.ids.shape == found.scores.shape == (2, 3)
    assert found.ids.dtype == np.int64
    assert found.scores.dtype == np.float32
    assert found.ids[:, 0].tolist() == [4, 9]
    np.testing.assert_allclose(found.scores[:, 0], 1, atol=1e-3)


@pytest.mark.parametrize(
    ("vectors", "error"),
    [
        (np.ones(3), ShapeError),
        (np.zeros(64), VectorError),
        (np.full(64, np.nan), VectorError),
        (np.full((2, 64), np.inf), VectorError),
        (np.array(["x"] * 64), ShapeError),
    ],
)
def test_bad_vectors_are_refused(
    collection: retrieval.Collection, vectors: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        collection.search_vectors(vectors)


def test_threads_agree_with_one(collection: retrieval.Collection) -> None:
    queries = [picture(seed) for seed in range(20)] * 3
    alone = [collection.search(query) for query in queries]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(collection.search, queries))

    assert together == alone


def test_export_gives_live_vectors_and_keys(collection: retrieval.Collection) -> None:
    vectors, keys = collection.export()

    assert vectors.shape == (31, 64)
    assert vectors.dtype == np.float16
    assert {key: number for number, key in enumerate(keys)} == ids_by_key(collection)
    np.testing.assert_array_equal(vectors.astype(np.float32), collection.vectors(np.arange(31)))


def test_info_has_the_contracts_keys(collection: retrieval.Collection) -> None:
    info = collection.info()

    assert set(info) == {
        "root", "index", "encoder", "images", "kind", "factory", "stored_dim", "truncate_dim", "width", "dim", "bytes_per_vector", "recall_at_10",
        "recall_sample", "recall_reason", "recall_at_10_text", "generation", "format", "upgrade", "activations", "columns", "sources", "views",
    }  # fmt: skip
    assert json.loads(json.dumps(info)) == info
    assert (info["images"], info["kind"], info["stored_dim"]) == (31, "flat", 64)


def test_a_collection_is_found_from_below_and_by_the_environment(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start in (photos, photos / ".retrieve", photos / "b" / "c"):
        assert retrieval.open(start, encoder=ENCODER).directory == photos / ".retrieve"
    monkeypatch.chdir(photos / "b")
    assert retrieval.open(encoder=ENCODER).directory == photos / ".retrieve"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CollectionNotFound, match="`build_index"):
        retrieval.open()
    monkeypatch.setenv("RETRIEVE_INDEX", str(photos / ".retrieve"))
    assert retrieval.open(encoder=ENCODER).directory == photos / ".retrieve"


def test_a_later_format_is_refused(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / ".retrieve", tmp_path / ".retrieve")
    path = tmp_path / ".retrieve" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))

    with pytest.raises(ManifestTooNew, match="99"):
        retrieval.open(tmp_path)


def test_changes_of_the_folder_show(tmp_path: Path) -> None:
    folder = fill(tmp_path, ["a/x.png"])
    retrieval.build_index(folder, encoder=ENCODER)
    with retrieval.open(folder, encoder=ENCODER) as collection:
        assert not collection.changed()
        fill(folder, ["a/y.png"], first=1)
        assert collection.changed()


def test_what_comes_while_a_folder_is_listed_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path, ["a/x.png"])

    def compared(*arguments: object, **options: object) -> object:
        changes = compare(*arguments, **options)
        fill(folder, ["a/late.png"], first=1)
        return changes

    compare = one_collection.find_changes
    monkeypatch.setattr(one_collection, "find_changes", compared)
    retrieval.build_index(folder, encoder=ENCODER)
    with retrieval.open(folder, encoder=ENCODER) as collection:
        assert collection.changed()
    monkeypatch.undo()
    retrieval.build_index(folder, encoder=ENCODER)
    with retrieval.open(folder, encoder=ENCODER) as collection:
        assert not collection.changed()


def test_the_id_of_an_image_that_was_removed_is_no_query(tmp_path: Path) -> None:
    folder = fill(tmp_path, ["x.png", "y.png", "z.png"])
    retrieval.build_index(folder, encoder=ENCODER)
    (folder / "y.png").unlink()
    retrieval.build_index(folder, encoder=ENCODER)
    with retrieval.open(folder, encoder=ENCODER) as collection:
        assert [hit.path for hit in collection.search(0)] == ["z.png"]
        with pytest.raises(MissingRow, match="image 1 was removed"):
            collection.search(1)


def test_a_read_only_collection_answers(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "copy")
    for path in sorted((tmp_path / "copy" / ".retrieve").rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (tmp_path / "copy" / ".retrieve").chmod(0o555)
    try:
        with retrieval.open(tmp_path / "copy", encoder=ENCODER) as collection:
            assert collection.search(picture(3), k=1)[0].path == "a/3.png"
    finally:
        for path in (tmp_path / "copy" / ".retrieve", *(tmp_path / "copy" / ".retrieve").rglob("*")):
            if path.is_dir():
                path.chmod(0o755)


def test_pictures_need_not_exist_any_more(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / ".retrieve", tmp_path / "photos" / ".retrieve")

    with retrieval.open(tmp_path / "photos", encoder=ENCODER) as collection:
        assert collection.search(Image.new("RGB", (8, 8), "red"), k=2)


def test_a_row_says_whether_it_was_added_by_hand(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    with retrieval.open(tmp_path / "photos", encoder=ENCODER) as collection:
        found = next(iter(collection))
        (number,) = collection.add(collection.vectors([found]), ["mine"])

        assert collection[int(number)].by_hand
        assert not collection[found].by_hand


def test_an_id_beyond_64_bits_is_a_missing_row(collection: retrieval.Collection) -> None:
    with pytest.raises(MissingRow):
        collection.search(10**30)


def test_asking_for_more_than_all_gives_all(collection: retrieval.Collection) -> None:
    assert len(collection.search("words", k=10**12)) == 30


@pytest.mark.parametrize("weight", [float("inf"), float("nan")])
def test_a_weight_that_is_no_number_is_refused(collection: retrieval.Collection, weight: float) -> None:
    with pytest.raises(QueryError, match="weight"):
        collection.search(text("cat") + text("dog", weight=weight))


def test_a_collection_without_its_store_is_named(tmp_path: Path) -> None:
    folder = fill(tmp_path, ["x.png", "y.png"])
    retrieval.build_index(folder, encoder=ENCODER)
    shutil.rmtree(folder / ".retrieve" / "vectors.lmdb")

    with pytest.raises(StoreCorrupt, match=r"vectors\.lmdb"):
        retrieval.open(folder)


def test_rows_stored_but_not_published_are_not_seen(tmp_path: Path) -> None:
    from indexes.store.store import NewRow, VectorStore

    folder = fill(tmp_path, ["x.png", "y.png"])
    retrieval.build_index(folder, encoder=ENCODER)
    with VectorStore.open(folder / ".retrieve", dim=64, writable=True) as store:  # a build that is under way
        store.append(store.rows(0, 2).astype(np.float32), [NewRow(key=b"x.png"), NewRow(key=b"z.png")])
        store.commit()

        with retrieval.open(folder, encoder=ENCODER) as collection:
            hits = collection.search(picture(0), k=9)
            assert [hit.path for hit in hits] == ["x.png", "y.png"]
            assert [len(part) for part in collection.export()] == [2, 2]
            assert collection.mask(glob="z.png").tolist() == [False, False]


def test_rows_deleted_but_not_published_are_still_seen(tmp_path: Path) -> None:
    fill(tmp_path, [f"{number}.png" for number in range(6)])
    retrieval.build_index(tmp_path, encoder=FakeEncoder())
    with VectorStore.open(tmp_path / ".retrieve", dim=64, writable=True) as store:
        store.remove([2])
        store.commit()

        with retrieval.open(tmp_path) as collection:
            assert ids_by_key(collection) == {f"{number}.png": number for number in range(6)}


def test_a_refresh_that_fails_leaves_what_was_open(tmp_path: Path) -> None:
    folder = fill(tmp_path, ["x.png", "y.png"])
    retrieval.build_index(folder, encoder=ENCODER)
    with retrieval.open(folder, encoder=ENCODER) as collection:
        fill(folder, ["z.png"], first=9)
        retrieval.build_index(folder, encoder=ENCODER)
        (folder / ".retrieve" / "vectors.lmdb").rename(folder / "away")

        with pytest.raises(StoreCorrupt):
            collection.refresh()

        assert len(collection.search(picture(0), k=9)) == 2


def test_a_closed_collection_says_so(photos: Path) -> None:
    collection = retrieval.open(photos, encoder=ENCODER)
    query = collection.vectors([3])
    collection.close()

    for use in (
        lambda: collection.search("words"),
        lambda: collection.search(photos / "a/3.png"),
        lambda: collection.search(3),
        lambda: collection.search_vectors(query),
        lambda: collection.search_codes(query),
        lambda: collection.vectors([3]),
        lambda: collection.key_of(3),
        lambda: collection.mask(under="a"),
        lambda: collection.rows,
        collection.keys().__iter__().__next__,
        collection.export,
    ):
        with pytest.raises(StoreClosed, match="is closed; open it again"):
            use()


def test_a_closed_collection_gives_its_memory_back_at_once(photos: Path) -> None:
    collection = retrieval.open(photos, encoder=ENCODER)
    collection.search(picture(3), under="b")
    collection.search("words")
    snapshot = weakref.ref(collection._opened)
    gc.disable()  # which would take it back some time
    try:
        collection.close()
        del collection

        assert snapshot() is None
    finally:
        gc.enable()


def test_exact_search_cannot_be_narrowed(tmp_path: Path) -> None:
    encoder = FakeEncoder(nesting=(16,))
    folder = fill(tmp_path, ["x.png", "y.png"])
    retrieval.build_index(folder, encoder=encoder)
    with retrieval.open(folder, encoder=encoder) as collection:
        query = collection.vectors([0])

        with pytest.raises(OptionError, match=r"exact.*leave one of them out"):
            collection.search_vectors(query, k=1, exact=True, truncate_dim=16)
        assert collection.search_vectors(query, k=1, exact=True, truncate_dim=64).ids.tolist() == [[0]]


def test_folders_are_counted_with_all_below_them(collection: retrieval.Collection) -> None:
    assert collection.folders() == {"a": 10, "b": 21}
    assert collection.folders("b") == collection.folders(collection.root / "b") == {"c": 10}
    assert collection.folders("b/c") == collection.folders("none") == {}
    with pytest.raises(OptionError, match="lies outside"):
        collection.folders("../b")


def test_a_filter_is_the_callers_to_change(collection: retrieval.Collection) -> None:
    before = collection.search(picture(3), k=40, under="b")
    keep = collection.mask(under="b")
    keep |= True

    assert collection.search(picture(3), k=40, under="b") == before
    assert np.count_nonzero(collection.mask(under="b")) == 21


def test_a_closed_collection_does_not_refresh(photos: Path) -> None:
    opened = retrieval.open(photos, encoder=ENCODER)
    opened.close()

    with pytest.raises(StoreClosed, match="open it again"):
        opened.refresh()


def test_misnamed_arguments_and_items_are_answered_with_the_right_ones(
    collection: retrieval.Collection,
) -> None:
    with pytest.raises(TypeError, match="no argument 'top_k'; use k="):
        collection.search("words", top_k=5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="`upsert"):
        collection["a"] = np.ones(64)  # type: ignore[index]
    with pytest.raises(OptionError, match=r"glob is \['a', 'b'\] \(list\)"):
        collection.search("words", glob=["a", "b"])  # type: ignore[call-overload]


def test_a_refused_picture_is_let_go_at_once(collection: retrieval.Collection) -> None:
    """A server that is sent pictures that cannot be read must not keep them until Python searches for garbage."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)).save(
        stream, "JPEG"
    )
    cut = stream.getvalue()[: len(stream.getvalue()) // 3]

    def refused() -> None:
        with pytest.raises(ImageError, match="cut short"):
            collection.search(cut)
        assert "cut short" in str(collection.search([cut])[0].error)

    refused()
    gc.collect()
    gc.disable()
    try:
        refused()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [type(one).__name__ for one in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

    assert "JpegImageFile" not in left
    assert "OpenedFile" not in left
