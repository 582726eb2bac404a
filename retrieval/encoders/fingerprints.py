"""Compute the fingerprint of a model: a hash of its weights and preprocessing; files are hashed once and remembered.

Neither the runtime nor the device nor the precision of the arithmetic enters it, nor how the file packs its
tensors: the safetensors and the pickled form of the same weights have the same fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.errors import EncoderError

if TYPE_CHECKING:
    import torch

FORMAT = 1
TORCH_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def fingerprint(*parts: Any) -> str:
    """Return one fingerprint for all that decides an encoder's vectors: weights, preprocessing, a version.

    The weights' numbers count, not how they are packed: a ``.safetensors`` file, a checkpoint of torch and the
    ``state_dict()`` have one fingerprint. It is the same in every process and on every machine.

        Space(name="mine", dim=512, fingerprint=retrieval.fingerprint(Path("mine.safetensors"), "crop 224"))

    Args:
        parts: each a `Path` of a file of weights or of a folder, a torch module, a mapping of names to tensors or arrays, a
            numpy array or a tensor, a text, bytes, or numbers and lists and mappings of these.
    Raises:
        EncoderError: nothing was given, a file is missing, or a part is none of these.
    """
    if not parts:
        raise EncoderError("fingerprint() of nothing: give the weights, or a text that names their version")
    return hashlib.sha256(json.dumps([_part(part) for part in parts], sort_keys=True).encode()).hexdigest()


def space_fingerprint(weights: str, preprocessing: Mapping[str, Any]) -> str:
    """Return a space's fingerprint from the weights' hash and all that is done to an image before."""
    canonical = json.dumps({"weights": weights, "preprocessing": preprocessing}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def hash_weights(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a weight file's tensors in the order of their names (of its bytes, without any).

    A file is hashed once and remembered in the user's cache by path, size and modification time.
    """
    return _remembered(Path(path), _hash_tensors)


def hash_file(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file's bytes, remembered as `hash_weights` does."""
    return _remembered(Path(path), _hash_bytes)


def cache_directory() -> Path:
    """Return the user's cache directory of this project; it may not exist, and a user without a home has one that cannot."""
    given = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(given or Path.home() / ".cache") / "retrieval"
    except RuntimeError:  # a number that no account has, as containers run by
        return Path(os.devnull) / "retrieval"


def _remembered(path: Path, hash_of: Any) -> str:
    real = path.resolve()
    stat = real.stat()
    identity = f"{FORMAT} {hash_of.__name__} {stat.st_size} {stat.st_mtime_ns} {os.fspath(real)}"
    name = hashlib.sha256(os.fsencode(identity)).hexdigest()
    memory = cache_directory() / "fingerprints" / name
    try:
        remembered = memory.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        remembered = ""
    if len(remembered) == 64:
        return remembered
    result = str(hash_of(real))
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        import tempfile  # its own imports take two milliseconds, which a query would feel

        with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False, encoding="ascii") as file:
            file.write(result)
        Path(file.name).replace(memory)
    except OSError:
        pass  # A cache that cannot be written costs a second, not the query.
    return result


def _part(part: Any) -> Any:
    """Return what JSON can say of one part; what is large, by its hash."""
    if isinstance(part, str):
        if os.path.isfile(part):  # the name alone would stay the same when the weights change
            raise EncoderError(
                f"fingerprint({part!r}): a text, and a file; give Path({part!r}) to hash the file"
            )
        return part
    if part is None or isinstance(part, bool | int | float):
        return part
    if isinstance(part, os.PathLike):
        return _hash_path(Path(part))
    if isinstance(part, bytes | bytearray | memoryview):
        return {"bytes": hashlib.sha256(part).hexdigest()}
    if callable(state := getattr(part, "state_dict", None)):
        part = state()
    if isinstance(part, np.ndarray | np.generic) or hasattr(part, "untyped_storage"):
        return {"weights": _hash_arrays({"": part})}
    if isinstance(part, Mapping) and part and all(map(_is_array, part.values())):
        return {"weights": _hash_arrays({str(name): array for name, array in part.items()})}
    if isinstance(part, Mapping):
        return {"mapping": sorted([str(name), _part(value)] for name, value in part.items())}
    if isinstance(part, list | tuple):
        return [_part(value) for value in part]
    raise EncoderError(
        f"fingerprint: {type(part).__name__} is not taken; give a Path, a text, bytes, an array, numbers, or a state_dict()"
    )


def _hash_path(path: Path) -> Any:
    if path.is_dir():
        names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        return {"folder": [[name, hash_file(path / name)] for name in names]}
    try:
        return {"weights": hash_weights(path)}
    except OSError as error:
        raise EncoderError(f"fingerprint: {path} cannot be read ({error.strerror})") from error


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "untyped_storage")


def _hash_arrays(arrays: dict[str, Any]) -> str:
    """Hash named arrays and tensors as `hash_weights` does those of a file."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        kind, shape, data = _tensor_bytes(array) if hasattr(array, "untyped_storage") else _array_bytes(array)
        digest.update(_label(name, kind, shape))
        digest.update(data)
    return digest.hexdigest()


def _array_bytes(array: Any) -> tuple[str, list[int], Any]:
    whole = np.ascontiguousarray(array).reshape(np.shape(array))
    if whole.dtype.kind not in "biuf":
        raise EncoderError(f"fingerprint: an array of {whole.dtype} is no weights; give one of numbers")
    little = whole.astype(whole.dtype.newbyteorder("<"), copy=False)
    return TORCH_NAMES.get(whole.dtype.name, whole.dtype.name), list(whole.shape), little.tobytes()


def _tensor_bytes(tensor: torch.Tensor) -> tuple[str, list[int], Any]:
    import torch

    whole = tensor.detach().cpu().contiguous()
    kind = str(whole.dtype).removeprefix("torch.")
    return TORCH_NAMES.get(kind, kind), list(whole.shape), whole.reshape(-1).view(torch.uint8).numpy().data


def _hash_tensors(path: Path) -> str:
    if path.suffix == ".safetensors":
        return _hash_safetensors(path)
    tensors = _torch_tensors(path)
    return _hash_bytes(path) if tensors is None else _hash_arrays(tensors)


def _hash_safetensors(path: Path) -> str:
    """Hash by the file's own header: 8 bytes of length, JSON with dtype, shape and offsets, then the data."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name in sorted(header):
            entry = header[name]
            start, stop = entry["data_offsets"]
            digest.update(_label(name, entry["dtype"], entry["shape"]))
            file.seek(8 + length + start)
            _update(digest, file, stop - start)
    return digest.hexdigest()


def _torch_tensors(path: Path) -> dict[str, torch.Tensor] | None:
    """Return a pickled checkpoint's tensors by name, or `None` where the file is of another kind."""
    import pickle
    import zipfile

    import torch

    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (RuntimeError, pickle.UnpicklingError, EOFError):
        return None  # e.g. a TorchScript archive
    if isinstance(checkpoint, dict) and "state_dict" in checkpoint:
        checkpoint = checkpoint["state_dict"]
    if not isinstance(checkpoint, dict):
        return None
    tensors = {str(name): value for name, value in checkpoint.items() if isinstance(value, torch.Tensor)}
    if tensors and all(name.startswith("module.") for name in tensors):  # saved from a parallel wrapper
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors or None


def _label(name: str, kind: str, shape: list[int]) -> bytes:
    return json.dumps([name, kind, shape]).encode()


def _hash_bytes(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        _update(digest, file, path.stat().st_size)
    return digest.hexdigest()


def _update(digest: Any, file: Any, size: int) -> None:
    while size > 0:
        block = file.read(min(size, 1 << 22))
        if not block:
            break
        digest.update(block)
        size -= len(block)
