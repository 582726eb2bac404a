"""`build-index --views` and what commands say of views."""

from __future__ import annotations

import json
from pathlib import Path

from retrieval.views import cut, windows
from tests.retrieval.folders import picture


def test_views_are_built_counted_searched_and_dropped(run, photos: Path, tmp_path: Path) -> None:
    status, out, err = run("build-index", photos, "--views", "4")
    assert status == 0
    assert b"views" in out
    assert b"up to 4 an image" in out
    assert "views: 4 of each of" in err

    report = json.loads(run("build-index", photos, "--json")[1])
    facts = json.loads(run("info", "--index", photos, "--json")[1])
    assert report["views"] == {"per_image": 4, "count": facts["views"]["count"], "encoded": 0, "failed": 0}
    assert b"up to 4 an image" in run("info", "--index", photos)[1]

    asked = tmp_path / "part.png"
    cut(picture(2), windows(4)[1]).save(asked)
    hit = json.loads(run("query", asked, "--index", photos, "-k", "1", "--json")[1])[0]
    assert hit["region"] == [round(number, 4) for number in windows(4)[1]]
    page = tmp_path / "page.html"
    assert run("query", asked, "--index", photos, "-k", "1", "--html", page)[0] == 0
    assert 'class="outline region"' in page.read_text()

    status, _, err = run("upgrade", "--index", photos, "--encoder", "nano")
    assert (status, "`retrieve build-index --views 0`" in err) == (1, True)

    assert run("build-index", photos, "--views", "0", "--quiet")[0] == 0
    assert json.loads(run("info", "--index", photos, "--json")[1])["views"] is None
    assert "region" not in json.loads(run("query", asked, "--index", photos, "-k", "1", "--json")[1])[0]


def test_views_have_no_meaning_with_vectors(run, tmp_path: Path) -> None:
    for name in ("rows.npy", "keys.txt"):
        (tmp_path / name).touch()
    rows, keys = tmp_path / "rows.npy", tmp_path / "keys.txt"
    status, _, err = run("build-index", tmp_path, "--vectors", rows, "--keys", keys, "--views", "4")
    assert status == 2
    assert "--views has no meaning with --vectors" in err
