"""What the tests of upgrades share: a gallery's files and vectors."""

from __future__ import annotations

import numpy as np

import retrieval
from indexes.generation.manifest import generation_path, read_manifest
from tests.retrieval.drift import drift
from tests.retrieval.folders import ids_by_key

COUNT = 150
NAMES = [f"{number // 50}/{number:03}.png" for number in range(COUNT)]


def generation(home):
    """Return the directory of the generation that is published."""
    directory = home / ".retrieve"
    return generation_path(directory, read_manifest(directory).generation)


def interrupt(*_, **__):
    raise KeyboardInterrupt


def state(home):
    """Return every file of the collection but the lock, by name: what must not change."""
    found = {}
    for path in sorted((home / ".retrieve").rglob("*")):
        if path.is_file() and not path.name.startswith("lock"):
            found[str(path.relative_to(home))] = path.read_bytes()
    return found


def truth(home, names, encoder):
    """Return the vectors of files by an encoder, encoded here and now."""
    from PIL import Image

    batch = np.stack([encoder.preprocess(Image.open(home / name).convert("RGB")) for name in names])
    return encoder.encode_pixels(batch)


def collection_path(home, number):
    with retrieval.open(home) as collection:
        return collection.key_of(number)


def check_all_new(home, encoder="new"):
    """Make sure that every live row is what an encoder says of its file, and that nothing else lies about."""
    with retrieval.open(home) as collection:
        by_path = ids_by_key(collection)
        vectors = collection.vectors(list(by_path.values()))
        checks = collection.verify()
    np.testing.assert_allclose(vectors, truth(home, list(by_path), drift(encoder)), atol=2e-3)
    assert [check for check in checks if not check.ok] == []
    return by_path
