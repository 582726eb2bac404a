"""Who stays of images that are nearly the same, and what is said of it."""

from __future__ import annotations

from retrieval.curation.duplicates.sets.keep_rules import Candidate, order_among_equals, order_of, why


def candidate(number: int, *, size_bytes: int, sharpness: float = 10.0) -> Candidate:
    return Candidate(
        id=number,
        path=f"{number}.jpg",
        width=4,
        height=3,
        quality=92,
        sharpness=sharpness,
        size_bytes=size_bytes,
    )


def test_of_equally_sharp_pictures_the_larger_file_stays() -> None:
    saved_again, first = candidate(0, size_bytes=900, sharpness=10.01), candidate(1, size_bytes=1000)

    assert [first, saved_again] == sorted([saved_again, first], key=order_of("best"))
    assert why("best", first, [saved_again], equal=False) == "the larger file"


def test_only_files_of_equal_pixels_are_said_to_have_them() -> None:
    small, large = candidate(0, size_bytes=900), candidate(1, size_bytes=1000)

    assert why("best", small, [large], equal=True) == "the smaller file of the same pixels"
    assert why("best", small, [large], equal=False) == "the first by name"


def test_a_sharper_picture_stays_before_a_larger_file() -> None:
    sharp, large = candidate(0, size_bytes=900, sharpness=11), candidate(1, size_bytes=1000)

    assert [sharp, large] == sorted([large, sharp], key=order_of("best"))
    assert why("best", sharp, [large], equal=False) == "the sharpest"


def named(path: str, **facts: bool) -> Candidate:
    return Candidate(id=0, path=path, size_bytes=9, **facts)


def test_of_equal_files_a_cameras_name_stays_a_marked_copy_goes_and_a_link_is_no_file() -> None:
    camera, other, copy = named("2019/IMG_0001.jpg"), named("x.jpg"), named("a (1).jpg")
    link = named("a.jpg", is_link=True)

    assert sorted([link, copy, other, camera], key=order_of("best")) == [camera, other, copy, link]
    assert sorted([link, copy, camera], key=order_among_equals("best")) == [camera, copy, link]
    assert why("best", camera, [copy], equal=True) == "named by a camera"
    assert why("best", other, [copy], equal=True) == "not named a copy"
