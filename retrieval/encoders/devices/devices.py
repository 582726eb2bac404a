"""Choose the device of a model: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from indexes.engine import cuda_devices
from retrieval.encoders.devices.runtime import onnx_runtime
from retrieval.errors import OptionError

ALL_CARDS = "cuda:all"
"""The device of an encoder that runs on every card; whatever needs one card takes the first."""

_NO_MEMORY = r"out of memory|failed to allocate memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED"
"""What torch, ONNX Runtime and the libraries below them say when a card is full."""


def check_device_name(device: str) -> str:
    """Return ``device`` without surrounding spaces; whether it is there is for the family to say.

    Raises:
        OptionError: not a name that any machine could have.
    """
    name = device.strip()
    if not re.fullmatch(r"auto|cpu|mps|cuda(:(\d+|all))?", name):
        raise OptionError(f"device {device!r}: expected auto, cpu, cuda, cuda:N, cuda:all or mps")
    return name


def require_device(device: str) -> str:
    """Return ``device`` without surrounding spaces, after a look whether this machine has it; nothing heavy is imported.

    Raises:
        OptionError: not a device's name, or one of a card that no driver sees: everything would be left to the CPU.
    """
    name = check_device_name(device)
    if name == "mps" and sys.platform != "darwin":
        raise OptionError("device mps: this machine has no Apple GPU; use cpu or auto")
    if name.startswith("cuda"):
        there = cuda_devices()
        if there == 0:
            raise OptionError(
                f"device {name}: this machine has no CUDA device that a driver sees; use cpu or auto"
            )
        if name != ALL_CARDS and int(name.partition(":")[2] or 0) >= there:
            raise OptionError(f"device {name}: there are {there} CUDA devices, cuda:0 to cuda:{there - 1}")
    return name


def torch_device(device: str) -> str:
    """Return the torch device for a name; ``auto`` is CUDA, else MPS, else the CPU.

    Raises:
        OptionError: the device is not there.
    """
    import torch

    name = _one_card(check_device_name(device))
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if name.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise OptionError(
                f'device {name}: torch {torch.__version__} sees no CUDA device; use `device="cpu"` (or auto), '
                f"or install a CUDA build of torch and check nvidia-smi"
            )
        if int(name.partition(":")[2] or 0) >= count:
            raise OptionError(f"device {name}: there are {count} CUDA devices, cuda:0 to cuda:{count - 1}")
    if name == "mps" and not torch.backends.mps.is_available():
        raise OptionError('device mps: torch sees no Apple GPU; use `device="cpu"` (or auto)')
    return name


def onnx_providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """Return ONNX Runtime's execution providers for a device name; ``auto`` is CUDA where it is built in.

    Raises:
        OptionError: the installed ONNX Runtime has no provider for the device.
    """
    name = _one_card(check_device_name(device))
    available = onnx_runtime().get_available_providers()
    if name == "cpu" or (name == "auto" and "CUDAExecutionProvider" not in available):
        return ["CPUExecutionProvider"]
    if name == "mps":
        raise OptionError('device mps: ONNX models run on cpu or cuda; use `device="cpu"` (or auto)')
    if "CUDAExecutionProvider" not in available:
        raise OptionError(
            f'device {name}: the installed onnxruntime has no CUDA; use `device="cpu"` (or auto), '
            f"or replace it: pip uninstall onnxruntime && pip install onnxruntime-gpu"
        )
    index = name.partition(":")[2] or "0"
    return [("CUDAExecutionProvider", {"device_id": index}), "CPUExecutionProvider"]


def _one_card(name: str) -> str:
    return "cuda" if name == ALL_CARDS else name


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether ``error`` is an accelerator running out of memory, so that a smaller batch may succeed."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    # ONNX Runtime and MPS have no type of their own for it, and ONNX Runtime's are no RuntimeError.
    known = isinstance(error, RuntimeError) or type(error).__module__.partition(".")[0] == "onnxruntime"
    return known and bool(re.search(_NO_MEMORY, str(error), flags=re.IGNORECASE))


@contextmanager
def allowed_threads() -> Iterator[None]:
    """Let torch use no more threads than the cores that this process may use."""
    import torch

    from indexes.engine import threads

    before = torch.get_num_threads()
    torch.set_num_threads(min(before, threads()))
    try:
        yield
    finally:
        torch.set_num_threads(before)
