"""A search that verifies puts the same picture first, and says how it lies."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image, ImageOps

import retrieval
from tests.command_line import command


def test_a_search_that_verifies_puts_the_picture_first_and_says_how_it_lies(messy, originals):
    width, height = originals["coffee"].size
    part = originals["coffee"].crop((width // 2, 0, width, height // 2)).rotate(90, expand=True).convert("L")
    with retrieval.open(messy) as photos:
        hits = photos.search(part, k=6, verify=True)

    assert hits[0].path in ("coffee.jpg", "coffee crop.jpg")
    assert (hits[0].verified, hits[0].relation) == (True, "picture")
    assert hits[0].verified_probability > 0.75
    assert hits.checked >= 6
    assert [hit.verified for hit in hits] == sorted((hit.verified for hit in hits), reverse=True)
    assert not any(hit.verified for hit in hits if not hit.path.startswith("coffee"))
    whole = next(hit for hit in hits if hit.path == "coffee.jpg")
    assert np.allclose(
        sorted(map(tuple, np.round(whole.outline, 1))), [(0.5, 0), (0.5, 0.5), (1, 0), (1, 0.5)], atol=0.11
    )


def test_a_search_that_verifies_finds_the_part_of_the_picture_that_it_asks_with(messy, originals):
    canvas = Image.new("RGB", (360, 300), (40, 90, 60))
    canvas.paste(originals["rocket"].resize((240, 160)), (60, 80))
    with retrieval.open(messy) as photos:
        hits = photos.search(canvas, k=14, verify=14)
        unlooked = photos.search(canvas, k=14, verify=3)

    assert hits[0].path in ("rocket.jpg", "rocket turned.jpg")
    assert hits[0].verified
    assert all(hit.verified is not None for hit in hits)
    assert sum(hit.verified is None for hit in unlooked) >= len(unlooked) - 3


def test_what_verification_says_is_printed_as_json(messy, tmp_path, originals):
    ImageOps.mirror(originals["coins"]).save(tmp_path / "asked.png")
    answer = command(
        "query", tmp_path / "asked.png", "--index", messy, "--verify", "-k", 3, "--json", cwd=tmp_path
    )
    assert answer.returncode == 0, answer.stderr
    first = json.loads(answer.stdout)[0]

    assert (first["path"], first["verified"], first["relation"]) == ("coins.jpg", True, "picture")
    assert 0.9 < first["verified_probability"] <= 1
    assert len(first["outline"]) == 4
    words = command("query", "a cup", "--index", messy, "--verify", "--json", cwd=tmp_path)
    assert words.returncode in (1, 2)
    assert "Traceback" not in words.stderr
