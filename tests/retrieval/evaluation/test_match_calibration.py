"""Any encoder's matches can be calibrated, on a collection with labels."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.errors import OptionError
from retrieval.evaluation import calibrate_matches
from retrieval.testing import FakeEncoder
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


def test_labels_of_a_column_do_as_those_of_a_mapping(tmp_path: Path) -> None:
    vectors, kinds = things(np.random.default_rng(0), kinds=KINDS, each=EACH)
    named = [f"thing {kind}" for kind in kinds.tolist()]
    with retrieval.create(tmp_path / "a", dim=DIM) as photos:
        photos.add(vectors, columns=[{"shows": name} for name in named])

        by_column = calibrate_matches(photos, column="shows")
        by_mapping = calibrate_matches(photos, {str(row): label for row, label in enumerate(named)})

        assert by_column == by_mapping
        with pytest.raises(OptionError, match="one of both"):
            calibrate_matches(photos)
        with pytest.raises(OptionError, match="the column 'show' gives no image"):
            calibrate_matches(photos, column="show")


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
        with pytest.raises(OptionError, match="has 0 images"):
            calibrate_matches(photos, labels, background=usual)
        with retrieval.create(tmp_path / "c", dim=8) as other, pytest.raises(OptionError, match="is of"):
            calibrate_matches(photos, labels, background=other)


def write_things(folder: Path, *, kinds: int, each: int, seed: int) -> dict[str, str]:
    """Write pictures of 8 x 8 cells, alike within a kind; return the label of each file."""
    numbers = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    labels = {}
    for kind in range(kinds):
        thing = numbers.integers(0, 256, size=(8, 8, 3))
        for place in range(each):
            cells = np.clip(thing + numbers.integers(-20, 21, size=thing.shape), 0, 255).astype(np.uint8)
            Image.fromarray(cells).save(folder / f"{kind:03}-{place}.png")
            labels[f"{kind:03}-{place}.png"] = f"thing {kind}"
    return labels


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], Path]:
    folder = tmp_path_factory.mktemp("pictures")
    labels = write_things(folder / "photos", kinds=10, each=6, seed=0)
    write_things(folder / "everyday", kinds=110, each=1, seed=1)
    return folder / "photos", labels, folder / "everyday"


def test_a_folder_of_photographs_is_encoded_as_the_background(
    pictures: tuple[Path, dict[str, str], Path], tmp_path: Path
) -> None:
    folder, labels, everyday = pictures
    copied = shutil.copytree(everyday, tmp_path / "everyday")
    (copied / "broken.png").write_bytes(b"no picture")
    retrieval.build_index(folder, index=tmp_path / "index", encoder=FakeEncoder())

    with retrieval.open(tmp_path / "index", encoder=FakeEncoder()) as photos:
        found = photos.calibrate_matches({**labels, "gone.png": "thing 1"}, background=copied)

        assert (found.background, found.own_background, found.unreadable) == (110, False, 1)
        assert (found.labels, found.images, found.unknown) == (10, 60, 1)
        assert set(found.errors) == {"images", "words"}
        assert (photos.search(0)[0].match is not None) == ("images" in found.used)


def test_a_folder_with_an_index_of_the_same_encoder_is_not_encoded_again(
    pictures: tuple[Path, dict[str, str], Path], tmp_path: Path
) -> None:
    folder, labels, everyday = pictures
    copied = shutil.copytree(everyday, tmp_path / "everyday")
    retrieval.build_index(folder, index=tmp_path / "index", encoder=FakeEncoder())
    retrieval.build_index(copied, encoder=FakeEncoder())
    for path in copied.glob("*.png"):
        path.unlink()

    with retrieval.open(tmp_path / "index", encoder=FakeEncoder()) as photos:
        assert photos.calibrate_matches(labels, background=copied).background == 110


def test_a_sharded_collection_is_calibrated_as_one(
    pictures: tuple[Path, dict[str, str], Path], tmp_path: Path
) -> None:
    folder, labels, everyday = pictures
    retrieval.build_index(folder, index=tmp_path / "one", encoder=FakeEncoder())
    retrieval.build_index(folder, index=tmp_path / "many", encoder=FakeEncoder(), shards=2)

    one, many = (retrieval.open(tmp_path / name, encoder=FakeEncoder()) for name in ("one", "many"))
    with one, many:
        found = [each.calibrate_matches(labels, background=everyday) for each in (one, many)]

        assert found[1].used == found[0].used
        assert found[1].errors["words"] == pytest.approx(found[0].errors["words"], abs=0.01)
        if "words" in found[0].used:
            assert many.search("red")[0].match is not None


def test_a_folder_with_few_photographs_is_refused(
    pictures: tuple[Path, dict[str, str], Path], tmp_path: Path
) -> None:
    folder, labels, _ = pictures
    retrieval.build_index(folder, index=tmp_path / "index", encoder=FakeEncoder())
    write_things(tmp_path / "few", kinds=3, each=1, seed=1)

    with (
        retrieval.open(tmp_path / "index", encoder=FakeEncoder()) as photos,
        pytest.raises(OptionError, match="has 3 images"),
    ):
        photos.calibrate_matches(labels, background=tmp_path / "few")


def test_an_encoder_that_comes_with_a_calibration_keeps_it(tmp_path: Path) -> None:
    vectors, kinds = things(np.random.default_rng(0), kinds=KINDS, each=EACH)
    wide = np.zeros((len(vectors), 384), np.float32)
    wide[:, :DIM] = vectors
    labels = {str(row): f"thing {kind}" for row, kind in enumerate(kinds.tolist())}
    with retrieval.create(tmp_path / "a", encoder="nano") as photos:
        photos.add(wide)

        with pytest.raises(OptionError, match="nano@2 comes with a calibration"):
            calibrate_matches(photos, labels)
        assert not (tmp_path / "a" / "relevance").exists()
        assert calibrate_matches(photos, labels, force=True).labels == KINDS
        assert list(tmp_path.glob("a/**/relevance/calibration.json"))


def test_what_is_absent_is_absent_from_a_background_of_its_own_too(tmp_path: Path) -> None:
    """Rows of a thing in the background would tell that it is absent, though no search has such a background."""
    photos, labels = labelled(tmp_path / "a")
    with photos:
        calibrate_matches(photos, labels)
        vectors, _ = things(np.random.default_rng(5), kinds=20, each=1)

        absent = [photos.search(vector, k=5)[0].match for vector in vectors]

        assert all(match is None or match < 0.5 for match in absent[:1]) or np.mean(absent) < 0.5
