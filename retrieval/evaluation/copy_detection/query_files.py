"""Encode the files that are asked with: queries, distractors, and a background."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrieval.embedding import embed
from retrieval.errors import ImageError, OptionError
from retrieval.progress import Progress
from retrieval.sources import Skipped, walk
from retrieval.sources.decoding import read_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.vectors import Vectors
    from retrieval.encoders import Encoder
    from retrieval.progress import OnProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Files and their vectors.

    Attributes:
        files: paths of those that could be read.
        contents: their content hashes.
        vectors: ``(n, d)`` unit rows.
        failed: paths of the others, each with the reason.
    """

    files: list[str]
    contents: list[bytes]
    vectors: Vectors
    failed: list[tuple[str, str]]


def files_below(folder: str | os.PathLike[str]) -> list[str]:
    """List the images below a folder.

    Raises:
        OptionError: there is no such folder, or no image in it.
    """
    try:
        found = [entry.path for entry in walk(folder) if not isinstance(entry, Skipped)]
    except OSError as error:
        raise OptionError(
            f"{os.fspath(folder)}: cannot be listed ({error.strerror}); name a folder of images"
        ) from error
    if not found:
        raise OptionError(f"{os.fspath(folder)}: no image is in it; name a folder of images")
    return found


def encoded(
    files: Sequence[str], encoder: Encoder, *, phase: str, progress: OnProgress | None = None
) -> Encoded:
    """Read and encode files, each of the same bytes once.

    Args:
        files: paths; each gets its place in the answer, or in `Encoded.failed`.
        encoder: of the collection.
        phase: what progress calls it.
        progress: called now and then.
    """
    known: dict[bytes, np.ndarray] = {}
    content_of: dict[str, bytes] = {}
    failed: list[tuple[str, str]] = []
    done = 0
    for run in embed(
        files, encoder, open_image=read_file, known=known.__contains__, name_of=os.path.basename
    ):
        for item, content, vector in zip(run.items, run.contents, run.vectors, strict=True):
            known[content] = vector
            content_of[item] = content
        content_of |= dict(run.reused)
        failed += [(item, _reason(error)) for item, error in run.failed]
        done += len(run.items) + len(run.reused) + len(run.failed)
        if progress is not None:
            progress(Progress(phase=phase, done=done, total=len(files), skipped=len(failed)))
    there = [file for file in files if file in content_of]
    vectors = np.array([known[content_of[file]] for file in there], dtype=np.float32)
    return Encoded(
        files=there,
        contents=[content_of[file] for file in there],
        vectors=vectors.reshape(len(there), encoder.space.dim),
        failed=failed,
    )


def _reason(error: ImageError) -> str:
    return error.reason
