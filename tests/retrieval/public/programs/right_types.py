"""A program that a type checker accepts, and what it must say of the types."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import retrieval


def ask(photos: retrieval.Collection, pixels: NDArray[np.uint8], vector: NDArray[np.float32]) -> None:
    assert_type(photos.search("a dog", k=5, under="2019", min_score=0.2), retrieval.Hits)
    assert_type(photos.search(Path("a.jpg")), retrieval.Hits)
    assert_type(photos.search(BytesIO(b"")), retrieval.Hits)
    assert_type(photos.search(b""), retrieval.Hits)
    assert_type(photos.search(Image.new("RGB", (8, 8))), retrieval.Hits)
    assert_type(photos.search(7, include_self=True), retrieval.Hits)
    assert_type(photos.search(["a dog", Path("a.jpg"), 7]), list[retrieval.Hits])
    assert_type(photos.search(["a dog", "a cat"]), list[retrieval.Hits])
    query = retrieval.image(Path("a.jpg")) + 0.5 * retrieval.text("at night") - retrieval.text("people")
    assert_type(query, retrieval.Query)
    assert_type(photos.search(query, minus="rain"), retrieval.Hits)
    photos.search(pixels)
    photos.search(vector)
    ids, scores = photos.search_vectors(vector, k=5)
    assert_type(photos.search_vectors(vector), retrieval.Neighbors)
    print(ids.shape, scores.shape)


def answers(hits: retrieval.Hits) -> str:
    for hit in hits:
        assert_type(hit, retrieval.Hit)
        assert_type(hit.path, str)
        assert_type(hit.score, float)
        assert_type(hit.id, int)
        assert_type(hit.file, Path)
        assert_type(hit.open(), Image.Image)
    assert_type(hits[0], retrieval.Hit)
    assert_type(len(hits), int)
    return json.dumps(hits)


def write(folder: Path, vectors: NDArray[np.float16]) -> None:
    with retrieval.create(folder, dim=64) as photos:
        assert_type(photos, retrieval.Collection)
        photos.add(vectors)
        photos.upsert(vectors, keys=["a", "b"])
        photos.add_images([Path("a.jpg")])
        photos.delete(keys=["a"])
        with photos.writer() as rows:
            rows.add(vectors)
            rows.upsert(vectors.tolist(), range(2))
            rows.upsert(vectors, np.arange(2))
    for key in photos:
        assert_type(key, str)
    assert_type("a.jpg" in photos, bool)
    assert_type(retrieval.build_index(folder, encoder="nano"), retrieval.BuildReport)


class Mine:
    """An encoder of one's own is one by its members."""

    space = retrieval.Space(name="mine", dim=3, fingerprint=retrieval.fingerprint("mine", 1))

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        return np.asarray(image.resize((1, 1)), np.float32).reshape(3)

    def encode_pixels(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        lengths: NDArray[np.float32] = np.linalg.norm(batch, axis=1, keepdims=True)
        rows = np.empty_like(batch)
        np.divide(batch, lengths, out=rows)
        return rows


def encode(folder: str) -> Any:
    mine: retrieval.Encoder = Mine()
    retrieval.build_index(folder, encoder=mine)
    retrieval.build_index(folder, encoder=Mine)
    with retrieval.open(folder, encoder=Mine()) as photos:
        photos.search("a dog")
    nano = retrieval.load_encoder("nano")
    return nano(Image.new("RGB", (8, 8))), nano.encode(["a dog"]), nano.encode_text(["a dog"])
