"""What the tests of commands share: how to start one, the names of pictures, and the keys of a report."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]


RUN = "import sys; from retrieval.cli import main; sys.exit(main())"


HOSTILE = [
    "new\nline.png",
    "esc\x1b[31m\x07.png",
    "<script>alert(1)<.png",
    "x" * 180 + ".png",
    "東京/夜景.png",
]


RAW = b"raw\xff\xfe.png"


PLAIN = [f"plain/{number:02}.png" for number in range(20)]


COUNTERS = [
    "encoded",
    "reused",
    "moved",
    "removed",
    "skipped",
    "skipped_by_reason",
    "seconds",
    "images_per_second",
]


OF_SOURCES = ["sources", "left_alone", "not_seen", "incomplete", "notes"]
BUILD_KEYS = [
    "root",
    "index",
    "encoder",
    "images",
    *COUNTERS,
    "kind",
    "factory",
    "stored_dim",
    "truncate_dim",
    "bytes_per_vector",
    "recall_at_10",
    "recall_sample",
    "recall_reason",
    "recall_at_10_text",
    "width",
    "dim",
    *OF_SOURCES,
    "views",
]
