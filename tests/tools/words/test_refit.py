"""What depends on a tower is fitted to it anew, and a tower that is shipped keeps its files."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="export needs onnx")

import torch

from retrieval.encoders.families.nano_text import map_tensors
from retrieval.encoders.families.nano_torch import read_querybank, read_state
from tools.train_nano.inputs.corpus import Text
from tools.train_nano.measure import unit
from tools.train_oca.finish import POPULARITY
from tools.train_oca.further import IMAGE, SHIPPED, Looked, export_further, read_tower
from tools.train_oca.words import refit as refit_module
from tools.train_oca.words.refit import refit

COUNT = 90


@pytest.fixture
def known(monkeypatch):
    """Photographs that were looked at, and words that change by one number."""
    numbers = np.random.default_rng(0)
    found = Looked(
        photos=[SimpleNamespace(split="train")] * COUNT,
        pixels=numbers.integers(0, 256, (COUNT, 160, 160, 3), np.uint8),
        seen=unit(numbers.standard_normal((COUNT, 384))),
        old=unit(numbers.standard_normal((COUNT, 256))),
        train=np.arange(COUNT),
    )
    texts = [Text(text=f"{kind} {i}", kind=kind) for kind in ("name", "spliced") for i in range(40)]
    words = {name: np.array(array) for name, array in map_tensors(SHIPPED / "text.safetensors").items()}
    words["second.bias"] = words["second.bias"] + np.float16(0.5)
    monkeypatch.setattr(refit_module, "look_at_all", lambda *_, **__: found)
    monkeypatch.setattr(refit_module, "list_texts", lambda *_: texts)
    monkeypatch.setattr(refit_module, "train_words", lambda *_, **__: words)
    monkeypatch.setattr(refit_module, "words_with_kinds", lambda *_: words)
    return found


def test_the_shipped_tower_keeps_its_bank_and_way_back(known, tmp_path) -> None:
    refit(tmp_path, tmp_path, tmp_path, note=lambda _: None)

    changed = [path.name for path in SHIPPED.iterdir() if path.read_bytes() != (tmp_path / "nano-2" / path.name).read_bytes()]  # fmt: skip
    assert changed == ["text.safetensors"]


def test_another_tower_gets_a_bank_and_a_way_back_of_its_own(known, tmp_path) -> None:
    folder = tmp_path / "nano-2"
    tower = read_tower(SHIPPED)
    with torch.no_grad():
        tower.head.bias += 0.01
    shutil.copytree(SHIPPED, folder)
    export_further(tower, known, folder, SHIPPED / "text.safetensors", samples=7, seen=known.seen)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    refit(tmp_path, tmp_path, tmp_path, note=lambda _: None)

    bank = read_querybank(folder / IMAGE, weight=POPULARITY)
    shipped = read_querybank(SHIPPED / IMAGE, weight=POPULARITY)
    assert bank.texts.shape != shipped.texts.shape
    state, kept = read_state(folder / IMAGE), tower.state_dict()
    for name, value in state.items():
        torch.testing.assert_close(value, kept[name], atol=1e-3, rtol=1e-3)
    assert (folder / "back.safetensors").read_bytes() != before["back.safetensors"]
    refit(tmp_path, tmp_path, tmp_path, note=lambda _: None)
    assert b'"7"' in (folder / IMAGE).read_bytes()[:20000]  # samples


def test_words_are_written_as_they_were_trained(known, tmp_path) -> None:
    refit(tmp_path, tmp_path, tmp_path, note=lambda _: None)
    written = map_tensors(tmp_path / "nano-2" / "text.safetensors")
    shipped = map_tensors(SHIPPED / "text.safetensors")
    assert not np.array_equal(written["second.bias"], shipped["second.bias"])
