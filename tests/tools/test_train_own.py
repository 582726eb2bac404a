"""Training on one's own images with any encoder as the teacher: the student finds what the teacher finds, and reads words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="export needs onnx")
pytest.importorskip("safetensors", reason="export needs safetensors")

import retrieval  # noqa: E402
from retrieval.encoders.families.nano import NanoEncoder  # noqa: E402
from tools.train_nano import own  # noqa: E402
from tools.train_nano.inputs.data import Photo  # noqa: E402
from tools.train_nano.tower.train import Recipe, Run  # noqa: E402
from tools.train_nano.words.text import TextRecipe  # noqa: E402

STEPS = 20
COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other within a small product take many times as long on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Teacher:
    """Sees the mean colour, and reads the names of three."""

    space = retrieval.Space(name="mean-colour", dim=4, fingerprint=retrieval.fingerprint("mean colour", 1))
    calls = 0

    def preprocess(self, image):
        return np.asarray(image.convert("RGB"), np.float32).mean((0, 1)) / 255

    def encode_pixels(self, batch):
        type(self).calls += 1
        rows = np.hstack([batch, np.full((len(batch), 1), 0.1, np.float32)]).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_text(self, texts):
        said = [next((rgb for name, rgb in COLOURS.items() if name in text), (90, 90, 90)) for text in texts]
        return self.encode_pixels(np.array(said, np.float32) / 255)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, numbers = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(60):
        colour = list(COLOURS.values())[i % 3]
        picture = np.clip(np.array(colour) + numbers.normal(0, 25, (24, 30, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{i:02}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_a_student_of_any_teacher_finds_what_it_finds(images, tmp_path, monkeypatch):
    ticks = itertools.count()  # a second a step: what is learned must not depend on the machine
    monkeypatch.setattr(Run, "_clock", lambda _: next(ticks))
    texts = tmp_path / "texts.txt"
    texts.write_text("red\ngreen\nblue\n\ngrey\n")
    recipe = Recipe(
        minutes=STEPS / 60, batch=16, part=8, workers=1, bank=32, warm_steps=2, views=0.0, places=0.0, asked=0.0, sizes=((1.0, 32),),
        ramp=(0.0, 0.1),
    )  # fmt: skip
    words = TextRecipe(steps=25, batch=16, rate=1e-2)
    result = own.train_own(
        images, Teacher(), tmp_path / "run", recipe, wordnet=tmp_path, texts=texts, words=words, note=lambda _: None
    )  # fmt: skip

    assert result["images"] == 60
    assert result["first_10"] > 0.4  # ten of about fifty: 0.2 by chance
    student = NanoEncoder(tmp_path / "run" / "encoder", threads=1)
    assert (student.space.name, student.space.dim) == ("nano-of-mean-colour", 256)
    assert student(images / "00.png").shape == student("red").shape == (256,)
    calls = Teacher.calls
    again = own.train_own(
        images, Teacher(), tmp_path / "run", recipe, wordnet=tmp_path, texts=texts, words=words, note=lambda _: None
    )  # fmt: skip
    assert again["samples"] == result["samples"]
    assert Teacher.calls == calls + 1  # the texts: the images are known


def test_words_go_where_the_teacher_sees_them():
    numbers = np.random.default_rng(0)
    teacher = Teacher()
    rows = teacher.encode_pixels(numbers.random((40, 3)).astype(np.float32))
    mean, axes = own.principal(rows, dim=8)
    placed = (rows - mean) @ axes
    said = own.own_texts(teacher, list(COLOURS), axes, placed, prompt="a photo of {}")

    assert axes.shape == (4, 8)
    np.testing.assert_allclose(axes[:, 4:], 0)
    spread = placed.std(0)
    assert (np.diff(spread[:4]) <= 1e-6).all()  # the widest first
    assert said.targets.shape == (3, 7)
    reddest = int(said.caption_text[rows[:, 0].argmax()])
    assert said.texts[reddest].text == "red"
    assert said.caption_image.tolist() == list(range(40))


def test_agreement_is_with_the_teachers_nearest():
    teacher = np.eye(6, dtype=np.float32)[[0, 1, 2, 0, 1]]
    gallery, asked = np.array([0, 1, 2]), np.array([3, 4])

    assert own.agreement(teacher, teacher, gallery, asked) == {"first": 1.0, "first_10": 1.0}
    wrong = teacher[[1, 2, 0, 3, 4]]
    assert own.agreement(wrong, teacher, gallery, asked)["first"] == 0.0


def test_too_few_images_are_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match="holds 1 images; training needs 32"):
        own.own_photos(tmp_path)


def test_images_are_split_by_their_names(images):
    photos = own.own_photos(images)

    assert len(photos) == 60
    assert {photo.split for photo in photos} == {"train", "held"}
    assert all(isinstance(photo, Photo) and photo.file.endswith(".png") for photo in photos)
