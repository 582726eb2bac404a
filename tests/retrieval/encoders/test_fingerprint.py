"""Fingerprints tell weights and preprocessing apart, and are cached."""

import os

from retrieval.encoders import fingerprint as fingerprint_module
from retrieval.encoders.fingerprint import hash_file, hash_weights


class TestFingerprint:
    def test_the_packing_of_the_weights_does_not_matter_but_their_values_do(self, tmp_path):
        import torch
        from safetensors.torch import save_file

        weights = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(4, dtype=torch.bfloat16)}
        save_file(weights, tmp_path / "w.safetensors", metadata={"note": "x"})
        torch.save(dict(reversed(weights.items())), tmp_path / "w.bin")
        torch.save({"state_dict": {f"module.{name}": w for name, w in weights.items()}}, tmp_path / "w.pt")
        torch.save(weights | {"a": torch.zeros(4, dtype=torch.bfloat16)}, tmp_path / "other.bin")
        first, *rest, other = (
            hash_weights(tmp_path / n) for n in ("w.safetensors", "w.bin", "w.pt", "other.bin")
        )

        assert rest == [first, first]
        assert other != first

    def test_a_file_is_hashed_once_and_again_when_it_changes(self, tmp_path, monkeypatch):
        path = tmp_path / "weights.npz"
        path.write_bytes(b"one")
        calls = []
        original = fingerprint_module._hash_bytes
        monkeypatch.setattr(fingerprint_module, "_hash_bytes", lambda p: calls.append(p) or original(p))
        first = [hash_file(path), hash_file(path)]
        path.write_bytes(b"three")
        os.utime(path, ns=(1, 1))

        assert first[0] == first[1] != hash_file(path)
        assert len(calls) == 2

    def test_a_cache_that_cannot_be_written_costs_nothing_but_time(self, tmp_path, monkeypatch):
        (tmp_path / "blocked").write_text("a file where a folder should be")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "blocked"))
        path = tmp_path / "w"
        path.write_bytes(b"x")

        assert len(hash_file(path)) == 64
