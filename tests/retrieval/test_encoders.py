"""The public fake, the contract test, the gate for vectors, preprocessing, devices and fingerprints."""

import os

import numpy as np
import pytest
from PIL import Image

from indexes.vectors.space import Space
from retrieval.encoders import DifferentiableEncoder, Encoder, TextEncoder
from retrieval.encoders import fingerprint as fingerprint_module
from retrieval.encoders.checked import checked_pixels, checked_text
from retrieval.encoders.devices import check_device_name, is_out_of_memory, onnx_providers, torch_device
from retrieval.encoders.fingerprint import hash_file, hash_weights
from retrieval.encoders.preprocessing import Preprocessing, differentiable, preprocess, torch_preprocessing
from retrieval.errors import CapabilityMissing, EncoderError, OptionError
from retrieval.testing import FakeEncoder, check_encoder

MEAN, STD = (0.481, 0.458, 0.408), (0.269, 0.261, 0.276)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def waves(width, height, seed=0):
    """Return a smooth RGB image."""
    x, y = np.meshgrid(np.linspace(0, 4, width), np.linspace(0, 3, height))
    pixels = np.stack([np.sin(x * (1 + seed) + c) + np.cos(y * (2 + c) + seed) for c in range(3)], axis=-1)
    return Image.fromarray(((pixels + 2) * 63).astype(np.uint8))


class TestFakeEncoder:
    def test_it_keeps_the_contract(self):
        check_encoder(FakeEncoder(dim=32, nesting=(8, 16)))

    def test_capabilities_are_protocols(self):
        assert isinstance(FakeEncoder(), Encoder)
        assert isinstance(FakeEncoder(), TextEncoder)
        assert not isinstance(FakeEncoder(), DifferentiableEncoder)

    def test_like_images_are_nearer_than_others(self):
        fake = FakeEncoder()
        arrays = [waves(200, 100), waves(100, 50), waves(200, 100, seed=3)]
        vectors = fake.encode_pixels(np.stack([fake.preprocess(image) for image in arrays]))

        assert vectors[0] @ vectors[1] > 0.99
        assert vectors[0] @ vectors[2] < 0.9

    def test_a_colour_word_finds_the_plain_image_of_that_colour(self):
        fake = FakeEncoder()
        images = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue", "yellow")]
        pixels = fake.encode_pixels(np.stack([fake.preprocess(image) for image in images]))

        assert (fake.encode_text(["a red thing", "blue", "yellow"]) @ pixels.T).argmax(axis=1).tolist() == [
            0,
            1,
            2,
        ]

    def test_two_of_one_name_are_one_space_and_another_name_is_another(self):
        assert FakeEncoder(name="a").space.same_as(FakeEncoder(name="a").space)
        assert not FakeEncoder(name="a").space.same_as(FakeEncoder(name="b").space)
        assert not FakeEncoder(dim=8).space.same_as(FakeEncoder(dim=16).space)


class Faulty(FakeEncoder):
    """A fake whose results pass through ``spoil``."""

    def __init__(self, spoil):
        super().__init__(dim=8)
        self.spoil = spoil

    def encode_pixels(self, batch):
        return self.spoil(super().encode_pixels(batch))


def with_nan(rows):
    rows[0, 0] = np.nan
    return rows


class TestContract:
    @pytest.mark.parametrize(
        ("spoil", "word"),
        [
            (lambda rows: rows[:, :4], "must return float32"),
            (lambda rows: rows.astype(np.float64), "must return float32"),
            (lambda rows: rows.tolist(), "got list"),
            (lambda rows: rows[:-1], "must return float32"),
            (lambda rows: rows * 2, "unit rows"),
            (with_nan, "not finite"),
            (lambda rows: np.repeat(rows[:1], len(rows), axis=0), "depends on the batch"),
            (lambda rows: np.tile(np.eye(1, 8, dtype=np.float32), (len(rows), 1)), "the same vector"),
            (lambda rows: np.roll(rows, 1, axis=0), "depends on the batch"),
        ],
    )
    def test_a_fault_of_encode_pixels_is_named(self, spoil, word):
        with pytest.raises(EncoderError, match=word):
            check_encoder(Faulty(spoil))

    def test_a_preprocess_of_changing_shape_is_named(self):
        class Growing(FakeEncoder):
            def preprocess(self, image):
                return np.zeros((image.height, 3), np.float32)

        with pytest.raises(EncoderError, match="arrays of one shape"):
            check_encoder(Growing())

    def test_a_preprocess_that_draws_on_its_image_is_named(self):
        class Scribbler(FakeEncoder):
            def preprocess(self, image):
                array = super().preprocess(image)
                image.putpixel((0, 0), (1, 2, 3))
                return array

        with pytest.raises(EncoderError, match="changed the image"):
            check_encoder(Scribbler())

    def test_a_text_tower_that_ignores_words_is_named(self):
        class Deaf(FakeEncoder):
            def encode_text(self, texts):
                return super().encode_text(["x"] * len(texts))

        with pytest.raises(EncoderError, match="different texts get the same"):
            check_encoder(Deaf())

    def test_a_module_that_is_not_the_encoder_is_named(self):
        import torch

        class Other(FakeEncoder):
            def torch_module(self):
                class Mean(torch.nn.Module):
                    def forward(self, images):
                        return torch.nn.functional.normalize(images.flatten(1)[:, :64] + 0.1, dim=1)

                return Mean().eval()

        with pytest.raises(EncoderError, match=r"agree to -?0\.\d+ only"):
            check_encoder(Other())

    def test_what_is_no_encoder_is_named(self):
        with pytest.raises(EncoderError, match="int has no space"):
            check_encoder(3)


class TestGate:
    def test_good_rows_pass_unchanged(self):
        fake = FakeEncoder()
        batch = np.stack([fake.preprocess(waves(30, 20))])

        np.testing.assert_array_equal(fake.encode_pixels(batch), checked_pixels(fake, batch))

    def test_an_encoder_of_another_width_than_its_space_is_refused_by_name(self):
        with pytest.raises(
            EncoderError, match=r"encoder fake: encode_pixels returned shape \(1, 4\), expected \(1, 8\)"
        ):
            checked_pixels(Faulty(lambda rows: rows[:, :4]), np.zeros((1, 8, 8, 3), np.float32))

    @pytest.mark.parametrize("value", [np.nan, np.inf, 0])
    def test_vectors_without_direction_are_refused_by_name(self, value):
        with pytest.raises(EncoderError, match=r"encoder fake: encode_pixels: row 0 is (not finite|zero)"):
            checked_pixels(Faulty(lambda rows: rows * value), np.ones((1, 8, 8, 3), np.float32))

    def test_words_for_an_encoder_without_text_are_refused_by_name(self):
        class ImageOnly:
            space = Space(name="eyes", dim=4, fingerprint="x")

            def preprocess(self, image):
                return np.zeros(4, np.float32)

            def encode_pixels(self, batch):
                return np.eye(len(batch), 4, dtype=np.float32)

        with pytest.raises(CapabilityMissing, match="eyes understands no words"):
            checked_text(ImageOnly(), ["x"])

    def test_no_texts_are_no_rows(self):
        assert checked_text(FakeEncoder(), []).shape == (0, 64)


class TestPreprocessing:
    @pytest.mark.parametrize("resize", ["shortest", "longest", "squash"])
    @pytest.mark.parametrize("size", [(300, 200), (200, 301), (37, 64), (64, 64), (5, 3), (1, 1), (640, 20)])
    def test_torch_and_pillow_agree(self, resize, size):
        import torch

        how = Preprocessing(size=(64, 64), mean=MEAN, std=STD, resize=resize, fill=(10, 20, 30))
        image = waves(*size)
        expected = preprocess(image, how)
        pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)[None]
        actual = torch_preprocessing(how)(pixels)[0].numpy()

        assert actual.shape == expected.shape == (3, 64, 64)
        assert np.abs(actual - expected).max() < 0.05  # Pillow rounds to 8 bits: 1/255/0.26 = 0.015, twice

    @pytest.mark.parametrize("interpolation", ["box", "bilinear", "hamming", "bicubic", "lanczos"])
    @pytest.mark.parametrize("size", [(300, 200), (41, 29), (64, 300)])
    def test_every_filter_is_pillows(self, interpolation, size):
        import torch

        how = Preprocessing(size=(64, 64), mean=MEAN, std=STD, resize="squash", interpolation=interpolation)
        image = waves(*size)
        pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)[None]
        actual = torch_preprocessing(how)(pixels)[0].numpy()

        assert np.abs(actual - preprocess(image, how)).max() < 0.05  # 8 bits, twice

    def test_a_very_long_image_does_not_fill_the_memory(self):
        import torch

        how = Preprocessing(size=(224, 224), mean=MEAN, std=STD)

        assert preprocess(Image.new("RGB", (30000, 1), "red"), how).shape == (3, 224, 224)
        assert torch_preprocessing(how)(torch.zeros(1, 3, 1, 30000)).shape == (1, 3, 224, 224)

    def test_a_module_has_its_two_parts(self):
        import torch

        how = Preprocessing(size=(8, 8), mean=MEAN, std=STD)
        module = differentiable(how, lambda pixels: pixels.mean((2, 3)), torch.nn.Identity())
        images = torch.rand(2, 3, 30, 20, requires_grad=True)
        rows = module(images)
        rows[:, 0].sum().backward()

        assert torch.equal(rows, module.tower(module.preprocess(images)))
        assert torch.allclose(rows.norm(dim=1), torch.ones(2))
        assert bool((images.grad != 0).any())

    @pytest.mark.parametrize(
        "fault", [{"resize": "stretch"}, {"interpolation": "magic"}, {"std": (1.0, 0.0, 1.0)}]
    )
    def test_a_description_that_cannot_be_is_refused(self, fault):
        with pytest.raises(EncoderError, match="preprocessing"):
            Preprocessing(**{"size": (8, 8), "mean": MEAN, "std": STD} | fault)


class TestDevices:
    @pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "", "cpu:0"])
    def test_a_word_that_is_no_device_is_refused(self, name):
        with pytest.raises(OptionError, match="expected auto, cpu, cuda, cuda:N or mps"):
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
