"""Keep a sample's vectors from earlier encoders, to measure later ones against."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.files import make_directories, parsed, replace_file, writing
from indexes.generation import FileInfo, kept_files
from indexes.migration import Probe
from indexes.vectors import Space
from retrieval.collection import PAST
from retrieval.upgrades.trial.maps import Extension, Pairs, fit
from retrieval.upgrades.trial.questions import LEAST_HELD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.vectors import Ids, Vectors
    from retrieval.upgrades.trial.questions import Questions
    from retrieval.upgrades.trial.sample import Sample


def keep_sample(directory: Path, space: Space, taken: Sample) -> dict[str, Any]:
    """Keep the rows of a sample that the collection's encoder gave, a few megabytes, whole or not at all.

    Returns:
        what the manifest says of the file: its path in the collection's directory, and what `FileInfo` does.
    Raises:
        StoreFull, StoreReadOnly: they cannot be written.
    """
    file = io.BytesIO()
    np.savez(file, ids=taken.ids, rows=taken.old.astype(np.float16))
    with writing(directory):
        make_directories(directory / PAST)
        place = _place(directory, space)
        replace_file(place, file.getvalue())
        return {"path": place.relative_to(directory).as_posix()} | FileInfo.of(place).to_json()


def _place(directory: Path, space: Space) -> Path:
    return directory / PAST / f"{space.fingerprint[:16]}.npz"


def _kept(directory: Path, space: Space, known: FileInfo | None) -> tuple[Ids, Vectors] | None:
    """Return ids and rows of a sample, None where none was kept or it is damaged: a number is lost, no more.

    Args:
        directory: the collection's.
        space: that of the sample's rows.
        known: what the manifest says of the file; None before it did.
    """
    try:
        data = _place(directory, space).read_bytes()
        if known is not None and hashlib.sha256(data).hexdigest() != known.sha256:
            return None
        ids, rows = parsed(lambda: _arrays(data))
    except Exception:  # noqa: BLE001 - numpy's and zipfile's parsers raise what they like
        return None
    return (ids, rows) if rows.shape == (len(ids), space.dim) else None


def _arrays(data: bytes) -> tuple[Ids, Vectors]:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return arrays["ids"], arrays["rows"].astype(np.float32)


def against_earlier(
    directory: Path,
    manifest: Manifest,
    taken: Sample,
    questions: Questions,
    *,
    new: Space,
    extends: Callable[[Space], Extension | None],
) -> list[dict[str, Any]]:
    """Measure new queries against galleries by the encoders before the present one.

    What is common to both samples takes the part of the gallery; the best single map is chosen as in an upgrade. (Asking
    with both encoders is left out: the earlier one need not be installed any more.)

    Args:
        directory: the collection's.
        manifest: its present one.
        taken: the sample by the present and the new encoder.
        questions: the queries of it.
        new: the new space.
        extends: says how the new encoder asks galleries of a space that it was trained to extend.
    Returns:
        for each earlier space ``gallery`` (its encoder), and either ``new_old``, ``method``, ``rows``, or ``why`` not.
    """
    found: dict[str, dict[str, Any]] = {}
    known = kept_files(manifest)
    for entry in manifest.upgrades:
        space = Space.from_json(entry["old_space"])
        if not (space.same_as(manifest.space) or space.same_as(new)):
            name = entry["old"] or space.name
            found[name] = {"gallery": name} | _measured(
                _kept(
                    directory, space, known.get(_place(directory, space).relative_to(directory).as_posix())
                ),
                space,
                taken,
                questions,
                new=new,
                extends=extends(space),
            )
    return list(found.values())


def _measured(
    kept: tuple[Ids, Vectors] | None,
    space: Space,
    taken: Sample,
    questions: Questions,
    *,
    new: Space,
    extends: Extension | None,
) -> dict[str, Any]:
    if kept is None:
        return {"why": "none of its vectors were kept"}
    row_of = {int(number): row for row, number in enumerate(kept[0])}
    rows = np.array([row_of.get(int(number), -1) for number in taken.ids], dtype=np.int64)  # (n,)
    fitted = questions.fitted[rows[questions.fitted] >= 0]
    gallery = np.flatnonzero(rows[questions.gallery] >= 0)  # those of the probes' gallery that were kept
    place_of = np.full(len(questions.gallery), -1, dtype=np.int64)
    place_of[gallery] = np.arange(len(gallery))
    old = kept[1][rows[questions.gallery[gallery]]]  # (g, d_old)

    def of(probe: Probe) -> Probe:
        asked = place_of[probe.target] >= 0
        target = place_of[probe.target[asked]]
        return Probe(
            gallery_old=old,
            gallery_new=probe.gallery_new[gallery],
            old=old[target],  # stands in: no single map asks for what the earlier encoder says of a query
            new=probe.new[asked],
            target=target,
            labels=None if probe.labels is None else probe.labels[gallery],
        )

    select, held = of(questions.select), of(questions.held)
    least = 1 if extends else max(2 * LEAST_HELD, min(space.dim, new.dim))
    if len(fitted) < least or min(len(select.new), len(held.new)) < LEAST_HELD:
        return {
            "why": f"too few images have vectors of both ({len(fitted):,} to fit a map on, {len(held.new):,} queries)"
        }
    viewed = (rows[questions.viewed] >= 0) & np.isin(questions.viewed, fitted)
    pairs = Pairs(
        old_space=space,
        new_space=new,
        old=kept[1][rows[fitted]],
        new=taken.new[fitted],
        views_old=kept[1][rows[questions.viewed[viewed]]],
        views_new=questions.views[viewed],
    )
    ways, _ = fit(pairs, select, method="lambda", extends=extends)
    best = max(ways, key=lambda way: select.score(way.queries(select.new, None)))
    right = held.right(best.queries(held.new, None), held.gallery_old)
    return {"new_old": round(float(right.mean()), 6), "method": best.method, "rows": len(gallery)}
