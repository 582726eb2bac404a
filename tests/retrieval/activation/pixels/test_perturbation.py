from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from retrieval.activation.originals import read_original
from retrieval.encoders import load_encoder
from tests.retrieval.pictures import encoded, scene

torch = pytest.importorskip("torch", reason="torch comes with the extra open-clip")

from retrieval.activation.pixels import random_edits  # noqa: E402
from retrieval.activation.pixels.perturbation import RMS, perturb  # noqa: E402


@pytest.fixture(scope="module")
def nano():
    return load_encoder("nano", device="cpu")


@pytest.fixture(scope="module")
def module(nano):
    return nano.torch_module()


def image(width=96, height=64):
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = np.stack([np.sin(2 * np.pi * (3 * x + c * y)) for c in range(3)], axis=-1) * 0.4 + 0.5
    return torch.from_numpy(waves.astype(np.float32)).permute(2, 0, 1)[None]  # (1, 3, h, w)


class TestTheGraph:
    @pytest.mark.parametrize("size", [(96, 64), (200, 300), (512, 512)])
    def test_it_gives_the_real_encoders_vectors(self, nano, module, size):
        picture = scene(*size)
        pixels = torch.from_numpy(np.asarray(picture, np.float32) / 255).permute(2, 0, 1)[None]
        expected = nano.encode_pixels(nano.preprocess(picture)[np.newaxis])

        assert (module(pixels).numpy() * expected).sum() > 0.999  # Pillow rounds to 8 bits

    def test_it_gives_an_open_clip_models_vectors(self, tmp_path):
        pytest.importorskip("open_clip", reason="open_clip comes with the extra open-clip")
        from tests.retrieval.encoders.families.test_open_clip import PREPROCESSING, save_tiny

        encoder = load_encoder(
            f"open_clip:local-dir:{save_tiny(tmp_path, PREPROCESSING['shortest'])}", device="cpu"
        )
        picture = scene(150, 100)
        pixels = (
            torch.from_numpy(np.asarray(picture, np.float32) / 255).permute(2, 0, 1)[None].requires_grad_()
        )
        vectors = encoder.torch_module()(pixels)
        vectors[:, 0].sum().backward()
        expected = encoder.encode_pixels(encoder.preprocess(picture)[np.newaxis])

        assert (vectors.detach().numpy() * expected).sum() > 0.999
        assert bool((pixels.grad != 0).any())


class TestTransformations:
    @pytest.mark.parametrize("transformation", random_edits.TRANSFORMATIONS)
    @pytest.mark.parametrize("size", [(96, 64), (33, 17), (3, 2)])
    def test_each_gives_an_image_and_a_gradient(self, transformation, size):
        pixels = image(*size).requires_grad_()
        for seed in range(4):
            out = transformation(pixels, np.random.default_rng(seed))
            (gradient,) = torch.autograd.grad(out.sum(), pixels)
            out = out.detach()

            assert out.shape[:2] == (1, 3)
            assert float(out.min()) > -1e-5
            assert float(out.max()) < 1 + 1e-5
            assert bool(torch.isfinite(gradient).all())

    def test_the_same_seed_gives_the_same_image(self):
        for transformation in random_edits.TRANSFORMATIONS:
            one, other = (transformation(image(), np.random.default_rng(3)) for _ in range(2))

            assert torch.equal(one, other)

    def test_jpeg_is_near_to_jpeg(self):
        class Fixed:
            def integers(self, *_):
                return 50

        pixels = image(96, 64)
        picture = Image.fromarray((255 * pixels[0].permute(1, 2, 0)).round().byte().numpy())
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=50)
        real = np.asarray(Image.open(file), np.float32) / 255
        ours = random_edits.jpeg(pixels, Fixed())[0].permute(1, 2, 0).numpy()
        unchanged = pixels[0].permute(1, 2, 0).numpy()

        # The cubic leaves part of what is rounded away, so it lies between the image and its JPEG.
        assert np.abs(ours - real).mean() < np.abs(unchanged - real).mean()

    def test_turning_is_pillows_the_other_way_round(self):
        class Fixed:
            def integers(self, *_):
                return 0

            def uniform(self, *_):
                return 20.0

        pixels = image(96, 64)
        picture = Image.fromarray((255 * pixels[0].permute(1, 2, 0)).round().byte().numpy())
        real = np.asarray(picture.rotate(-20, Image.Resampling.BILINEAR, expand=True), np.float32) / 255
        ours = random_edits.turn(pixels, Fixed())[0].permute(1, 2, 0).numpy()
        height, width = (min(a, b) for a, b in zip(real.shape[:2], ours.shape[:2], strict=True))

        assert abs(real.shape[0] - ours.shape[0]) <= 2
        assert abs(real.shape[1] - ours.shape[1]) <= 2
        assert np.abs(real[:height, :width] - ours[:height, :width]).mean() < 0.06  # half a pixel apart

    def test_resizing_and_cropping_keep_even_colours(self):
        flat = torch.full((1, 3, 40, 60), 0.25)
        for transformation in (random_edits.crop, random_edits.resize, random_edits.blur, random_edits.jpeg):
            out = transformation(flat, np.random.default_rng(0))

            assert torch.allclose(out, torch.full_like(out, 0.25), atol=0.02)

    def test_tinting_keeps_the_luma_and_changes_the_hue(self):
        pixels = 0.4 + 0.2 * image(40, 60)
        luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        out = random_edits.tint(pixels, np.random.default_rng(2))

        assert torch.allclose((out * luma).sum(1), (pixels * luma).sum(1), atol=1e-4)
        assert float((out - pixels).abs().max()) > 0.01


class TestPerturb:
    @staticmethod
    def toward(target):
        return lambda vectors, *, altered: (1 - vectors.view(-1, *target.shape) @ target.T).diagonal(
            dim1=1, dim2=2
        )

    @pytest.mark.parametrize("robust", [False, True])
    def test_vectors_move_and_pixels_stay_within_their_bounds(self, nano, module, robust):
        pictures = [read_original(encoded(scene(size, 80, seed=size), "PNG"), name="x") for size in (96, 150)]
        with torch.no_grad():
            target = torch.nn.functional.normalize(
                torch.randn(2, nano.space.dim, generator=torch.manual_seed(0))
            )
            start = [torch.from_numpy(p.seen / np.float32(255)).permute(2, 0, 1)[None] for p in pictures]
            before = torch.cat([module(x) for x in start])
        loss = self.toward(target)
        changes = perturb(module, loss, pictures, steps=8, strength=3.0, robust=robust)
        with torch.no_grad():
            moved = [
                torch.from_numpy(np.clip(p.seen + c, 0, 255) / np.float32(255)).permute(2, 0, 1)[None]
                for p, c in zip(pictures, changes, strict=True)
            ]
            after = torch.cat([module(x) for x in moved])

        assert ((after * target).sum(1) > (before * target).sum(1)).all()
        for picture, change in zip(pictures, changes, strict=True):
            assert change.shape == picture.pixels.shape
            assert np.sqrt(np.mean(change**2)) <= 3.0 * RMS + 1e-3
            assert (np.abs(change).max(axis=2) <= 3.0 * 0.21 * picture.noticeable).all()  # blue, the most

    @pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
    def test_large_pictures_gain_as_much_by_what_is_found_for_smaller_ones(self, nano, module, mode):
        picture = scene(500, 340, seed=3).convert(mode)
        if mode == "RGBA":
            picture.putalpha(
                Image.fromarray(np.repeat(np.uint8([[255, 128]]), [300, 200], axis=1).repeat(340, 0))
            )
        original = read_original(encoded(picture, "PNG"), name="x")
        target = torch.nn.functional.normalize(torch.randn(1, nano.space.dim, generator=torch.manual_seed(1)))
        gains = []
        for side in (None, 224):
            (change,) = perturb(
                module, self.toward(target), [original], steps=6, strength=3.0, robust=False, side=side
            )
            alpha = 1.0 if original.alpha is None else original.alpha[..., np.newaxis] / np.float32(255)
            seen = [original.seen, np.clip(original.seen + alpha * change, 0, 255)]
            with torch.no_grad():
                before, after = (
                    module(torch.from_numpy(x / np.float32(255)).permute(2, 0, 1)[None]) for x in seen
                )

            assert change.shape == original.pixels.shape
            assert np.sqrt(np.mean(change**2)) <= 3.0 * RMS + 1e-3
            assert (np.abs(change).max(axis=2) <= 3.0 * 0.21 * original.noticeable).all()
            gains.append(float(((after - before) * target).sum()))

        assert gains[1] > 0.8 * gains[0] > 0.01  # 0.95 to 1.05 is usual

    def test_the_same_seed_moves_alike(self, nano, module):
        pictures = [read_original(encoded(scene(), "PNG"), name="x")]
        loss = self.toward(torch.nn.functional.normalize(torch.ones(1, nano.space.dim)))
        one, other = (
            perturb(module, loss, pictures, steps=2, strength=3.0, robust=True, seed=5)[0] for _ in range(2)
        )

        np.testing.assert_array_equal(one, other)

    def test_grey_stays_grey_and_what_is_transparent_stays(self, nano, module):
        image_ = scene().convert("RGBA")
        alpha = np.full((64, 96), 255, np.uint8)
        alpha[:, :48] = 0
        image_.putalpha(Image.fromarray(alpha))
        grey = read_original(encoded(scene().convert("L"), "PNG"), name="x")
        clear = read_original(encoded(image_, "PNG"), name="x")
        loss = self.toward(torch.nn.functional.normalize(torch.ones(2, nano.space.dim)))
        first, second = perturb(module, loss, [grey, clear], steps=3, strength=3.0, robust=False)

        assert (first[..., 0] == first[..., 2]).all()
        assert np.abs(first).max() > 0.1
        assert np.abs(second[:, :48]).max() < 0.01  # unseen, so no gradient
        assert np.abs(second[:, 48:]).max() > 0.1

    def test_a_module_without_parts_takes_images_one_by_one(self):
        class Whole(torch.nn.Module):
            def forward(self, images):
                return torch.nn.functional.normalize(images.mean((2, 3)), dim=1)

        pictures = [read_original(encoded(scene(size, 40), "PNG"), name="x") for size in (40, 60)]
        changes = perturb(
            Whole(),
            self.toward(torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])),
            pictures,
            steps=3,
            strength=3.0,
            robust=False,
        )

        assert changes[0][..., 0].mean() > 0 > changes[0][..., 2].mean()
        assert changes[1][..., 2].mean() > 0 > changes[1][..., 0].mean()
