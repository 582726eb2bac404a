from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation.manifest import read_manifest, write_manifest
from retrieval.errors import MissingExtra, OptionError
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill

ENCODER = FakeEncoder()


@pytest.fixture
def pairs(tmp_path: Path) -> retrieval.Collection:
    """Twenty classes of five vectors each, far from each other, but for one that lies among another class."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((20, 32))
    vectors = np.repeat(centres, 5, axis=0) + 0.01 * rng.standard_normal((100, 32))
    vectors[0] = centres[1]
    keys = [f"{number // 5}/{number % 5}.jpg" for number in range(100)]
    retrieval.sync_vectors(tmp_path, vectors, keys, space="mine")
    with retrieval.open(tmp_path) as collection:
        yield collection


def labels(folder: Path, lines: list[str]) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_flat_collection_finds_all(pairs: retrieval.Collection) -> None:
    report = retrieval.evaluate(pairs)

    assert (report.recall_at_10, report.recall_sample) == (1.0, 100)
    assert 0 < report.latency_ms["p50"] <= report.latency_ms["p95"]
    assert set(report.to_json()) == {
        "recall_at_10", "recall_sample", "latency_ms", "bytes_per_vector", "knn_accuracy", "labelled", "unknown", "first_unknown", "map_at_10",
        "text_recall_at_1", "text_recall_at_5", "text_recall_at_10", "captions", "dims", "attacks", "attacks_list", "pairs",
    }  # fmt: skip


def test_labelled_quality_counts_the_one_that_strayed(pairs: retrieval.Collection, tmp_path: Path) -> None:
    path = labels(
        tmp_path,
        ["file,label", *(f'{n // 5}/{n % 5}.jpg,"class, {n // 5}"' for n in range(100)), "gone.jpg,x"],
    )

    report = retrieval.evaluate(pairs, labels=path)

    assert (report.labelled, report.unknown, report.first_unknown) == (100, 1, "gone.jpg")
    assert report.knn_accuracy == pytest.approx(0.99)
    assert report.map_at_10 is not None
    assert 0.3 < report.map_at_10 <= 0.4  # four others of the class in ten places


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["name,label", "a,b"], "header"),
        (["file,label", "gone.jpg,x"], "there is no gone.jpg there"),
        ([], "header"),
    ],
)
def test_odd_tables_are_refused(
    pairs: retrieval.Collection, tmp_path: Path, lines: list[str], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        retrieval.evaluate(pairs, labels=labels(tmp_path, lines))


def test_a_column_has_the_labels(tmp_path: Path) -> None:
    vectors = np.random.default_rng(2).standard_normal((20, 8)).astype(np.float32)
    with retrieval.create(tmp_path, space="mine", dim=8) as collection:
        collection.add(vectors, columns=[{"kind": "even" if n % 2 == 0 else "odd"} for n in range(20)])
        report = retrieval.evaluate(collection, column="kind")

    assert (report.labelled, report.unknown) == (20, 0)


def test_captions_are_queries(tmp_path: Path) -> None:
    folder = fill(tmp_path / "p", [f"{number}.png" for number in range(12)])
    retrieval.build_index(folder, encoder=ENCODER)
    with retrieval.open(folder, encoder=ENCODER) as collection:
        words = ["one", "two", "three"]
        found = [collection.search(word, k=1)[0].path for word in words]
        last = [collection.search(word, k=12)[-1].path for word in words]
        right = labels(
            tmp_path, ["file,caption", *(f"{path},{word}" for path, word in zip(found, words, strict=True))]
        )
        assert retrieval.evaluate(collection, captions=right).text_recall_at_1 == 1.0
        lines = [f"{path},{word}" for path, word in zip(last, words, strict=True)]
        wrong = labels(tmp_path, ["file,caption", *lines, "gone.png,four"])
        report = retrieval.evaluate(collection, captions=wrong)

    assert (report.text_recall_at_1, report.text_recall_at_10, report.captions) == (0.0, 0.0, 3)
    assert (report.unknown, report.first_unknown) == (1, "gone.png")


def test_a_file_listed_twice_counts_once(pairs: retrieval.Collection, tmp_path: Path) -> None:
    lines = [f"{n // 5}/{n % 5}.jpg,class {n // 5}" for n in range(100)]

    report = retrieval.evaluate(pairs, labels=labels(tmp_path, ["file,label", *lines, *lines]))

    assert report.labelled == 100
    assert report.knn_accuracy == pytest.approx(0.99)


def test_two_labels_for_one_file_are_refused(pairs: retrieval.Collection, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="two labels"):
        retrieval.evaluate(pairs, labels=labels(tmp_path, ["file,label", "0/0.jpg,cat", "0/0.jpg,dog"]))


def test_captions_are_encoded_on_the_device_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "p", [f"{number}.png" for number in range(12)])
    retrieval.build_index(folder, encoder=ENCODER)
    manifest = read_manifest(folder / ".retrieve")
    write_manifest(folder / ".retrieve", replace(manifest, encoder="fake"))
    asked: list[str] = []

    def load(spec: str, *, device: str) -> FakeEncoder:
        asked.append(device)
        return ENCODER

    monkeypatch.setattr("retrieval.encoders.load_encoder", load)
    captions = labels(tmp_path, ["file,caption", "0.png,one"])
    with retrieval.open(folder) as collection:
        retrieval.evaluate(collection, captions=captions)
        retrieval.evaluate(collection, captions=captions, device="cuda:1")

    assert asked == ["auto", "cuda:1"]
    with retrieval.open(folder, encoder=ENCODER) as collection:
        assert collection.encoder_on("cuda:1") is ENCODER


@pytest.fixture
def nested(tmp_path: Path) -> retrieval.Collection:
    """A hundred classes of four; the first components tell half of them apart, all of them together all."""
    rng = np.random.default_rng(1)
    halves = rng.standard_normal((50, 8))
    centres = np.hstack((np.repeat(halves, 2, axis=0), rng.standard_normal((100, 24))))
    vectors = np.repeat(centres, 4, axis=0) + 0.05 * rng.standard_normal((400, 32))
    space = retrieval.Space(name="nested", dim=32, fingerprint="n", nesting=(8, 16))
    keys = [f"{number // 4}/{number % 4}.jpg" for number in range(400)]
    retrieval.sync_vectors(tmp_path, vectors, keys, space=space)
    retrieval.sync_vectors(tmp_path, vectors[40:], keys[40:], prune=True)  # with tombstones
    with retrieval.open(tmp_path) as collection:
        yield collection


def test_widths_are_measured(nested: retrieval.Collection, tmp_path: Path) -> None:
    path = labels(tmp_path, ["file,label", *(f"{n // 4}/{n % 4}.jpg,{n // 4}" for n in range(40, 400))])
    dims = retrieval.evaluate(nested, labels=path, dims=(32, 8, 8), plot=tmp_path / "widths.png").dims

    assert [row["dim"] for row in dims] == [8, 32]
    assert dims[0]["knn_accuracy"] == pytest.approx(0.5, abs=0.15)
    assert dims[1]["knn_accuracy"] == 1
    assert dims[0]["recall_at_10"] + 0.1 < dims[0]["recall_at_10_reranked"] < 1
    assert dims[1]["recall_at_10"] == dims[1]["recall_at_10_reranked"] == 1
    assert [row["bytes_per_vector"] for row in dims] == [16, 64]
    assert all(0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p95"] for row in dims)
    assert (tmp_path / "widths.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_alone_measures_every_prefix(nested: retrieval.Collection, tmp_path: Path) -> None:
    report = retrieval.evaluate(nested, plot=tmp_path / "widths.svg")

    assert [row["dim"] for row in report.dims] == [8, 16, 32]
    assert [row["knn_accuracy"] for row in report.dims] == [None] * 3


@pytest.mark.parametrize("dim", [0, 9, 33])
def test_widths_that_are_none_are_refused(nested: retrieval.Collection, dim: int) -> None:
    with pytest.raises(OptionError, match=str(dim)):
        retrieval.evaluate(nested, dims=(8, dim))


def test_plots_that_cannot_be_are_refused_before_anything_is_measured(
    nested: retrieval.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="svg"):
        retrieval.evaluate(nested, plot=tmp_path / "figure.gif")
    with pytest.raises(OptionError, match="no such folder"):
        retrieval.evaluate(nested, plot=tmp_path / "nowhere" / "figure.svg")
    monkeypatch.setattr("retrieval.evaluation.plots.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install .*\[plot\]"):
        retrieval.evaluate(nested, plot=tmp_path / "figure.svg")


def test_a_funnel_may_be_asked_for_by_hand(nested: retrieval.Collection) -> None:
    queries = nested.vectors([50, 60])
    whole = nested.search_vectors(queries, k=5, exact=True)

    np.testing.assert_array_equal(
        nested.search_vectors(queries, k=5, truncate_dim=8, shortlist=360).ids, whole.ids
    )
