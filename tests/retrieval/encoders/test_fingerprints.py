"""Fingerprints tell weights and preprocessing apart, and are cached."""

import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from retrieval.encoders import fingerprints as fingerprint_module
from retrieval.encoders.fingerprints import cache_directory, fingerprint, hash_file, hash_weights
from retrieval.errors import EncoderError


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

    def test_a_user_without_a_home_has_no_cache(self, tmp_path, monkeypatch):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", Mock(side_effect=RuntimeError("no home")))
        path = tmp_path / "w"
        path.write_bytes(b"x")

        assert len(hash_file(path)) == 64
        assert not cache_directory().exists()


class TestOfAnything:
    def test_a_file_of_weights_and_the_same_weights_in_memory_have_one_fingerprint(self, tmp_path):
        import torch
        from safetensors.torch import save_file

        module = torch.nn.Linear(3, 2)
        save_file(module.state_dict(), tmp_path / "w.safetensors")
        torch.save(module.state_dict(), tmp_path / "w.pt")
        arrays = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
        forms = [module, module.state_dict(), arrays, tmp_path / "w.safetensors", tmp_path / "w.pt"]

        assert len({fingerprint(form) for form in forms}) == 1
        assert fingerprint(torch.nn.Linear(3, 2)) != fingerprint(module)

    def test_every_part_counts_and_so_does_their_order(self, tmp_path):
        (tmp_path / "a").write_bytes(b"one")
        array = np.arange(6, dtype=np.float32)
        parts = [
            ("v1",),
            ("v1", "crop"),
            ("crop", "v1"),
            ("v1", {"size": 224}),
            ("v1", {"size": 225}),
            (b"v1",),
            (1,),
            (array,),
            (array.astype(np.float64),),
            (array.reshape(2, 3),),
            ([array],),
            (tmp_path,),
            (tmp_path / "a",),
        ]

        assert len({fingerprint(*some) for some in parts}) == len(parts)

    def test_it_is_the_same_for_ever(self):
        """A manifest records it: another value would make strangers of every collection's rows."""
        actual = fingerprint("mine 1", {"size": 224, "mean": [0.5]}, np.arange(3, dtype=np.float32))

        assert actual == "e2c5ee388ef34e3d42ce9b5dd942d7b6cf6894bd9cf786445460893212a51a28"

    def test_a_text_that_names_a_file_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("weights.bin").write_bytes(b"x")

        with pytest.raises(EncoderError, match=r"give Path\('weights.bin'\) to hash the file"):
            fingerprint("weights.bin")

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ((), "of nothing"),
            ((Path("/no/such/file"),), "/no/such/file cannot be read"),
            ((object(),), "object is not taken; give a Path"),
            ((np.array(["a"]),), "an array of <U1 is no weights"),
        ],
    )
    def test_what_cannot_be_hashed_is_answered_with_what_can(self, parts, message):
        with pytest.raises(EncoderError, match=message):
            fingerprint(*parts)
