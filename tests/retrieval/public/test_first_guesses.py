"""What people type first, who know numpy, Pillow, FAISS, sentence-transformers, LanceDB, pandas or torch.

Each line of a list is one test: what is typed, as it is typed, and what it must give. Either it works, with the meaning
that its author expects, or it fails with one sentence that says what to type instead, and nothing has changed.

Long because it is a list.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import copy
import io
import json
import multiprocessing
import os
import pickle
import re
import shutil
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.errors import RetrievalError, StoreClosed
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill

ENCODER = FakeEncoder(nesting=(32,))
DIM = ENCODER.space.dim
PLAIN = {
    "2019/red.png": "red",
    "2019/green.png": "green",
    "2020/blue.png": "blue",
    "2020/deep/yellow.png": "yellow",
    "<b>odd&.png": "purple",
}
PICTURES = [f"more/{number}.png" for number in range(12)]
COPY = "2020/red again.png"  # the bytes of 2019/red.png
NUMBER = len(PLAIN) + len(PICTURES) + 1
WIDTH = retrieval.load_encoder("nano", device="cpu").space.dim
RGB = {
    "red": (255, 0, 0),
    "green": (0, 160, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "purple": (128, 0, 128),
}


def plain(colour: str) -> Image.Image:
    return Image.new("RGB", (48, 32), RGB[colour])


def as_bytes(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def random_vectors(count: int, *, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# What stands in the lines: a name is a fixture of that name, or a module.


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = fill(tmp_path_factory.mktemp("guesses") / "photos", PICTURES)
    for name, colour in PLAIN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        plain(colour).save(folder / name)
    shutil.copy(folder / "2019/red.png", folder / COPY)
    retrieval.build_index(folder, encoder=ENCODER)
    return folder


@pytest.fixture
def folder(built, tmp_path, monkeypatch):
    """The images and their index; the working directory is elsewhere, and holds files with names like words."""
    here = tmp_path / "here"
    (here / "a").mkdir(parents=True)
    for name in ("blue", "cats.jpg", "a/b"):
        plain("yellow").save(here / name, format="PNG")
    monkeypatch.chdir(here)
    return built


@pytest.fixture
def photos(folder):
    with retrieval.open(folder, encoder=ENCODER) as opened:
        yield opened


@pytest.fixture
def own(built, tmp_path):
    """A copy of the collection of images, to be written to."""
    shutil.copytree(built, tmp_path / "own")
    with retrieval.open(tmp_path / "own", encoder=ENCODER) as opened:
        yield opened


@pytest.fixture
def mine(tmp_path, vectors):
    """Five rows by hand, with the keys a to e."""
    with retrieval.create(tmp_path / "mine", dim=DIM) as made:
        made.add(vectors, keys=list("abcde"))
        yield made


@pytest.fixture
def album(tmp_path):
    """An empty collection that has an encoder."""
    with retrieval.create(tmp_path / "album", encoder=ENCODER) as made:
        yield made


@pytest.fixture
def empty(tmp_path):
    with retrieval.create(tmp_path / "empty", dim=DIM) as made:
        yield made


@pytest.fixture
def vectors():
    return random_vectors(5)


@pytest.fixture
def more():
    return random_vectors(3, seed=1)


@pytest.fixture
def v(photos):
    """The stored vector of the plain red image."""
    return ENCODER.encode_text(["red"])[0]


@pytest.fixture
def img():
    return plain("red")


@pytest.fixture
def hits(photos):
    return photos.search("red", k=4)


@pytest.fixture
def hit(hits):
    return hits[0]


@pytest.fixture
def neighbors(photos, v):
    return photos.search_vectors(np.stack([v, -v]), k=5)


@pytest.fixture
def mask(photos):
    flags = np.zeros(NUMBER, dtype=bool)
    flags[[2, 5]] = True
    return flags


@pytest.fixture
def new(tmp_path):
    """A folder that is not there yet."""
    return tmp_path / "new"


@pytest.fixture
def nano():
    return retrieval.load_encoder("nano", device="cpu")


@pytest.fixture
def pd():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pandas", reason="pandas is not installed")


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


MODULES = {
    "asyncio": asyncio,
    "copy": copy,
    "io": io,
    "json": json,
    "np": np,
    "pickle": pickle,
    "retrieval": retrieval,
    "Image": Image,
    "Path": Path,
    "FakeEncoder": FakeEncoder,
    "ENCODER": ENCODER,
    "as_bytes": as_bytes,
}


def typed(code, request):
    """Run what was typed; return the value of the last expression and what the names stood for."""
    tree = ast.parse(code)
    known = dict(MODULES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in known and node.id in FIXTURES:
            known[node.id] = request.getfixturevalue(node.id)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<typed>", "exec"), known)  # noqa: S102 - the lists are code
    if last is None:
        return None, known
    return eval(compile(ast.Expression(last.value), "<typed>", "eval"), known), known  # noqa: S307


FIXTURES = {
    *("album", "empty", "folder", "hit", "hits", "img", "mask", "mine", "more", "nano", "neighbors", "new"),
    *("own", "pd", "photos", "torch", "v", "vectors"),
}


# What a line must give: a value, or a check of it.


def finds(path, *, score=1.0):
    """The best hit is this image, with this cosine."""

    def check(found):
        assert found[0].path == path
        assert found[0].score == pytest.approx(score, abs=2e-3)
        assert found[0].score <= 1
        assert [hit.rank for hit in found] == list(range(1, len(found) + 1))

    return check


def each(*checks):
    """A list of as many answers, in the order of the queries."""

    def check(found):
        assert isinstance(found, list)
        assert len(found) == len(checks)
        for answer, inner in zip(found, checks, strict=True):
            inner(answer)

    return check


def near(expected, *, tolerance=2e-3):
    """An array of that shape and those values, up to the rounding of halves."""

    def check(found):
        assert np.shape(found) == np.shape(expected)
        assert np.asarray(found, dtype=np.float64) == pytest.approx(np.asarray(expected), abs=tolerance)

    return check


def kind(*types):
    def check(found):
        assert isinstance(found, types)
        assert found

    return check


def text_with(*words):
    def check(found):
        assert isinstance(found, str)
        for word in words:
            assert word in found

    return check


def shown(*words, without=()):
    """HTML for a notebook: small, with these words, and with none of those."""

    def check(found):
        assert len(found) <= 200_000
        assert "<" in found
        for word in words:
            assert word in found
        for word in without:
            assert word not in found

    return check


def no_rows():
    def check(found):
        assert len(found) == 0

    return check


def best(path):
    return lambda found: found[0].path == path


def meets(expected, found):
    """A check has asserted, or answers whether it is met; anything else is the value itself."""
    if callable(expected):
        assert expected(found) in {None, True}, f"not {found!r}"
    else:
        assert found == expected


# One sentence that says what to type.

BUILTINS = (TypeError, ValueError, AttributeError, LookupError, ImportError, FileNotFoundError)


def says(error, *words):
    """It is an error of ours or one that fits; one line; it names what to type."""
    assert isinstance(error, (RetrievalError, *BUILTINS))
    message = str(error)
    assert message.strip()
    assert "\n" not in message
    assert "--" not in message, "the library advises options of the command line"
    for word in words:
        found = any(part in message or f"`{part.rstrip('=')}`" in message for part in word.split("|"))
        assert found, f"{message!r} does not say {word!r}"


def contents(known):
    """What the collections that a line names hold."""
    found = {}
    for name in ("photos", "own", "mine", "album", "empty"):
        with contextlib.suppress(KeyError, StoreClosed):
            found[name] = sorted(known[name].keys())
    return found


def fails(code, request, *words):
    """Run a line that must fail, with a sentence, and change nothing."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and node.id in FIXTURES:
            request.getfixturevalue(node.id)
    known = {name: request.getfixturevalue(name) for name in FIXTURES if re.search(rf"\b{name}\b", code)}
    before = contents(known)
    with pytest.raises((RetrievalError, *BUILTINS)) as caught:
        typed(code, request)

    says(caught.value, *words)
    after = contents(known)
    assert after == {name: before[name] for name in after}


# fmt: off
WORKS = [
    # open, and what a collection is
    ("c = retrieval.open(folder); c.close(); c.search_vectors", callable),
    ("len(photos)", NUMBER),
    ("bool(photos)", True),
    ("repr(photos)", text_with("photos", str(NUMBER))),
    ("with retrieval.open(folder) as c: n = len(c)\nn", NUMBER),
    ("with photos: n = len(photos)\nphotos.close(); photos.close(); n", NUMBER),
    ("a = retrieval.open(folder); b = retrieval.open(str(folder)); n = len(a), len(b); a.close(); b.close(); n", (NUMBER, NUMBER)),
    ("retrieval.open(folder / '2019').directory.name", ".retrieve"),
    ("retrieval.__version__", kind(str)),
    # a query of each kind
    ("photos.search('red')", finds("2019/red.png")),
    ("photos.search('blue')", finds("2020/blue.png")),
    ("photos.search('red', k=3)", lambda found: len(found) == 3),
    ("len(photos.search('red', k=3))", 3),
    ("len(photos.search('red'))", 10),
    ("photos.search(img)", finds("2019/red.png")),
    ("photos.search(img.convert('RGBA'))", finds("2019/red.png")),
    ("photos.search(img.convert('P'))", finds("2019/red.png")),
    ("photos.search(img.convert('L'))", lambda found: len(found) == 10),
    ("photos.search(np.asarray(img))", finds("2019/red.png")),
    ("photos.search(np.asarray(img.convert('RGBA')))", finds("2019/red.png")),
    ("[hit.id for hit in photos.search(np.asarray(img.convert('L')))] == [hit.id for hit in photos.search(img.convert('L'))]", True),
    ("photos.search(as_bytes(img))", finds("2019/red.png")),
    ("photos.search(bytearray(as_bytes(img)))", finds("2019/red.png")),
    ("photos.search(memoryview(as_bytes(img)))", finds("2019/red.png")),
    ("photos.search(io.BytesIO(as_bytes(img)))", finds("2019/red.png")),
    ("with open(folder / '2020/blue.png', 'rb') as file: found = photos.search(file)\nfound", finds("2020/blue.png")),
    ("img.save('outside.png'); photos.search(Path('outside.png'))", finds("2019/red.png")),
    ("photos.search(folder / '2019/green.png', include_self=True)", finds("2019/green.png")),
    ("'2019/green.png' in [hit.path for hit in photos.search(folder / '2019/green.png', k=100)]", False),
    ("photos.search(photos.id_of('2020/blue.png'), include_self=True)", finds("2020/blue.png")),
    ("photos.search(np.int64(3)) == photos.search(3)", True),
    ("3 in [hit.id for hit in photos.search(3, k=100)]", False),
    ("photos.search(v)", finds("2019/red.png")),
    ("photos.search(v[None])", finds("2019/red.png")),
    ("photos.search(v.reshape(1, -1))", finds("2019/red.png")),
    ("photos.search(v.astype(np.float16))", finds("2019/red.png")),
    ("photos.search(v.astype(np.float64) * 7)", finds("2019/red.png")),
    ("photos.search(torch.from_numpy(v))", finds("2019/red.png")),
    ("photos.search(torch.from_numpy(v)[None])", finds("2019/red.png")),
    ("photos.search(torch.from_numpy(v).half().requires_grad_())", finds("2019/red.png")),
    ("photos.search(v.tolist())", finds("2019/red.png")),
    # a list is a batch
    ("photos.search(['red', 'blue'])", each(finds("2019/red.png"), finds("2020/blue.png"))),
    ("photos.search(('red', 'blue'))", each(finds("2019/red.png"), finds("2020/blue.png"))),
    ("photos.search([img, img])", each(finds("2019/red.png"), finds("2019/red.png"))),
    ("photos.search(['blue'])", each(finds("2020/blue.png"))),
    ("photos.search([img, 'blue', v, folder / '2019/green.png'], include_self=True, k=1)", each(finds("2019/red.png"), finds("2020/blue.png"), finds("2019/red.png"), finds("2019/green.png"))),
    ("photos.search(np.stack([v, ENCODER.encode_text(['blue'])[0]]))", each(finds("2019/red.png"), finds("2020/blue.png"))),
    ("photos.search(np.stack([np.asarray(img), np.asarray(img)]))", each(finds("2019/red.png"), finds("2019/red.png"))),
    ("photos.search([v, v])", each(finds("2019/red.png"), finds("2019/red.png"))),
    ("photos.search(torch.from_numpy(np.stack([v, v])))", each(finds("2019/red.png"), finds("2019/red.png"))),
    ("photos.search(sorted(folder.glob('2019/*.png')), include_self=True, k=1)", each(finds("2019/green.png"), finds("2019/red.png"))),
    ("photos.search([])", []),
    ("photos.search(np.empty((0, 64), dtype=np.float32))", []),
    ("[len(answer) for answer in photos.search(['red', 'blue'], k=2, under='2020')]", [2, 2]),
    ("photos.search(['red', Path('missing.jpg'), 'blue'])[0]", finds("2019/red.png")),
    ("photos.search(['red', Path('missing.jpg'), 'blue'])[2]", finds("2020/blue.png")),
    ("photos.search(['red', Path('missing.jpg'), 'blue'])[0].error", None),
    ("str(photos.search(['red', Path('missing.jpg')])[1].error)", text_with("missing.jpg")),
    ("str(photos.search(['red', b'no image'])[1].error)", kind(str)),
    # words of strangers never open a file
    *(
        (
            f"[hit.id for hit in photos.search({words!r})] == [hit.id for hit in photos.search(retrieval.text({words!r}))]",
            True,
        )
        for words in (
            "cats.jpg",
            "/etc/hosts",
            "a/b",
            "../guesses",
            "file:///etc/hosts",
            "2:cat",
            "-blue",
            "2019/red.png",
        )
    ),
    ("photos.search('blue')[0].path", "2020/blue.png"),  # a file of that name holds a yellow image
    # algebra
    ("type(retrieval.image(img) + 0.5 * retrieval.text('at night') - retrieval.text('people'))", lambda found: found is retrieval.Query),
    ("photos.search(retrieval.image(img) + 0.5 * retrieval.text('at night') - retrieval.text('people'))", best("2019/red.png")),
    ("photos.search(retrieval.text('red') + 'blue') == photos.search(retrieval.text('red') + retrieval.text('blue'))", True),
    ("photos.search('red' + retrieval.text('blue')) == photos.search(retrieval.text('red') + retrieval.text('blue'))", True),
    ("photos.search(0.5 * retrieval.text('red'))", finds("2019/red.png")),
    ("photos.search(retrieval.text('red') * 2 / 4)", finds("2019/red.png")),
    ("photos.search(retrieval.text('red') + retrieval.text('blue') - retrieval.text('blue'))", finds("2019/red.png")),
    ("photos.search(sum([retrieval.text('red'), retrieval.text('red')]))", finds("2019/red.png")),
    ("photos.search(-retrieval.text('red'), k=100)[-1].path", "2019/red.png"),
    ("photos.search(retrieval.vector(v))", finds("2019/red.png")),
    ("photos.search(retrieval.row(photos.id_of('2020/blue.png')), include_self=True)", finds("2020/blue.png")),
    ("photos.search(retrieval.text('red', weight=2))", finds("2019/red.png")),
    ("photos.search([retrieval.text('red'), retrieval.text('blue')])", each(finds("2019/red.png"), finds("2020/blue.png"))),
    ("photos.search(retrieval.text('red') + retrieval.text('blue'), k=3, minus='blue')", best("2019/red.png")),
    ("photos.encode('red')", near(ENCODER.encode_text(["red"]))),
    # vectors straight to the index
    ("ids, scores = photos.search_vectors(v, k=5); ids.shape, scores.shape", ((1, 5), (1, 5))),
    ("ids, scores = photos.search_vectors(np.stack([v, v]), k=5); photos.key_of(ids[1, 0])", "2019/red.png"),
    ("ids, scores = photos.search_vectors(v, k=5); float(scores[0, 0])", pytest.approx(1, abs=2e-3)),
    ("photos.search_vectors(v, k=5).ids.dtype", np.dtype("int64")),
    ("photos.search_vectors(torch.from_numpy(v), k=5).ids.shape", (1, 5)),
    ("photos.search_vectors(v.tolist(), k=5).ids.shape", (1, 5)),
    ("ids, scores = neighbors[1]; ids.shape", (5,)),
    ("len(neighbors)", 2),
    ("pd.DataFrame(neighbors).shape[0]", 10),
    ("sorted({'id', 'score'} & set(pd.DataFrame(neighbors).columns))", ["id", "score"]),
    ("pickle.loads(pickle.dumps(neighbors)).ids.tolist() == neighbors.ids.tolist()", True),
    # k
    ("len(photos.search('red', k=np.int64(5)))", 5),
    ("photos.search_vectors(v, k=np.int64(5)).ids.shape", (1, 5)),
    ("len(photos.search('red', k=10**9))", NUMBER - 1),
    ("len(photos.search('red', k=10**9, fold_duplicates=False))", NUMBER),
    ("photos.search('red', k=1)", finds("2019/red.png")),
    # one way to filter
    ("rows = photos.search('red', under='2020', k=100); sorted(hit.path for hit in rows)", ["2020/blue.png", "2020/deep/yellow.png", COPY]),
    ("[hit.path for hit in photos.search('red', under=Path('2019'), k=100)]", ["2019/red.png", "2019/green.png"]),
    ("[hit.path for hit in photos.search('red', under='2019/', k=100)]", ["2019/red.png", "2019/green.png"]),
    ("sorted(hit.path for hit in photos.search('red', glob='*/*.png', under='2020', k=100))", ["2020/blue.png", COPY]),
    ("sorted(hit.id for hit in photos.search('red', ids=[1, 2]))", [1, 2]),
    ("sorted(hit.id for hit in photos.search('red', ids=np.array([1, 2])))", [1, 2]),
    ("sorted(hit.id for hit in photos.search('red', ids=range(1, 3)))", [1, 2]),
    ("sorted(hit.id for hit in photos.search('red', ids={1, 2}))", [1, 2]),
    ("len(photos.search('red', ids=[]))", 0),
    ("sorted(hit.id for hit in photos.search('red', mask=mask))", [2, 5]),
    ("sorted(hit.id for hit in photos.search('red', mask=mask, ids=[5, 6]))", [5]),
    ("sorted(photos.search_vectors(v, k=2, mask=mask).ids[0].tolist())", [2, 5]),
    ("sorted(photos.search_vectors(v, k=2, ids=[1, 2]).ids[0].tolist())", [1, 2]),
    ("sorted(photos.key_of(i) for i in photos.search_vectors(v, k=2, under='2019').ids[0])", ["2019/green.png", "2019/red.png"]),
    ("sorted(photos.key_of(i) for i in photos.search_vectors(v, k=2, glob='2019/*').ids[0])", ["2019/green.png", "2019/red.png"]),
    ("photos.mask(under='2019').dtype, photos.mask(under='2019').sum()", (np.dtype(bool), 2)),
    ("photos.mask(ids=[1, 2]).nonzero()[0].tolist()", [1, 2]),
    ("photos.mask(glob='2020/**', ids=range(100)[:18]).sum()", 3),
    ("photos.mask().sum()", NUMBER),
    ("sorted(hit.id for hit in photos.search('red', mask=photos.mask(under='2019') & ~photos.mask(glob='**/red*')))", lambda found: len(found) == 1),
    ("sorted(hit.id for hit in photos.search(['red', 'blue'], mask=mask)[1])", [2, 5]),
    # looking around
    ("sorted(key for key in photos)", sorted([*PLAIN, *PICTURES, COPY])),
    ("sorted(photos.keys())", sorted([*PLAIN, *PICTURES, COPY])),
    ("list(photos) == list(photos.keys())", True),
    ("[photos.key_of(i) for i in range(len(photos))] == list(photos.keys())", True),
    ("'2019/red.png' in photos, 'nope.png' in photos, b'2019/red.png' in photos", (True, False, True)),
    ("3 in photos, 999 in photos, -1 in photos", (True, False, False)),
    ("photos.key_of(photos.id_of('2019/red.png'))", "2019/red.png"),
    ("photos.id_of(b'2019/red.png') == photos.id_of('2019/red.png')", True),
    ("photos.key_of(np.int64(0)) == photos.key_of(0)", True),
    # their vectors
    ("photos.vectors().shape", (NUMBER, DIM)),
    ("photos.vectors().dtype", np.dtype("float32")),
    ("photos.vectors([1, 2]).shape", (2, DIM)),
    ("bool((photos.vectors([2, 1]) == photos.vectors()[[2, 1]]).all())", True),
    ("bool((photos.vectors(mask) == photos.vectors([2, 5])).all())", True),
    ("photos.vectors(['2019/red.png'])", near(ENCODER.encode_text(["red"]))),
    ("photos.vectors('2019/red.png')", near(ENCODER.encode_text(["red"]))),
    ("photos.vectors(['2020/blue.png', '2019/red.png'])", near(ENCODER.encode_text(["blue", "red"]))),
    ("photos.vectors(list(photos.keys())).shape", (NUMBER, DIM)),
    ("photos.vectors([]).shape", (0, DIM)),
    ("bool(np.allclose(np.linalg.norm(photos.vectors(), axis=1), 1, atol=1e-3))", True),
    ("torch.from_numpy(photos.vectors()).shape[1]", DIM),
    ("rows, keys = photos.export(); rows.shape, isinstance(keys[0], str), len(keys)", ((NUMBER, DIM), True, NUMBER)),
    # hits
    ("hit.path", "2019/red.png"),
    ("hit.rank, hit.id == 0 or hit.id > 0", (1, True)),
    ("hit.score <= 1", True),
    ("hit.file == (folder / '2019/red.png').resolve() and hit.file.is_absolute()", True),
    ("hit.file.is_file()", True),
    ("hit.open().mode, hit.open().size", ("RGB", (48, 32))),
    ("hit.open().getpixel((5, 5))", (255, 0, 0)),
    ("hit.n_duplicates, list(hit.duplicates)", (1, [COPY])),
    ("sorted(hit.columns)", ["bytes", "height", "width"]),
    ("hit.link", lambda found: found is None or isinstance(found, str)),
    ("json.loads(json.dumps(hit))['path']", "2019/red.png"),
    ("json.loads(json.dumps(hits))[0]['n_duplicates']", 1),
    ("[row['path'] for row in json.loads(json.dumps(hits))] == [hit.path for hit in hits]", True),
    ("json.loads(json.dumps({'hits': hits}))['hits'][0]['rank']", 1),
    ("json.loads(json.dumps(photos.search(['red', 'blue'])))[1][0]['path']", "2020/blue.png"),
    ("dict(hit)['path'], dict(hit)['score'] == hit.score", ("2019/red.png", True)),
    ("hits.to_dicts()[0]['path']", "2019/red.png"),
    ("list(pd.DataFrame(hits)['path']) == [hit.path for hit in hits]", True),
    ("pd.DataFrame(hits)['score'].is_monotonic_decreasing", True),
    ("hits.to_pandas().shape[0]", 4),
    ("photos.search('red').to_pandas()['path'][0]", "2019/red.png"),
    ("pickle.loads(pickle.dumps(hits)) == hits", True),
    ("copy.deepcopy(hit) == hit", True),
    ("[hit.path for hit in hits][0]", "2019/red.png"),
    ("hits[-1].rank, len(hits[:2]), bool(hits), len(list(reversed(hits)))", (4, 2, True, 4)),
    ("bool(photos.search('red', ids=[]))", False),
    ("{hit for hit in hits} and len(set(hits))", 4),
    ("photos.search('red zzyzx').unknown_words", ()),
    ("hits.error", None),
    # the last line of a cell
    ("hits._repr_html_()", shown("<img", "red.png")),
    ("photos.search('purple')._repr_html_()", shown("&lt;b&gt;odd&amp;.png", without=("<b>odd",))),
    ("hit._repr_html_()", shown("<img", "red.png")),
    ("photos._repr_html_()", shown(str(NUMBER))),
    ("photos.search(['red', 'blue'])[1]._repr_html_()", shown("<img", "blue.png")),
    ("retrieval.build_index(folder, encoder=ENCODER)._repr_html_()", shown(str(NUMBER))),
    ("neighbors._repr_html_()", shown("1.0")),
    ("retrieval.evaluate(photos)._repr_html_()", shown("recall")),
    ("photos.search('red', ids=[])._repr_html_()", shown()),
    # rows by hand
    ("retrieval.create(new, dim=64)", no_rows()),
    ("retrieval.create(new, dim=np.int64(64)).space.dim", 64),
    ("retrieval.create(str(new), dim=64).space.dim", 64),
    ("c = retrieval.create(new, dim=64); c.search_vectors(np.ones(64), k=3).ids.tolist()", [[-1, -1, -1]]),
    ("c = retrieval.create(new, dim=64); len(c.search(np.ones(64)))", 0),
    ("retrieval.create(new, encoder=ENCODER).space == ENCODER.space", True),
    ("mine.add(more).tolist()", [5, 6, 7]),
    ("mine.add(more); len(mine), list(mine.keys())", (8, ["a", "b", "c", "d", "e", "5", "6", "7"])),
    ("mine.add(more); mine.search(more[1])[0].path", "6"),
    ("mine.add(more); float(mine.search_vectors(more[1], k=1).scores[0, 0])", pytest.approx(1, abs=1e-3)),
    ("mine.add(more, keys=['x', 'y', 'z']); mine.search(more[2])[0].path", "z"),
    ("mine.add(more, keys=[b'x', b'y', b'z']); list(mine)[5:]", ["x", "y", "z"]),
    ("mine.add(more, ['x', 'y', 'z']); mine.id_of('y')", 6),
    ("empty.add(np.random.default_rng(0).standard_normal((500, 64)), keys=range(500)); empty.id_of('499')", 499),
    ("empty.add(np.random.default_rng(0).standard_normal((500, 64)), keys=np.arange(500)); empty.key_of(7)", "7"),
    ("empty.add(np.random.default_rng(0).standard_normal((500, 64))); empty.key_of(7)", "7"),
    ("empty.add(vectors, keys=(f'item {i}' for i in range(5))); list(empty)[4]", "item 4"),
    ("empty.add(vectors, keys=pd.Series(list('abcde'))); list(empty)", list("abcde")),
    ("empty.add(vectors, keys=np.array(list('abcde'))); list(empty)", list("abcde")),
    ("mine.add(np.ones(64)).tolist()", [5]),
    ("mine.add(np.ones(64), keys=['one']); 'one' in mine", True),
    ("mine.add(more.tolist()).tolist()", [5, 6, 7]),
    ("mine.add(more.astype(np.float16)).tolist()", [5, 6, 7]),
    ("mine.add(torch.from_numpy(more)).tolist()", [5, 6, 7]),
    ("mine.add([more[0], more[1]]).tolist()", [5, 6]),
    ("mine.add(np.empty((0, 64))).tolist(), len(mine)", ([], 5)),
    ("mine.add([]).tolist(), len(mine)", ([], 5)),
    ("mine.upsert(more[:1], keys=['a']); len(mine), mine.search(more[0])[0].path", (5, "a")),
    ("mine.upsert(more, keys=['a', 'x', 'y']); sorted(mine)", ["a", "b", "c", "d", "e", "x", "y"]),
    ("mine.upsert(more[0], ['a']); mine.vectors('a').shape", (1, 64)),
    ("mine.upsert(more[:1], keys=['a']); mine.vectors(['b', 'a']).shape", (2, 64)),
    ("mine.delete(keys=['a', 'c']); list(mine)", ["b", "d", "e"]),
    ("mine.delete('a'); list(mine)", ["b", "c", "d", "e"]),
    ("mine.delete(['a']); list(mine)", ["b", "c", "d", "e"]),
    ("mine.delete(keys=b'a'); list(mine)", ["b", "c", "d", "e"]),
    ("mine.delete(ids=3); list(mine)", ["a", "b", "c", "e"]),
    ("mine.delete(ids=[3, 4]); list(mine)", ["a", "b", "c"]),
    ("mine.delete(ids=np.array([0])); list(mine)", ["b", "c", "d", "e"]),
    ("mine.delete(ids=[]); len(mine)", 5),
    ("mine.delete(list(mine.keys())); len(mine), len(mine.search(np.ones(64)))", (0, 0)),
    ("mine.delete('a'); mine.add(np.ones(64), keys=['a']); mine.id_of('a')", 5),
    ("empty.add(vectors); empty.delete(keys=3); list(empty)", ["0", "1", "2", "4"]),
    ("with mine.writer() as writer: writer.add(more)\nlen(mine)", 8),
    ("with mine.writer() as writer:\n for number in range(3): writer.add(more[number], keys=[f'n{number}'])\nlist(mine)[5:]", ["n0", "n1", "n2"]),
    ("with mine.writer() as writer: writer.upsert(more[:1], keys=['a']); writer.delete(keys=['b'])\nsorted(mine)", ["a", "c", "d", "e"]),
    ("album.add_images([img]); album.search('red')[0].score", pytest.approx(1, abs=2e-3)),
    ("album.add_images([img], keys=['mine']); album.search('red')[0].path", "mine"),
    ("album.add_images([as_bytes(img), np.asarray(img)]).tolist()", [0, 1]),
    ("album.add_images([folder / '2019/red.png', folder / '2020/blue.png'], keys=['r', 'b']); album.search('blue')[0].path", "b"),
    ("album.add_images(sorted(folder.glob('2019/*.png'))); len(album)", 2),
    ("album.add_images([]).tolist()", []),
    ("own.add_images([img], keys=['by hand']); own.search('red', fold_duplicates=False, k=3)[2].path", "by hand"),
    ("own.add(more, keys=['x', 'y', 'z']); retrieval.build_index(own.root, encoder=ENCODER); own.refresh(); sorted(set('xyz') & set(own))", ["x", "y", "z"]),
    ("own.add(more); len(own), own.search(more[1])[0].path", (NUMBER + 3, str(NUMBER + 1))),
    ("mine.sync_vectors(vectors, list('abcde')); list(mine)", list("abcde")),
    ("mine.sync_vectors(more, ['a', 'x', 'y'], prune=True); sorted(mine)", ["a", "x", "y"]),
    ("mine.add(more, keys=['x', 'y', 'z'], timeout=1.0); len(mine)", 8),
    ("retrieval.sync_vectors(new, vectors, list('abcde')).added", 5),
    ("retrieval.sync_vectors(new, vectors, range(5)); retrieval.open(new).key_of(4)", "4"),
    # lifecycles
    ("pickle.loads(pickle.dumps(photos)).search('red')", finds("2019/red.png")),
    ("copy.copy(photos).search('red')", finds("2019/red.png")),
    ("copy.deepcopy(photos).search('red')", finds("2019/red.png")),
    ("photos.refresh()", False),
    ("asyncio.run(asyncio.to_thread(photos.search, 'red'))", finds("2019/red.png")),
    # encoders
    ("nano.encode_text(['a dog']).shape", (1, WIDTH)),
    ("retrieval.load_encoder(ENCODER) is ENCODER", True),
    ("retrieval.build_index(folder, index=new, encoder=ENCODER).images", NUMBER),
]
# fmt: on

# Each of these fails with a sentence; the words after it are what the sentence must name, alternatives between bars.
# fmt: off
FAILS = [
    # a query that cannot be one
    ("photos.search(Path('missing.jpg'))", "missing.jpg"),
    ("photos.search(folder)", "photos"),
    ("photos.search()", "query"),
    ("photos.search(k=5)", "query"),
    ("photos.search(None)", "words", "path"),
    ("photos.search({'a': 1})", "dict", "words", "path"),
    ("photos.search(3.5)", "3.5", "integer"),
    ("photos.search(True)", "truth value", "words"),
    ("photos.search(object())", "object", "words"),
    ("photos.search('')", "empty"),
    ("photos.search('   ')", "empty"),
    ("photos.search(b'')", "image"),
    ("photos.search(b'no image at all')", "image"),
    ("photos.search(10**6)", "1000000"),
    ("photos.search(-1)", "-1"),
    ("photos.search(v[:32])", "32", "64"),
    ("photos.search(np.zeros(64))", "zero"),
    ("photos.search(np.full(64, np.nan))", "finite"),
    ("photos.search(np.zeros((2, 3, 4, 5), dtype=np.uint8))[0][0]", "(3, 4, 5)"),
    ("photos.search(np.zeros((48, 32, 3)))", "uint8"),
    ("photos.search(np.array([True, False]))", "truth values", "mask="),
    ("photos.search(lambda: 1)", "function"),
    ("photos.search({'red', 'blue'})", "set", "list"),
    ("photos.search(query for query in ['red', 'blue'])", "generator", "list"),
    ("photos.search(['red', Path('missing.jpg')])[1][0]", "missing.jpg"),
    ("len(photos.search(['red', Path('missing.jpg')])[1])", "missing.jpg"),
    ("list(photos.search(['red', Path('missing.jpg')])[1])", "missing.jpg"),
    ("photos.search(retrieval.text('red') * retrieval.text('blue'))", "number"),
    ("photos.search(retrieval.text('red') / 0)", "0|zero"),
    ("photos.search(retrieval.text('red') * float('nan'))", "weight", "number"),
    ("photos.search(retrieval.text('red') - retrieval.text('red'))", "cancel|zero|nothing"),
    ("retrieval.text(5)", "words"),
    ("retrieval.text('')", "empty"),
    ("retrieval.text(['red', 'blue'])", "list"),
    ("retrieval.row('a')", "str|integer|number"),
    # the number of hits
    ("photos.search('red', k=0)", "k", "1"),
    ("photos.search('red', k=-1)", "k", "-1"),
    ("photos.search('red', k=5.5)", "k", "5.5"),
    ("photos.search('red', k='5')", "k", "'5'"),
    ("photos.search('red', k=None)", "k", "None"),
    ("photos.search_vectors(v, k=0)", "k", "1"),
    ("photos.search_vectors(v, k=-1)", "k", "-1"),
    ("photos.search('red', top_k=5)", "k="),
    ("photos.search('red', topk=5)", "k="),
    ("photos.search('red', limit=5)", "k="),
    ("photos.search('red', n=5)", "k="),
    ("photos.search('red', n_results=5)", "k="),
    ("photos.search('red', num_images=5)", "k="),
    ("photos.search_vectors(v, top_k=5)", "k="),
    ("photos.search('red', threshold=0.5)", "min_score="),
    ("photos.search('red', score_threshold=0.5)", "min_score="),
    ("photos.search('red', filter=[1, 2])", "mask="),
    ("photos.search('red', where='year = 2019')", "no column year"),
    ("photos.search('red', folder='2019')", "under="),
    ("photos.search('red', path='2019')", "under="),
    ("photos.search(text='red')", "query"),
    ("photos.search(image=img)", "query"),
    # filters
    ("photos.search('red', mask=np.ones(3, dtype=bool))", "3", str(NUMBER)),
    ("photos.search('red', mask=[0.5] * 18)", "mask"),
    ("photos.search('red', ids=[10**6])", "1000000"),
    ("photos.search('red', ids=[0.5])", "0.5|float"),
    ("photos.search('red', under=3)", "under"),
    ("photos.search('red', glob=3)", "glob"),
    ("photos.search_vectors(v, mask=np.ones(3, dtype=bool))", "3", str(NUMBER)),
    ("photos.search_vectors('red')", "search("),
    ("photos.search_vectors(img)", "search("),
    ("photos.search_vectors(v[:32])", "32", "64"),
    # names that others use
    ("photos.serach('red')", "search"),
    ("photos.query('red')", "search"),
    ("photos.find('red')", "search"),
    ("photos.knn(v)", "search_vectors"),
    ("photos.nearest(v)", "search_vectors"),
    ("photos.paths", "keys()"),
    ("photos.files", "keys()"),
    ("photos.ids", "id_of|mask"),
    ("photos.items()", "keys()"),
    ("photos.values()", "vectors()"),
    ("photos.embeddings", "vectors()"),
    ("photos.get('2019/red.png')", "vectors|id_of"),
    ("photos.count_rows()", "len("),
    ("photos.count()", "len("),
    ("photos.ntotal", "len("),
    ("photos.size", "len("),
    ("photos.shape", "len("),
    ("photos.dim", "space.dim"),
    ("photos.d", "space.dim"),
    ("photos.to_pandas()", "export()"),
    ("photos.search('red').limit(5)", "k="),
    ("photos.search('red').to_list()", "to_dicts()"),
    ("photos.search('red').to_df()", "to_pandas()"),
    ("photos.search('red').to_json()", "json.dumps"),
    ("photos.search('red').paths", "hit.path|.path"),
    ("photos.search('red').scores", "hit.score|.score"),
    ("photos.search('red').ids", "hit.id|.id"),
    ("photos.search('red').path", "hit.path|[0]"),
    ("hit.filename", "path"),
    ("hit.name", "path"),
    ("hit.key", "path"),
    ("hit.distance", "score"),
    ("hit.similarity", "score"),
    ("hit.image", "open()"),
    ("hit.metadata", "columns"),
    ("hit.url", "link"),
    ("hits['path']", "to_pandas()", "for hit in hits"),
    ("neighbors.distances", "scores"),
    ("neighbors.indices", "ids"),
    ("hit['nope']", "nope"),
    ("retrieval.opne(folder)", "open"),
    ("retrieval.search('red')", "retrieval.open"),
    ("retrieval.query('red')", "retrieval.open"),
    ("retrieval.load(folder)", "retrieval.open"),
    ("retrieval.load_index(folder)", "retrieval.open"),
    ("retrieval.read_index(folder)", "retrieval.open"),
    ("retrieval.connect(folder)", "retrieval.open"),
    ("retrieval.open_collection(folder)", "retrieval.open"),
    ("retrieval.index(folder)", "retrieval.build_index"),
    ("retrieval.build(folder)", "retrieval.build_index"),
    ("retrieval.Index(folder)", "retrieval.open|retrieval.create"),
    ("retrieval.new(folder)", "retrieval.create"),
    ("retrieval.create_index(folder)", "retrieval.create"),
    ("retrieval.create_collection(folder)", "retrieval.create"),
    ("retrieval.encode(['red'])", "retrieval.load_encoder"),
    ("retrieval.embed(['red'])", "retrieval.load_encoder"),
    ("retrieval.words('red')", "retrieval.text"),
    ("retrieval.add(folder, vectors)", "Collection.add|retrieval.open"),
    ("retrieval.write_index(photos, 'x')", "retrieval.build_index|retrieval.sync_vectors|retrieval.create"),
    ("retrieval.Encoderr", "Encoder"),
    # where a collection lies
    ("retrieval.open('nowhere')", "nowhere", "path"),
    ("Path('images').mkdir(); retrieval.open('images')", "images", "retrieval.build_index|build_index"),
    ("retrieval.open(3)", "int"),
    ("retrieval.build_index('nowhere')", "nowhere"),
    ("retrieval.build_index(folder / '2019/red.png')", "folder"),
    ("retrieval.build_index([folder / '2019/red.png'])", "folder"),
    ("retrieval.build_index(folder, encoder='clip')", "clip", "nano"),
    ("retrieval.build_index(folder, model='nano')", "encoder="),
    ("retrieval.build_index(folder, output=new)", "index="),
    ("retrieval.build_index(folder, recursive=True)", "exclude="),
    ("retrieval.load_encoder('nano2')", "nano"),
    # rows that do not fit
    ("mine.add(more, keys=['x'])", "3", "1"),
    ("mine.add(more, keys=['x', 'y', 'x'])", "x"),
    ("mine.add(more, keys=['x', 'y', 'a'])", "'a'", "upsert"),
    ("mine.add(more, keys='xyz')", "keys=[", "'xyz'"),
    ("mine.add(more, keys=['x', 'y', ''])", "empty"),
    ("mine.add(more, keys=['x', 'y', 2.5])", "2.5"),
    ("mine.add(more, keys=['x', 'y', None])", "None"),
    ("mine.add(more, ids=[5, 6, 7])", "keys="),
    ("mine.add(more, names=['x', 'y', 'z'])", "keys="),
    ("mine.add(more[:, :32])", "32", "64"),
    ("mine.add(np.zeros((2, 64)))", "zero"),
    ("mine.add(np.full((2, 64), np.nan))", "finite"),
    ("mine.add(np.ones((2, 2, 64)))", "(2, 2, 64)"),
    ("mine.add({'x': more[0]})", "keys="),
    ("mine.add('x', more[0])", "vectors"),
    ("mine.add(img)", "add_images"),
    ("mine.add([img])", "add_images"),
    ("mine.add(Path('a.jpg'))", "add_images"),
    ("mine.add('a dog')", "add_images|vectors"),
    ("mine.add()", "vectors"),
    ("mine.add(pd.DataFrame({'id': [1, 2], 'path': ['x', 'y']}))", "to_numpy|numpy"),
    ("mine.add_images([img])", "encoder"),
    ("mine.upsert(more)", "keys"),
    ("mine.upsert(more, keys=['x', 'x', 'y'])", "x"),
    ("mine.delete()", "keys=", "ids="),
    ("mine.delete(keys=['nope'])", "nope"),
    ("mine.delete('nope')", "nope"),
    ("mine.delete(ids=[999])", "999"),
    ("mine.delete(keys=['a', 'nope'])", "nope"),
    ("mine.delete(3.5)", "3.5"),
    ("mine.append(more)", "add"),
    ("mine.insert(more)", "add"),
    ("mine.extend(more)", "add"),
    ("mine.add_vectors(more)", "add"),
    ("mine.add_with_ids(more, [5, 6, 7])", "add"),
    ("mine.add_image(img)", "add_images"),
    ("mine.update(more)", "upsert"),
    ("mine.put('x', more[0])", "upsert"),
    ("mine.remove('a')", "delete"),
    ("mine.remove_ids([3])", "delete"),
    ("mine.drop('a')", "delete"),
    ("mine.pop('a')", "delete"),
    ("mine.delete_where('x')", "delete"),
    ("mine.sync_vectors(more, ['a', 'x', 'y'])", "4", "prune"),
    ("mine.sync_vectors(more, ['x', 'y', 'z'])", "5", "prune"),
    ("mine.sync_vectors(more, ['x'])", "3", "1"),
    ("retrieval.create(folder, dim=64)", "retrieval.open|open it"),
    ("retrieval.create(new)", "dim=", "encoder="),
    ("retrieval.create(new, dim=0)", "dim"),
    ("retrieval.create(new, dim='64')", "dim"),
    ("retrieval.create(new, dim=64, encoder=FakeEncoder(dim=32))", "64", "32"),
    ("retrieval.create(new, dimension=64)", "dim="),
    ("retrieval.create(new, encoder='clip')", "nano"),
    ("retrieval.sync_vectors(new, vectors)", "keys"),
    # what is closed or gone
    ("photos.close(); photos.search('red')", "closed"),
    ("photos.close(); photos.search_vectors(v)", "closed"),
    ("photos.close(); photos.refresh()", "closed"),
    ("photos.close(); photos.vectors()", "closed"),
    ("photos.vectors([10**6])", "1000000"),
    ("photos.vectors([-1])", "-1"),
    ("photos.vectors([0.5])", "0.5|float"),
    ("photos.vectors(['nope.png'])", "nope.png"),
    ("photos.vectors(np.ones(3, dtype=bool))", "3", str(NUMBER)),
    ("photos['nope.png']", "nope.png"),
    ("photos.id_of('nope.png')", "nope.png"),
    ("photos.id_of(3)", "key_of"),
    ("photos.key_of(999)", "999"),
    ("photos.key_of('2019/red.png')", "id_of"),
]
# fmt: on


def red_row(found):
    """What a key stands for: a row, with its vector and its file."""
    assert found.key == "2019/red.png"
    assert found.vector == pytest.approx(ENCODER.encode_text(["red"])[0], abs=2e-3)
    assert found.open().getpixel((0, 0)) == (255, 0, 0)


# Both are good: it works, or it says what to type.
# fmt: off
EITHER = [
    ("neighbors.to_pandas().shape[0]", 10, "pandas.DataFrame(neighbors)"),
    ("sorted(i for i in photos.search_vectors(v, k=10**9).ids[0].tolist() if i >= 0) == list(range(len(photos)))", True, "k", str(NUMBER)),
    ("retrieval.build_index(folder, index=new, encoder=FakeEncoder).images", NUMBER, "FakeEncoder()"),
    ("photos.search('red', 5)", lambda found: len(found) == 5, "k="),
    ("photos.search_vectors(v, 5).ids.shape", (1, 5), "k="),
    ("photos.search('red', k=5.0)", lambda found: len(found) == 5, "k", "5.0"),
    ("photos.search(np.array(['red', 'blue']))", each(finds("2019/red.png"), finds("2020/blue.png")), "list"),
    ("photos.search(pd.Series(['red', 'blue']))", each(finds("2019/red.png"), finds("2020/blue.png")), "list"),
    ("photos.search([['red', 'blue']])[0][0].path", "2019/red.png", "list", "+"),
    ("photos.search(np.str_('red'))", finds("2019/red.png"), "str"),
    ("photos.search('red', ids=['2019/red.png'])", finds("2019/red.png"), "id_of|integer"),
    ("photos.search('red', ids=1)", lambda found: [hit.id for hit in found] == [1], "[1]|list"),
    ("photos.search('red', mask=[True] * 18)", finds("2019/red.png"), "mask"),
    ("photos.search('red', glob=['2019/*', '2020/*'])", finds("2019/red.png"), "glob"),
    ("np.asarray(photos).shape", (NUMBER, DIM), "vectors()"),
    ("photos['2019/red.png']", red_row, "vectors"),
    ("photos[photos.id_of('2019/red.png')]", red_row, "vectors|key_of"),
    ("photos[0:2]", lambda found: len(found) == 2, "vectors"),
    ("retrieval.Collection(folder).search_vectors(np.ones(64), k=1).ids.shape", (1, 1), "retrieval.open"),
    ("retrieval.Collection(str(folder)).search_vectors(np.ones(64), k=1).ids.shape", (1, 1), "retrieval.open"),
    ("retrieval.create(new, 64).space.dim", 64, "dim="),
    ("mine.add(np.ones(64), 'one')", lambda found: list(found) == [5], "keys=["),
    ("mine.add(np.ones(64), keys=5)", lambda found: list(found) == [5], "keys=["),
    ("mine.add(np.ones(64), keys='one')", lambda found: list(found) == [5], "keys=["),
    ("mine.add(pd.DataFrame(more)).tolist()", [5, 6, 7], "to_numpy|numpy"),
    ("mine.upsert(more[0], 'a')", lambda found: True, "keys=["),
    ("mine['a'] = more[0]", None, "upsert"),
    ("del mine['a']", None, "delete"),
    ("mine.delete(3)", lambda found: True, "ids="),
    ("own.delete('2019/red.png')", lambda found: True, "2019/red.png"),
    ("own.add(more[:1], keys=['2019/red.png'])", lambda found: False, "2019/red.png"),
    ("own.upsert(more[:1], keys=['2019/red.png'])", lambda found: False, "2019/red.png"),
    ("album.add_images(img)", lambda found: list(found) == [0], "["),
    ("album.add_images(folder / '2019/red.png')", lambda found: list(found) == [0], "["),
    ("album.add_images([str(folder / '2019/red.png')])", lambda found: list(found) == [0], "Path"),
    ("album.add_images(['a dog'])", lambda found: False, "a dog", "file"),
    ("album.add_images([b'no image'])", lambda found: False, "image"),
    ("album.add_images([Path('missing.jpg')])", lambda found: False, "missing.jpg"),
    ("nano(img)", lambda found: np.shape(found) in {(WIDTH,), (1, WIDTH)}, "encode("),
    ("nano.encode(img)", lambda found: np.shape(found) in {(WIDTH,), (1, WIDTH)}, "encode("),
    ("nano.encode([img])", lambda found: np.shape(found) == (1, WIDTH), "encode("),
    ("nano.encode_image(img)", lambda found: np.shape(found) in {(WIDTH,), (1, WIDTH)}, "encode("),
    ("nano.encode_images([img])", lambda found: np.shape(found) == (1, WIDTH), "encode("),
    ("nano.encode_text('dog')", lambda found: np.shape(found) in {(WIDTH,), (1, WIDTH)}, "list|["),
    ("ENCODER.encode_text('dog')", lambda found: np.shape(found) in {(64,), (1, 64)}, "list|["),
    ("retrieval.sync_vectors(new, pd.DataFrame(vectors), list('abcde')).added", 5, "numpy"),
    ("import shutil; c = retrieval.open(own.directory); shutil.rmtree(own.directory); c.refresh()", lambda found: False, "own"),
    ("import shutil; shutil.rmtree(own.directory); own.add(np.ones(64))", lambda found: False, "own"),
]
# fmt: on

# Old names answer for one release, and say what is written now.
# fmt: off
OLD = [
    ("retrieval.build_index_from_vectors(new, vectors, list('abcde')).rows", 5, "sync_vectors"),
    ("retrieval.Term", lambda found: found is not None, "Query"),
    ("photos.filter(under='2019').sum()", 2, "mask"),
    ("photos.search_vectors(v, k=1, keep=photos.mask(under='2020')).ids.shape", (1, 1), "mask"),
    ("photos.search('red', dim=32)[0].path", "2019/red.png", "truncate_dim"),
    ("photos.search_vectors(v, k=1, dim=32).ids.shape", (1, 1), "truncate_dim"),
    ("len(photos.search('red', k=100, fold_copies=False))", NUMBER, "fold_duplicates"),
    ("hit.copies", 1, "n_duplicates"),
    ("photos.path(photos.id_of('2019/red.png'))", "2019/red.png", "key_of"),
    ("photos.ids_by_path()['2019/red.png'] == photos.id_of('2019/red.png')", True, "id_of"),
    ("photos.search_many(['red', 'blue'])", each(finds("2019/red.png"), finds("2020/blue.png")), "search"),
    ("retrieval.build_index(folder, index=new, encoder=ENCODER, dim=32).images", NUMBER, "truncate_dim"),
    ("retrieval.build_index(folder, index=new, encoder=ENCODER, recall=0.9).images", NUMBER, "target_recall"),
]
# fmt: on


def lines(table):
    return [pytest.param(*entry, id=entry[0].replace("\n", "; ")) for entry in table]


def sentences(table):
    return [pytest.param(code, words, id=code) for code, *words in table]


@pytest.mark.filterwarnings("ignore:.* is taken as words")
@pytest.mark.parametrize(("code", "expected"), lines(WORKS))
def test_it_works(request, code, expected):
    value, _ = typed(code, request)

    meets(expected, value)


@pytest.mark.parametrize(("code", "words"), sentences(FAILS))
def test_it_says_what_to_type(request, code, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fails(code, request, *words)


@pytest.mark.parametrize(
    ("code", "expected", "words"), [pytest.param(code, good, words, id=code) for code, good, *words in EITHER]
)
def test_it_works_or_says_what_to_type(request, code, expected, words):
    try:
        value, _ = typed(code, request)
    except (RetrievalError, *BUILTINS) as error:
        says(error, *words)
    else:
        meets(expected, value)


@pytest.mark.parametrize(("code", "expected", "new_name"), lines(OLD))
def test_an_old_name_answers_and_says_what_is_written_now(request, code, expected, new_name):
    with pytest.warns(DeprecationWarning, match=new_name):
        value, _ = typed(code, request)

    meets(expected, value)


def test_the_old_name_of_the_end_of_an_upgrade_answers(folder):
    with pytest.warns(DeprecationWarning, match="finish_upgrade"), pytest.raises(RetrievalError):
        retrieval.drop_old(folder)


# What takes more than a line.


def test_fewer_vectors_than_rows_are_refused_with_the_number_that_would_go(empty):
    keys = [f"item {number}" for number in range(550)]
    rows = random_vectors(550)
    empty.add(rows, keys=keys)

    for chosen, gone in ((keys[:300], 250), ([f"new {number}" for number in range(300)], 550)):
        with pytest.raises(RetrievalError) as caught:
            empty.sync_vectors(rows[:300], chosen)
        says(caught.value, f"{gone}", "prune")
        assert list(empty) == keys

    empty.sync_vectors(rows[:300], keys[:300], prune=True)
    assert list(empty) == keys[:300]


def test_a_build_in_the_function_form_refuses_the_same(mine, vectors):
    with pytest.raises(RetrievalError) as caught:
        retrieval.sync_vectors(mine.directory, vectors[:2], ["a", "b"])

    says(caught.value, "3", "prune")
    mine.refresh()
    assert list(mine) == list("abcde")


class Answers:
    """A data set whose items are what a collection answers."""

    def __init__(self, collection, queries):
        self.collection, self.queries = collection, queries

    def __len__(self):
        return len(self.queries)

    def __getitem__(self, number):
        return self.collection.search(self.queries[number], k=1)[0].path


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_collection_works_in_the_workers_of_a_data_loader(photos, torch, method):
    from torch.utils.data import DataLoader

    queries = ["red", "blue", "yellow", "green"]
    photos.search("red")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about the number of cores
        loader = DataLoader(
            Answers(photos, queries), batch_size=2, num_workers=1, multiprocessing_context=method
        )
        found = [path for batch in loader for path in batch]

    assert found == ["2019/red.png", "2020/blue.png", "2020/deep/yellow.png", "2019/green.png"]


def first(collection, query):
    return collection.search(query, k=1)[0].path


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_collection_is_an_argument_of_a_process_pool(photos, method):
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads, in newer Pythons
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            found = list(pool.map(first, [photos, photos], ["red", "blue"]))

    assert found == ["2019/red.png", "2020/blue.png"]


def test_sixteen_threads_share_a_collection(photos):
    colours = list(RGB) * 16
    expected = {colour: path for path, colour in PLAIN.items()}
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda colour: first(photos, colour), colours))

    assert found == [expected[colour] for colour in colours]


def test_many_tasks_of_a_server_share_a_collection(photos):
    async def ask():
        return await asyncio.gather(*(asyncio.to_thread(first, photos, "red") for _ in range(20)))

    assert asyncio.run(ask()) == ["2019/red.png"] * 20


def test_searches_go_on_while_others_refresh_and_add(mine, more, vectors):
    stop = threading.Event()
    with retrieval.open(mine.directory) as reader:

        def search():
            count = 0
            while not stop.is_set() or not count:
                assert reader.search(vectors[2], k=1)[0].path == "c"
                count += 1
            return count

        with ThreadPoolExecutor(3) as pool:
            searches = [pool.submit(search) for _ in range(3)]
            for number in range(10):
                mine.add(more[0], keys=[f"new {number}"])
                reader.refresh()
            stop.set()
            counts = [task.result() for task in searches]
        assert min(counts) > 0
        assert len(reader) == 15
        assert reader.refresh() is False


def test_another_reader_sees_new_rows_after_it_refreshed(mine, more):
    with retrieval.open(mine.directory) as reader:
        mine.add(more)
        before = len(reader)
        changed = reader.refresh()

        assert (before, changed, len(reader)) == (5, True, 8)
        assert reader.search(more[0])[0].path == "5"


def test_the_writer_that_others_wait_for_is_named(mine, more):
    with mine.writer() as writer, retrieval.open(mine.directory) as other, ThreadPoolExecutor(1) as pool:
        writer.add(more)
        waiting = pool.submit(other.add, more, timeout=0.1)
        with pytest.raises(RetrievalError) as caught:
            waiting.result()

    says(caught.value, f"{os.getpid()}|this process")
    assert type(caught.value).__name__ == "CollectionLocked"
    assert len(mine) == 8


def test_a_writer_whose_block_fails_says_nothing_untrue(mine, more):
    def write():
        with mine.writer() as writer:
            writer.add(more)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()

    assert sorted(mine)[-5:] == list("abcde")
    for key in mine:
        assert mine.vectors(key).shape == (1, DIM)


def test_a_build_tells_a_function_how_far_it_is(built, tmp_path):
    told = []

    retrieval.build_index(built, index=tmp_path / "x", root=built, encoder=ENCODER, progress=told.append)

    assert told
    assert all(isinstance(step, retrieval.Progress) for step in told)
    assert any(step.done == NUMBER for step in told)


def test_words_find_pictures_with_the_built_in_encoder(data, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    scenes = sorted(path for path in (data / "images" / "scenes").iterdir() if path.is_dir())[:3]
    for scene in scenes:
        for path in sorted(scene.iterdir())[:4]:
            shutil.copy(path, folder / f"{scene.name}-{path.name}")
    retrieval.build_index(folder)
    with retrieval.open(folder) as photos:
        names = [scene.name.replace("_", " ") for scene in scenes]
        for name, hits in zip(names, photos.search(names), strict=True):
            assert hits[0].path.startswith(name.replace(" ", "_"))
        picture = next(iter(sorted(folder.glob("*.webp"))))
        combined = photos.search(retrieval.image(picture) + 0.5 * retrieval.text("at night"), k=3)
        assert len(combined) == 3


LOADER = """
from retrieval.testing import FakeEncoder

class Family:
    def open(self, model, version, *, device):
        return FakeEncoder(name=model or "guessed")

FAMILY = Family()
"""


def test_a_plug_in_needs_its_loader_only(built, tmp_path, monkeypatch):
    metadata = tmp_path / "guessed-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: guessed\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[retrieval.encoders]\nguessed = guessed_family:FAMILY\n")
    (tmp_path / "guessed_family.py").write_text(LOADER)
    monkeypatch.syspath_prepend(tmp_path)

    report = retrieval.build_index(built, index=tmp_path / "index", root=built, encoder="guessed:mine")

    assert report.images == NUMBER
    with retrieval.open(tmp_path / "index") as photos:
        assert photos.space.name == "mine"
        assert photos.search("red")[0].path == "2019/red.png"


class Ten:
    """An encoder of ten lines: the space, and two methods."""

    def __init__(self):
        self.space = ENCODER.space

    def preprocess(self, image):
        return ENCODER.preprocess(image)

    def encode_pixels(self, batch):
        return ENCODER.encode_pixels(batch)


def test_an_encoder_of_ten_lines_works(built, tmp_path):
    retrieval.build_index(built, index=tmp_path / "index", root=built, encoder=Ten())

    with retrieval.open(tmp_path / "index", encoder=Ten()) as photos:
        assert photos.search(plain("red"))[0].path == "2019/red.png"
        with pytest.raises(RetrievalError) as caught:
            photos.search("zebra")
    says(caught.value, "words|text")


MISTAKES = """
import retrieval

c = retrieval.open("x")
retrieval.opne("x")
c.serach("x")
c.search(k=5)
c.search({"a": 1})
c.search("a dog", top_k=5)
"""
RIGHT = """
import numpy as np

import retrieval

with retrieval.open("x") as c:
    for hit in c.search("a dog", k=5):
        print(hit.path, hit.score + 1, hit.file.name, hit.open().size)
    answers = c.search(["a dog", "a cat"])
    print(answers[0][0].path)
    ids, scores = c.search_vectors(np.ones(64), k=5)
    query = retrieval.image("x.jpg") + 0.5 * retrieval.text("at night") - retrieval.text("people")
    print(c.search(query, under="2019", ids=[1, 2])[0].rank, ids[0, 0] + 1)
"""


def test_a_type_checker_finds_the_mistakes_and_nothing_else(tmp_path):
    api = pytest.importorskip("mypy.api", reason="mypy is not installed")
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    (tmp_path / "right.py").write_text(RIGHT)
    house = Path(retrieval.__file__).resolve().parents[1]
    cache = house / ".mypy_cache"

    options = ["--strict", "--no-error-summary", "--config-file", os.devnull, "--cache-dir", str(cache)]
    options += ["--follow-imports", "silent", "--ignore-missing-imports"]
    out, err, _ = api.run([*options, str(tmp_path / "mistakes.py"), str(tmp_path / "right.py")])

    found = sorted(int(line) for line in re.findall(r"mistakes\.py:(\d+): error", out))
    assert sorted(set(found)) == [5, 6, 7, 8, 9], out + err
    assert "right.py" not in out, out
