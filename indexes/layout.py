"""Names of the files and directories of a collection, for every module that needs one without its reader."""

from __future__ import annotations

from typing import Final

VECTORS: Final = "vectors.lmdb"


MANIFEST: Final = "manifest.json"


GENERATIONS: Final = "generations"


SHARDS: Final = "shards.json"


VIEWS: Final = "views"
"""Folder of a collection with the vectors of parts of its images: a store and generations of its own, made again at any time."""


BACKGROUND = "background.npz"
"""File of a generation: the sample that the scores of two spaces are compared by."""


MAPS = "upgrade.npz"
"""File of a generation: the maps for images, back, and for words where there is one."""


REPORT = "report.json"


TRANSFORMS = "transforms.npz"


VIEW_TABLE: Final = "views.npy"
"""File of a generation: whose each view is; where views were published with it."""
