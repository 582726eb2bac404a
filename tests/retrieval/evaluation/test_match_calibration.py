"""Any encoder's matches can be calibrated, on a collection with labels."""

from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.errors import OptionError
from retrieval.evaluation import calibrate_matches
from tests.retrieval.collection.relevance.worlds import DIM, background, things

KINDS, EACH = 15, 12


def labelled(path: Path) -> tuple[retrieval.Collection, dict[str, str]]:
    vectors, kinds = things(np.random.default_rng(0), kinds=KINDS, each=EACH)
    made = retrieval.create(path, dim=DIM)
    made.add(vectors)
    return made, {str(number): f"thing {kind}" for number, kind in enumerate(kinds.tolist())}


def test_hits_have_a_match_from_then_on(tmp_path: Path) -> None:
    photos, labels = labelled(tmp_path / "a")
    with photos, retrieval.create(tmp_path / "b", dim=DIM, space=photos.space) as usual:
        usual.add(background(np.random.default_rng(1)).vectors)
        assert photos.search(0)[0].match is None

        found = calibrate_matches(photos, labels, background=usual)
        hits = photos.search(0, k=30)

        assert (found.labels, found.used, set(found.errors)) == (KINDS, ("images",), {"images"})
        assert found.errors["images"] < 0.1
        right = [hit.match for hit in hits if hit.id < EACH]
        wrong = [hit.match for hit in hits if hit.id >= EACH]
        assert np.mean(right) > np.mean(wrong) + 0.2  # usually 0.5 more


def test_rows_of_its_own_do_as_a_background(tmp_path: Path) -> None:
    photos, labels = labelled(tmp_path / "a")
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n" + "".join(f"{key},{label}\n" for key, label in labels.items()))

    with photos:
        found = calibrate_matches(photos, table)

        assert found.labels == KINDS
        assert (photos.search(0)[0].match is not None) == ("images" in found.used)


def test_what_is_too_little_is_refused(tmp_path: Path) -> None:
    photos, labels = labelled(tmp_path / "a")
    with photos, retrieval.create(tmp_path / "b", dim=DIM, space=photos.space) as usual:
        with pytest.raises(OptionError, match="9 labels have 5 rows or more"):
            calibrate_matches(photos, dict(list(labels.items())[: 9 * EACH]))
        with pytest.raises(OptionError, match="has 0 rows"):
            calibrate_matches(photos, labels, background=usual)
        with retrieval.create(tmp_path / "c", dim=8) as other, pytest.raises(OptionError, match="is of"):
            calibrate_matches(photos, labels, background=other)
