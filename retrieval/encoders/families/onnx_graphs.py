"""Open ONNX graphs, check their inputs and outputs, and run them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.encoders import Session, onnx_providers
from retrieval.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from indexes.vectors import Vectors

KINDS: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """One ONNX graph, ready to run.

    Attributes:
        path: its file, for messages.
        session: runs it; safe to run from several threads.
        inputs: names and numpy dtypes.
        rows: the fixed number of rows that it takes at once, or `None` when it takes any.
    """

    path: Path
    session: Session
    inputs: tuple[tuple[str, type[np.generic]], ...]
    rows: int | None

    def run(self, feeds: Sequence[NDArray[Any]], *, width: int) -> Vectors:
        """Return ``(n, width)`` float32 unit rows for the arrays of the inputs, each ``(n, ...)``."""
        count = len(feeds[0])
        step = self.rows or count
        results = []
        for start in range(0, count, step):
            parts = [array[start : start + step] for array in feeds]
            short = step - len(parts[0])
            if short:  # a graph of fixed batch: fill up with zeros, drop their rows
                parts = [
                    np.concatenate([part, np.zeros((short, *part.shape[1:]), part.dtype)]) for part in parts
                ]
            named: dict[str, NDArray[Any]] = {
                name: part.astype(kind, copy=False)
                for (name, kind), part in zip(self.inputs, parts, strict=True)
            }
            output = np.asarray(self.session.run(None, named)[0], dtype=np.float32)  # (step, width)
            if output.shape != (len(parts[0]), width):
                raise EncoderError(
                    f"{self.path}: its first output has shape {output.shape}, expected {(len(parts[0]), width)} "
                    f"(width in encoder.json)"
                )
            results.append(output[: step - short])
        rows = np.concatenate(results)  # (n, width)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)  # (n, 1)
        return np.asarray(rows / np.maximum(norms, np.finfo(np.float32).tiny), dtype=np.float32)


def _open(path: Path, *, device: str) -> Graph:
    try:
        session = Session(str(path), providers=onnx_providers(device))
    except Exception as error:
        if (
            type(error).__module__.partition(".")[0] != "onnxruntime"
        ):  # its exceptions share no type of their own
            raise
        raise EncoderError(
            f"{path}: onnxruntime cannot open it: {str(error).strip().splitlines()[0]}"
        ) from error
    inputs = session.get_inputs()
    unknown = [f"{entry.name} {entry.type}" for entry in inputs if entry.type not in KINDS]
    if unknown or not inputs or not session.get_outputs():
        raise EncoderError(f"{path}: inputs of an unexpected type: {', '.join(unknown) or 'none at all'}")
    rows = inputs[0].shape[0] if inputs[0].shape else None
    return Graph(
        path=path,
        session=session,
        inputs=tuple((entry.name, KINDS[entry.type]) for entry in inputs),
        rows=rows if isinstance(rows, int) and rows > 0 else None,
    )


def open_image_graph(path: Path, *, width: int, size: tuple[int, int], device: str) -> Graph:
    """Open a graph that reads images: ``(b, 3, *size)`` to ``(b, width)``.

    Raises:
        EncoderError: it cannot be opened, or reads or gives something else.
    """
    graph = _open(path, device=device)
    kinds = [kind for _, kind in graph.inputs]
    if len(kinds) != 1 or kinds[0] not in (np.float32, np.float16):
        raise EncoderError(f"{path}: expected one float32 or float16 input, got {_listed(graph)}")
    shape = graph.session.get_inputs()[0].shape
    expected = ["b", 3, *size]
    fits = len(shape) == 4 and all(
        have == want for have, want in zip(shape[1:], expected[1:], strict=True) if isinstance(have, int)
    )
    if not fits:
        raise EncoderError(f"{path}: its input is {shape}, expected {expected} (size in encoder.json)")
    _require_width(graph, width)
    return graph


def open_text_graph(path: Path, *, width: int, context: int | None, device: str) -> Graph:
    """Open a graph that reads token ids, and perhaps a mask: ``(t, context)`` to ``(t, width)``.

    Raises:
        EncoderError: it cannot be opened, or reads or gives something else.
    """
    graph = _open(path, device=device)
    kinds = [kind for _, kind in graph.inputs]
    masks = sum("mask" in name for name, _ in graph.inputs)
    if any(kind not in (np.int64, np.int32) for kind in kinds) or len(kinds) - masks != 1 or masks > 1:
        raise EncoderError(
            f"{path}: expected token ids (int64 or int32) and at most an attention mask, got {_listed(graph)}"
        )
    shape = graph.session.get_inputs()[0].shape
    if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != context):
        raise EncoderError(f"{path}: its input is {shape}, expected [t, {context}] (context_length)")
    _require_width(graph, width)
    return graph


def _require_width(graph: Graph, width: int) -> None:
    output = graph.session.get_outputs()[0]
    if output.type not in ("tensor(float)", "tensor(float16)"):
        raise EncoderError(f"{graph.path}: its first output is {output.type}, expected float32 or float16")
    shape = output.shape
    if shape and (len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != width)):
        raise EncoderError(
            f"{graph.path}: its first output is {shape}, expected [b, {width}] (width in encoder.json)"
        )


def _listed(graph: Graph) -> str:
    return ", ".join(f"{name} {np.dtype(kind).name}" for name, kind in graph.inputs) or "none"
