"""Devices are chosen by name, and one that is not there is refused."""

import pytest

from retrieval.encoders.devices.devices import (
    check_device_name,
    is_out_of_memory,
    onnx_providers,
    torch_device,
)
from retrieval.errors import OptionError


class TestDevices:
    @pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "", "cpu:0"])
    def test_a_word_that_is_no_device_is_refused(self, name):
        with pytest.raises(OptionError, match="expected auto, cpu, cuda, cuda:N, cuda:all or mps"):
            check_device_name(name)

    def test_a_cuda_device_that_is_not_there_is_refused_with_the_cure(self, monkeypatch):
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(OptionError, match='`device="cpu"`'):
            torch_device("cuda:1")

    def test_auto_falls_back_to_the_cpu(self, monkeypatch):
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

        assert torch_device(" auto ") == "cpu"

    def test_onnx_runtime_without_cuda_says_what_to_install(self, monkeypatch):
        import onnxruntime

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
        with pytest.raises(OptionError, match="onnxruntime-gpu"):
            onnx_providers("cuda")
        assert onnx_providers("auto") == ["CPUExecutionProvider"]

    def test_an_accelerator_out_of_memory_is_told_from_other_errors(self):
        import torch

        assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
        assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"))
        assert not is_out_of_memory(RuntimeError("shapes do not fit"))

    def test_onnx_runtimes_own_errors_are_told_too(self):
        from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

        assert is_out_of_memory(RuntimeException("Failed to allocate memory for requested buffer of size 1"))
        assert is_out_of_memory(RuntimeException("CUDA failure 2: out of memory ; GPU=0"))
        assert not is_out_of_memory(RuntimeException("shapes do not fit"))
        assert not is_out_of_memory(KeyError("out of memory"))
