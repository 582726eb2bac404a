"""Photographs to make copies of, and what all tests of copies ask of a folder."""

from __future__ import annotations

import hashlib
import os

import skimage.data
from PIL import Image

import retrieval

NAMES = ("astronaut", "chelsea", "coffee", "rocket", "camera", "brick", "coins", "immunohistochemistry")
ODD = (
    "a b.jpg",
    "ünïcode.jpg",
    "new\nline.jpg",
    "-dash.jpg",
    'comma,"quote.jpg',
    "%41.jpg",
    os.fsdecode(b"caf\xe9.jpg"),
)


def photograph(name):
    image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    image.thumbnail((256, 256))
    return image


def state(root):
    """Return the bytes, modification time and kind of every file below a folder, its index left out."""
    found = {}
    for path in sorted(root.rglob("*")):
        if ".retrieve" not in path.parts and not path.is_dir():
            facts = path.lstat()
            found[os.fspath(path.relative_to(root))] = (
                os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest(),
                facts.st_mtime_ns,
            )
    return found


def contents(*roots):
    """Return how often each content lies below some folders."""
    found = {}
    for root in roots:
        for name, (content, _) in state(root).items():
            if not name.endswith("undo-moves.jsonl"):
                found[content] = found.get(content, 0) + 1
    return found


def build(root, **options):
    return retrieval.build_index(root, progress=False, **options)


def names(sets):
    return [(one.kind, {image.path for image in one}) for one in sets]


def kind_of(sets, *paths):
    """Return the degrees that some paths, other than the one that stays, have in the one set that holds all of them."""
    holding = [one for one in sets if {image.path for image in one} >= set(paths)]
    assert len(holding) <= 1
    return [image.kind for one in holding for image in one if image.path in paths and image is not one.stays]
