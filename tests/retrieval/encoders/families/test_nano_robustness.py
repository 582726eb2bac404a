"""Whatever is encoded by `nano`, wherever: one vector of the stated width, or one line; its files are small and guarded."""

import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tomllib
import zlib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import retrieval
from retrieval.errors import ImageError, QueryError
from tests.retrieval.pictures import scene

VERSIONS = ("nano@1", "nano@2")
PACKAGES = Path(retrieval.__file__).parents[1]
WEIGHTS = PACKAGES / "retrieval/encoders/weights"
FILES = [
    (version, file.name)
    for version in VERSIONS
    for file in sorted((WEIGHTS / version.replace("@", "-")).glob("*.[os]*"))
]
PHOTOGRAPHS = [
    Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    for name in ("astronaut", "chelsea", "coffee", "rocket")
]
PHOTOGRAPH = PHOTOGRAPHS[1]


@pytest.fixture(scope="module", params=VERSIONS)
def nano(request):
    return retrieval.load_encoder(request.param)


def is_vector(rows, nano):
    rows = np.atleast_2d(rows)
    return (
        rows.shape[1] == nano.space.dim
        and np.isfinite(rows).all()
        and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    )


def one_line(error):
    return len(error.splitlines()) == 1 and len(error) <= 400


def answer(call, *asked, **options):
    """Return what a call gives, or the message of the error that says what is wrong with the query."""
    try:
        return call(*asked, **options)
    except (ImageError, QueryError) as error:
        return str(error)


def saved(picture, form, **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def frames(*pictures):
    return saved(pictures[0], "GIF", save_all=True, append_images=pictures[1:], duration=50)


def grey_with_alpha(picture, alpha):
    grey = picture.convert("LA")
    grey.putalpha(alpha)
    return grey


SIXTEEN = Image.fromarray(np.asarray(PHOTOGRAPH.convert("L")).astype(np.uint16) * 257)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (2, 2), (3, 700)])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "LA", "RGBA", "P", "CMYK", "I;16"])
def test_pictures_of_any_shape_and_mode_have_a_vector(nano, size, mode):
    picture = Image.new(mode, size, 1) if mode == "I;16" else scene(*size).convert(mode)
    form = "TIFF" if mode == "CMYK" else "PNG"

    assert is_vector(nano(saved(picture, form)), nano)


@pytest.mark.parametrize(
    ("picture", "like", "least"),
    [
        (saved(SIXTEEN, "PNG"), PHOTOGRAPH.convert("L"), 0.999),
        (saved(SIXTEEN, "TIFF"), PHOTOGRAPH.convert("L"), 0.999),
        (saved(grey_with_alpha(PHOTOGRAPH, 255), "PNG"), PHOTOGRAPH.convert("L"), 0.999),
        (saved(grey_with_alpha(PHOTOGRAPH, 0), "PNG"), Image.new("RGB", PHOTOGRAPH.size, "white"), 0.999),
        (saved(PHOTOGRAPH.convert("CMYK"), "JPEG", quality=95), PHOTOGRAPH, 0.9),
        (frames(*PHOTOGRAPHS[1:]), PHOTOGRAPH, 0.9),
        (saved(PHOTOGRAPH.quantize(255), "PNG"), PHOTOGRAPH, 0.95),
    ],
    ids=["16-bit PNG", "16-bit TIFF", "grey and opaque", "transparent", "CMYK", "animation", "palette"],
)  # fmt: skip
def test_unusual_files_have_the_vector_of_what_they_show(nano, picture, like, least):
    assert nano(picture) @ nano(like) > least


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_truncated_files_have_a_vector_or_one_line(nano, form):
    whole = saved(PHOTOGRAPH.resize((120, 80)), form)
    for kept in (0, 1, 3, 20, len(whole) // 3, len(whole) * 9 // 10, len(whole) - 1):
        found = answer(nano, whole[:kept])

        assert one_line(found) if isinstance(found, str) else kept > 20 and is_vector(found, nano)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_plain_pictures_have_a_vector(nano, level):
    assert is_vector(nano(Image.new("RGB", (90, 60), (level,) * 3)), nano)


TEXTS = [
    "", " ", "a" * 100_000, "word " * 20_000, "🐱", "🐱 cat", "кот", "猫", "قط", "a\nred\r\nbus", "nul\0byte", "\0", "\ud800", "\ufeffdog",
]  # fmt: skip


def test_any_text_has_a_vector(nano):
    rows = nano.encode_text(TEXTS)

    assert is_vector(rows, nano)
    for text, row in zip(TEXTS, rows, strict=True):
        assert nano(text) @ row > 0.9999
    assert nano("a\nred\r\nbus") @ nano("a red bus") > 0.9999


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for number, picture in enumerate(PHOTOGRAPHS):
        picture.save(root / f"{number}.png")
    retrieval.build_index(root, progress=False)
    with retrieval.open(root) as opened:
        yield opened


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:9]))
def test_any_text_is_answered_or_refused_in_one_line(collection, text):
    found = answer(collection.search, text, k=2, names="off")

    assert one_line(found) if isinstance(found, str) else len(found) == 2


def encoded_elsewhere(version, cores):
    """Encode in this process, anew, by so many cores; what a spawned process imports."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    return retrieval.load_encoder(version).encode([*PHOTOGRAPHS, "a cat", "a red bus"])


def test_a_picture_has_one_vector_alone_in_any_batch_and_in_other_processes(nano, monkeypatch):
    items = [*PHOTOGRAPHS, "a cat", "a red bus"]
    expected = np.stack([nano(item) for item in items])
    pixels = np.stack([nano.preprocess(picture) for picture in PHOTOGRAPHS * 8])
    same = {f"batches of {size}": np.concatenate([nano.encode_pixels(pixels[at : at + size]) for at in range(0, 32, size)])[-4:]
            for size in (3, 8, 32)}  # fmt: skip
    with multiprocessing.get_context("fork").Pool(1) as pool:
        same["the same encoder after a fork"] = pool.apply_async(nano.encode, (items,)).get(120)
        same["an encoder of a fork's own"] = pool.apply_async(encoded_elsewhere, (nano.space.name, 1)).get(
            120
        )
    for cores in (1, 2):
        monkeypatch.setenv("OMP_NUM_THREADS", str(cores))
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            same[f"spawned, {cores} cores"] = pool.apply_async(
                encoded_elsewhere, (nano.space.name, cores)
            ).get(120)

    assert is_vector(expected, nano)
    for where, rows in same.items():
        assert (rows * expected[: len(rows)]).sum(1).min() > 0.9999, where


def test_weights_are_small_and_named_by_the_package_data():
    with (PACKAGES / "pyproject.toml").open("rb") as file:
        globs = tomllib.load(file)["tool"]["setuptools"]["package-data"]["retrieval.encoders"]
    for version in VERSIONS:
        files = [file for file in (WEIGHTS / version.replace("@", "-")).rglob("*") if file.is_file()]
        relative = [file.relative_to(PACKAGES / "retrieval/encoders").as_posix() for file in files]

        assert {"card.md", "encoder.json"} < {file.name for file in files}
        assert max(file.stat().st_size for file in files) <= 16e6
        assert sum(len(zlib.compress(file.read_bytes(), 1)) for file in files) <= 21e6
        assert all(
            any(fnmatch(name, glob) and name.count("/") == glob.count("/") for glob in globs)
            for name in relative
        )


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """Return a copy of the packages."""
    root = tmp_path_factory.mktemp("installation")
    for package in ("indexes", "retrieval"):
        shutil.copytree(PACKAGES / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def run(program, installation, *words, cwd):
    return subprocess.run(
        [sys.executable, *program, *words], cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": os.fspath(installation), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_a_read_only_installation_builds_and_answers(installation, tmp_path):
    for number, picture in enumerate(PHOTOGRAPHS):
        picture.save(tmp_path / f"{number}.png")
    paths = [installation, *sorted(installation.rglob("*"))]
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = [path.stat().st_mtime_ns for path in paths]
    try:
        built = run(["-m", "retrieval"], installation, "build-index", ".", cwd=tmp_path)
        found = run(["-m", "retrieval"], installation, "query", "a cat", "-k", "1", cwd=tmp_path)
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)

    assert (built.returncode, found.returncode) == (0, 0), built.stderr + found.stderr
    assert found.stdout.endswith("\t1.png\n")
    # Root may write all the same: then this tells.
    assert [installation, *sorted(installation.rglob("*"))] == paths
    assert [path.stat().st_mtime_ns for path in paths] == before


DAMAGE = """
import json, os, sys
from pathlib import Path

import retrieval
from PIL import Image
from retrieval.errors import RetrievalError

def use(version):
    nano = retrieval.load_encoder(version)
    nano([Image.new("RGB", (9, 9)), "a dog"])
    if version != "nano@1":
        nano.maps_back(retrieval.load_encoder("nano@1").space)

for version, name in json.loads(sys.argv[1]):
    file = Path(retrieval.__file__).parent / "encoders/weights" / version.replace("@", "-") / name
    raw = file.read_bytes()
    changed = bytearray(raw)
    changed[len(raw) * 2 // 3] ^= 1
    for damage, data in {"whole": raw, "changed": changed, "cut": raw[:-1], "longer": raw + b"x", "empty": b"", "missing": None}.items():
        file.unlink()
        if data is not None:
            file.write_bytes(data)
        if not os.fork():
            try:
                use(version)
                said = None
            except RetrievalError as error:
                said = str(error)
            except BaseException as error:
                said = f"no error of ours: {error!r}"
            print(json.dumps([version, name, damage, said]), flush=True)
            os._exit(0)
        os.wait()
    file.write_bytes(raw)
"""


@pytest.fixture(scope="module")
def refusals(installation, tmp_path_factory):
    """Return what is said of each file of weights, damaged in each way; None where nothing is."""
    done = run(["-c", DAMAGE], installation, json.dumps(FILES), cwd=tmp_path_factory.mktemp("empty"))
    assert done.returncode == 0, done.stderr
    return {
        (version, name, damage): said
        for version, name, damage, said in map(json.loads, done.stdout.splitlines())
    }


@pytest.mark.parametrize("damage", ["changed", "cut", "longer", "empty", "missing"])
@pytest.mark.parametrize(("version", "name"), FILES)
def test_damaged_weights_are_refused_in_one_line_that_names_the_file(refusals, version, name, damage):
    said = refusals[version, name, damage]

    assert refusals[version, name, "whole"] is None
    assert said is not None, "the weights are taken as they are"
    assert name in said
    assert not said.startswith("no error of ours")
    assert one_line(said)
