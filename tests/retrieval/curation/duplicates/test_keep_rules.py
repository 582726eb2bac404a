"""Who stays of images that are nearly the same, and what is said of it."""

from __future__ import annotations

from retrieval.curation.duplicates.sets.keep_rules import Candidate, order_of, why


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
