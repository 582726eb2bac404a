"""Old names answer for one release, and say what is written now."""

from __future__ import annotations

import pytest

import retrieval
from retrieval.errors import RetrievalError
from tests.retrieval.public.guesses.photographs import (
    NUMBER,
)
from tests.retrieval.public.guesses.typed_lines import (
    each,
    finds,
    lines,
    meets,
    typed,
)

# Old names answer for one release, and say what is written now.
# fmt: off
OLD = [
    ("retrieval.build_index_from_vectors(new, vectors, list('abcde')).rows", 5, "sync_vectors"),
    ("retrieval.Term", lambda found: found is not None, "Query"),
    ("photos.filter(under='2019').sum()", 2, "mask"),
    ("photos.search_vectors(v, k=1, keep=photos.mask(under='2020')).ids.shape", (1, 1), "mask"),
    ("photos.search('red', dim=32)[0].path", "2019/red.png", "truncate_dim"),
    ("photos.search_vectors(v, k=1, dim=32).ids.shape", (1, 1), "truncate_dim"),
    ("len(photos.search('red', k=100, fold_copies=False))", NUMBER, "fold_duplicates"),
    ("hit.copies", 1, "n_duplicates"),
    ("photos.path(photos.id_of('2019/red.png'))", "2019/red.png", "key_of"),
    ("photos.ids_by_path()['2019/red.png'] == photos.id_of('2019/red.png')", True, "id_of"),
    ("photos.search_many(['red', 'blue'])", each(finds("2019/red.png"), finds("2020/blue.png")), "search"),
    ("retrieval.build_index(folder, index=new, encoder=ENCODER, dim=32).images", NUMBER, "truncate_dim"),
    ("retrieval.build_index(folder, index=new, encoder=ENCODER, recall=0.9).images", NUMBER, "target_recall"),
]
# fmt: on


@pytest.mark.parametrize(("code", "expected", "new_name"), lines(OLD))
def test_an_old_name_answers_and_says_what_is_written_now(request, code, expected, new_name):
    with pytest.warns(DeprecationWarning, match=new_name):
        value, _ = typed(code, request)

    meets(expected, value)


def test_the_old_name_of_the_end_of_an_upgrade_answers(folder):
    with pytest.warns(DeprecationWarning, match="finish_upgrade"), pytest.raises(RetrievalError):
        retrieval.drop_old(folder)
