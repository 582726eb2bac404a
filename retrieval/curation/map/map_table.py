"""Write a map as a Parquet table for other programs, such as Embedding Atlas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.distribution import pip_install
from retrieval.display import path_json
from retrieval.errors import MissingExtra
from retrieval.render import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from retrieval.curation.map.image_map import ImageMap


def write_map_table(found: ImageMap, path: Path) -> None:
    """Write a row for each image, in the order of ids.

    ``neighbors`` has what Embedding Atlas reads: places of rows in this table as ``ids``, and cosine ``distances``. ``y`` grows
    upwards, as in charts. ``label`` is there if the map was given labels. A path that is not UTF-8 is percent-encoded. A column called
    as one of these gets an underscore behind its name.

    Raises:
        MissingExtra: pyarrow is not installed.
        StoreFull: no space left; a file that had the name stays.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra(f"a table needs pyarrow, which is not installed: {pip_install('map')}") from error

    count, wide = found.neighbors.places.shape
    offsets = np.arange(count + 1, dtype=np.int32) * wide
    near = pa.StructArray.from_arrays(
        [
            pa.ListArray.from_arrays(offsets, found.neighbors.places.reshape(-1)),
            pa.ListArray.from_arrays(offsets, np.float32(1) - found.neighbors.scores.reshape(-1)),
        ],
        names=["ids", "distances"],
    )
    arrays: dict[str, Any] = {
        "path": pa.array([path_json(one)["path"] for one in found.paths], pa.string()),
        "id": pa.array(found.ids),
        "x": pa.array(found.positions[:, 0]),
        "y": pa.array(1 - found.positions[:, 1]),
        "group": pa.array([found.groups[label - 1] for label in found.labels.tolist()], pa.string()),
        "neighbors": near,
    }
    if found.given_labels is not None:
        arrays["label"] = pa.array(found.given_labels, pa.string())
    for name, values in found.columns.items():
        arrays[f"{name}_" if name in arrays else name] = _column(pa, values)
    with replacing(path) as file:
        pq.write_table(pa.table(arrays), file)


def _column(pa: Any, values: Any) -> Any:
    """Return an Arrow array; values of several types become text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])
