"""Run a torch model's towers on a CPU: in ONNX Runtime where that is faster, else in torch."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks
from retrieval.encoders import Session
from retrieval.encoders.towers import graph_cache
from retrieval.encoders.towers.export import INPUT, export

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.encoders.towers.tower import Tower

AFTER = 256
"""Images and texts encoded by a process after which it exports: fewer take less time than exporting."""

LEAST_COSINE = 0.9999
"""Between a vector by torch and one by ONNX Runtime; below it the graph is not used."""

LEAST_GAIN = 1.1
"""Times as fast as torch that ONNX Runtime must be."""

_TRIALS = 3


class CpuTowers:
    """The towers of one torch model on a CPU.

    A process that encodes much exports them once, checks that the graphs give the same vectors faster, and keeps them in the
    cache. From then on every process uses them, and loads the torch model only for what has no graph.

    Args:
        folder: of the graphs, as `graph_cache.folder_of` gives it.
        network: returns the torch model; called only if it is needed.
        towers: by name, such as ``image`` and ``text``.
        done: called when no tower needs the torch model any longer.
        notes: more facts to keep with the graphs, in values that JSON has.

    Attributes:
        note: why a tower runs in torch, in one line; None while there is nothing to say.
        trouble: the same, where something is amiss: people should know.
    """

    note: str | None
    trouble: str | None

    def __init__(
        self,
        folder: Path,
        network: Callable[[], Any],
        towers: Mapping[str, Tower],
        *,
        done: Callable[[], None],
        notes: Mapping[str, Any],
    ) -> None:
        self._folder, self._network, self._towers = folder, network, dict(towers)
        self._done, self._notes = done, dict(notes)
        self._lock = forks.Lock()
        self._sessions: dict[str, Session | None] = {}
        self._facts = graph_cache.read_facts(folder)
        self._encoded, self._tried = 0, False
        self.note = self.trouble = None

    def encode(self, name: str, inputs: NDArray[Any]) -> Vectors:
        """Return ``(b, d)`` float32 unit rows of a tower's inputs ``(b, ...)``."""
        session = self._session(name)
        if session is not None:
            return self._by_graph(session, name, inputs)
        rows = self._by_torch(name, inputs)
        self._encoded += len(inputs)
        if self._encoded >= AFTER and not self._tried:
            self._make()
        return rows

    def runtime(self, name: str) -> str:
        """Return what runs a tower now: ``onnx`` or ``torch``."""
        return "torch" if self._session(name) is None else "onnx"

    def _by_torch(self, name: str, inputs: NDArray[Any]) -> Vectors:
        import torch

        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(inputs))
            features = self._towers[name].encode(self._network(), given)
            rows: Vectors = torch.nn.functional.normalize(features.float(), dim=-1).numpy()
        return rows

    def _by_graph(self, session: Session, name: str, inputs: NDArray[Any]) -> Vectors:
        shorten = self._towers[name].shorten
        given = inputs if shorten is None else shorten(inputs)
        rows = np.asarray(session.run(None, {INPUT: np.ascontiguousarray(given)})[0], dtype=np.float32)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)  # (b, 1)
        return np.asarray(rows / np.maximum(norms, np.finfo(np.float32).tiny), dtype=np.float32)

    def _session(self, name: str) -> Session | None:
        if self._facts is None:
            return None
        if name not in self._sessions:
            with self._lock:
                if name not in self._sessions:
                    self._sessions[name] = self._opened(name, self._facts)
        return self._sessions[name]

    def _opened(self, name: str, facts: Mapping[str, Any]) -> Session | None:
        found = facts.get("towers", {}).get(name, {})
        if "file" not in found:
            line = f"the {name} tower runs in torch: {found.get('reason', 'it was not exported')}"
            if "slower" in found:
                self.note = line  # as it should: nobody need be warned
            else:
                self._warn(line)
            return None
        try:
            return _session(self._folder / found["file"])
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions share no type; torch can do it as well
            self._warn(
                f"the {name} tower runs in torch: {self._folder / found['file']} cannot be opened "
                f"({_line(error)}); delete that folder to make it again"
            )
            return None

    def _make(self) -> None:
        """Export all towers; what fails runs in torch, as before."""
        with self._lock:
            if self._tried:
                return
            self._tried = True
        try:
            facts = graph_cache.write(self._folder, self._exported)
        except Exception as error:  # noqa: BLE001 - exporting is an attempt, and every exporter has exceptions of its own
            self._warn(f"the towers run in torch, because they cannot be exported: {_line(error)}")
            return
        self._facts = facts
        if all(self._session(name) is not None for name in self._towers):
            self._done()

    def _exported(self, folder: Path) -> dict[str, Any]:
        network = self._network()
        towers = {name: self._measured(name, tower, network, folder) for name, tower in self._towers.items()}
        return {**self._notes, "towers": towers}

    def _measured(self, name: str, tower: Tower, network: Any, folder: Path) -> dict[str, Any]:
        """Export one tower and compare it with torch; return its file, or the reason why there is none."""
        path = folder / f"{name}.onnx"
        try:
            example = tower.example()
            export(tower.module(network), example, path, lengths=tower.shorten is not None)
            session = _session(path)
            right = self._by_torch(name, example)
            cosine = min(  # with another number of rows too: a graph may hold that of its example
                float(np.einsum("bd,bd->b", right[some], self._by_graph(session, name, example[some])).min())
                for some in (slice(None), slice(1))
            )
            reason = (
                None if cosine >= LEAST_COSINE else f"its graph gives other vectors (cosine {cosine:.4f})"
            )
            gain = 0.0
            if reason is None:
                gain = _gain(
                    lambda: self._by_torch(name, example), lambda: self._by_graph(session, name, example)
                )
        except ImportError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `_make`; one tower may be exported and the other not
            reason = f"it cannot be exported ({_line(error)})"
        if reason is None and gain < LEAST_GAIN:
            slower = f"ONNX Runtime takes {1 / gain:.2f} times torch's time on this machine"
            _remove(folder, name)
            return {"reason": slower, "slower": True}
        if reason is None:
            return {"file": path.name, "cosine": cosine, "times_as_fast": gain}
        _remove(folder, name)
        return {"reason": reason}

    def _warn(self, line: str) -> None:
        self.note = self.trouble = line
        warnings.warn(line, RuntimeWarning, stacklevel=2)


def _remove(folder: Path, name: str) -> None:
    for left in folder.glob(f"{name}.onnx*"):
        left.unlink()


def _session(path: Path) -> Session:
    return Session(str(path), providers=["CPUExecutionProvider"])


def _gain(old: Callable[[], object], new: Callable[[], object]) -> float:
    """Return how many times as fast the second is, by the best of a few alternating trials."""
    taken: dict[Callable[[], object], float] = {}
    for _ in range(_TRIALS):
        for run in (old, new):
            began = time.perf_counter()
            run()
            taken[run] = min(taken.get(run, np.inf), time.perf_counter() - began)
    return taken[old] / taken[new]


def _line(error: BaseException) -> str:
    """Return the first line of what an exception says."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
