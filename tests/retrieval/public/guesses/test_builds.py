"""First builds: rows that would go are counted, progress is told, words find pictures."""

from __future__ import annotations

import shutil

import pytest

import retrieval
from retrieval.errors import RetrievalError
from tests.retrieval.public.guesses.photographs import (
    ENCODER,
    NUMBER,
    random_vectors,
)
from tests.retrieval.public.guesses.typed_lines import (
    says,
)


def test_fewer_vectors_than_rows_are_refused_with_the_number_that_would_go(empty):
    keys = [f"item {number}" for number in range(550)]
    rows = random_vectors(550)
    empty.add(rows, keys=keys)

    for chosen, gone in ((keys[:300], 250), ([f"new {number}" for number in range(300)], 550)):
        with pytest.raises(RetrievalError) as caught:
            empty.sync_vectors(rows[:300], chosen)
        says(caught.value, f"{gone}", "prune")
        assert list(empty) == keys

    empty.sync_vectors(rows[:300], keys[:300], prune=True)
    assert list(empty) == keys[:300]


def test_a_build_in_the_function_form_refuses_the_same(mine, vectors):
    with pytest.raises(RetrievalError) as caught:
        retrieval.sync_vectors(mine.directory, vectors[:2], ["a", "b"])

    says(caught.value, "3", "prune")
    mine.refresh()
    assert list(mine) == list("abcde")


def test_a_build_tells_a_function_how_far_it_is(built, tmp_path):
    told = []

    retrieval.build_index(built, index=tmp_path / "x", root=built, encoder=ENCODER, progress=told.append)

    assert told
    assert all(isinstance(step, retrieval.Progress) for step in told)
    assert any(step.done == NUMBER for step in told)


def test_words_find_pictures_with_the_built_in_encoder(data, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    scenes = sorted(path for path in (data / "images" / "scenes").iterdir() if path.is_dir())[:3]
    for scene in scenes:
        for path in sorted(scene.iterdir())[:4]:
            shutil.copy(path, folder / f"{scene.name}-{path.name}")
    retrieval.build_index(folder)
    with retrieval.open(folder) as photos:
        names = [scene.name.replace("_", " ") for scene in scenes]
        for name, hits in zip(names, photos.search(names), strict=True):
            assert hits[0].path.startswith(name.replace(" ", "_"))
        picture = next(iter(sorted(folder.glob("*.webp"))))
        combined = photos.search(retrieval.image(picture) + 0.5 * retrieval.text("at night"), k=3)
        assert len(combined) == 3
