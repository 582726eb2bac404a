"""What people type first that may work or fail: both are good, if the sentence says what to type instead."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.errors import RetrievalError
from tests.retrieval.public.guesses.photographs import (
    DIM,
    ENCODER,
    NUMBER,
    WIDTH,
)
from tests.retrieval.public.guesses.typed_lines import (
    BUILTINS,
    each,
    finds,
    meets,
    says,
    typed,
)


def red_row(found):
    """What a key stands for: a row, with its vector and its file."""
    assert found.key == "2019/red.png"
    assert found.vector == pytest.approx(ENCODER.encode_text(["red"])[0], abs=2e-3)
    assert found.open().getpixel((0, 0)) == (255, 0, 0)


# Both are good: it works, or it says what to type.
# fmt: off
EITHER = [
    ("neighbors.to_pandas().shape[0]", 10, "pandas.DataFrame(neighbors)"),
    ("sorted(i for i in photos.search_vectors(v, k=10**9).ids[0].tolist() if i >= 0) == list(range(len(photos)))", True, "k", str(NUMBER)),
    ("retrieval.build_index(folder, index=new, encoder=FakeEncoder).images", NUMBER, "FakeEncoder()"),
    ("photos.search('red', 5)", lambda found: len(found) == 5, "k="),
    ("photos.search_vectors(v, 5).ids.shape", (1, 5), "k="),
    ("photos.search('red', k=5.0)", lambda found: len(found) == 5, "k", "5.0"),
    ("photos.search(np.array(['red', 'blue']))", each(finds("2019/red.png"), finds("2020/blue.png")), "list"),
    ("photos.search(pd.Series(['red', 'blue']))", each(finds("2019/red.png"), finds("2020/blue.png")), "list"),
    ("photos.search([['red', 'blue']])[0][0].path", "2019/red.png", "list", "+"),
    ("photos.search(np.str_('red'))", finds("2019/red.png"), "str"),
    ("photos.search('red', ids=['2019/red.png'])", finds("2019/red.png"), "id_of|integer"),
    ("photos.search('red', ids=1)", lambda found: [hit.id for hit in found] == [1], "[1]|list"),
    ("photos.search('red', mask=[True] * 18)", finds("2019/red.png"), "mask"),
    ("photos.search('red', glob=['2019/*', '2020/*'])", finds("2019/red.png"), "glob"),
    ("np.asarray(photos).shape", (NUMBER, DIM), "vectors()"),
    ("photos['2019/red.png']", red_row, "vectors"),
    ("photos[photos.id_of('2019/red.png')]", red_row, "vectors|key_of"),
    ("photos[0:2]", lambda found: len(found) == 2, "vectors"),
    ("retrieval.Collection(folder).search_vectors(np.ones(64), k=1).ids.shape", (1, 1), "retrieval.open"),
    ("retrieval.Collection(str(folder)).search_vectors(np.ones(64), k=1).ids.shape", (1, 1), "retrieval.open"),
    ("retrieval.create(new, 64).space.dim", 64, "dim="),
    ("mine.add(np.ones(64), 'one')", lambda found: list(found) == [5], "keys=["),
    ("mine.add(np.ones(64), keys=5)", lambda found: list(found) == [5], "keys=["),
    ("mine.add(np.ones(64), keys='one')", lambda found: list(found) == [5], "keys=["),
    ("mine.add(pd.DataFrame(more)).tolist()", [5, 6, 7], "to_numpy|numpy"),
    ("mine.upsert(more[0], 'a')", lambda found: True, "keys=["),
    ("mine['a'] = more[0]", None, "upsert"),
    ("del mine['a']", None, "delete"),
    ("mine.delete(3)", lambda found: True, "ids="),
    ("own.delete('2019/red.png')", lambda found: True, "2019/red.png"),
    ("own.add(more[:1], keys=['2019/red.png'])", lambda found: False, "2019/red.png"),
    ("own.upsert(more[:1], keys=['2019/red.png'])", lambda found: False, "2019/red.png"),
    ("album.add_images(img)", lambda found: list(found) == [0], "["),
    ("album.add_images(folder / '2019/red.png')", lambda found: list(found) == [0], "["),
    ("album.add_images([str(folder / '2019/red.png')])", lambda found: list(found) == [0], "Path"),
    ("album.add_images(['a dog'])", lambda found: False, "a dog", "file"),
    ("album.add_images([b'no image'])", lambda found: False, "image"),
    ("album.add_images([Path('missing.jpg')])", lambda found: False, "missing.jpg"),
    ("nano(img)", lambda found: np.shape(found) in {(WIDTH,), (1, WIDTH)}, "encode("),
    ("nano.encode(img)", lambda found: np.shape(found) in {(WIDTH,), (1, WIDTH)}, "encode("),
    ("nano.encode([img])", lambda found: np.shape(found) == (1, WIDTH), "encode("),
    ("nano.encode_image(img)", lambda found: np.shape(found) in {(WIDTH,), (1, WIDTH)}, "encode("),
    ("nano.encode_images([img])", lambda found: np.shape(found) == (1, WIDTH), "encode("),
    ("nano.encode_text('dog')", lambda found: np.shape(found) in {(WIDTH,), (1, WIDTH)}, "list|["),
    ("ENCODER.encode_text('dog')", lambda found: np.shape(found) in {(64,), (1, 64)}, "list|["),
    ("retrieval.sync_vectors(new, pd.DataFrame(vectors), list('abcde')).added", 5, "numpy"),
    ("import shutil; c = retrieval.open(own.directory); shutil.rmtree(own.directory); c.refresh()", lambda found: False, "own"),
    ("import shutil; shutil.rmtree(own.directory); own.add(np.ones(64))", lambda found: False, "own"),
]
# fmt: on


@pytest.mark.parametrize(
    ("code", "expected", "words"), [pytest.param(code, good, words, id=code) for code, good, *words in EITHER]
)
def test_it_works_or_says_what_to_type(request, code, expected, words):
    try:
        value, _ = typed(code, request)
    except (RetrievalError, *BUILTINS) as error:
        says(error, *words)
    else:
        meets(expected, value)
