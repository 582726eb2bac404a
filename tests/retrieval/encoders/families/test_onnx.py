"""Folders of ONNX graphs, built here with ``onnx.helper``: what works, and each fault by its name."""

import builtins
import json

import numpy as np
import pytest
from PIL import Image

from retrieval.encoders import TextEncoder, load_encoder
from retrieval.errors import EncoderError, MissingExtra, OptionError, UnknownEncoder
from retrieval.testing import check_encoder

onnx = pytest.importorskip("onnx", reason="the tests build graphs with onnx (extra test-tools)")
tokenizers = pytest.importorskip("tokenizers", reason="text towers need the extra onnx")

SIZE, WIDTH, CONTEXT = 16, 24, 6
CONTRACT = {
    "width": WIDTH,
    "size": SIZE,
    "resize": "shortest",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "context_length": CONTEXT,
    "nesting": [8, 16],
}
WORDS = {
    word: number
    for number, word in enumerate(["[PAD]", "[UNK]", "a", "red", "bus", "snow", "dog", "photo", "in"])
}


def save(path, nodes, inputs, outputs, constants, *, external=False):
    """Write a graph of opset 17."""
    helper = onnx.helper
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(*entry) for entry in inputs],
        [helper.make_tensor_value_info(*entry) for entry in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    arguments = (
        {"save_as_external_data": True, "location": f"{path.stem}.data", "size_threshold": 0}
        if external
        else {}
    )
    onnx.save_model(model, path, **arguments)


def save_image(
    folder, *, rows="b", width=WIDTH, size=SIZE, kind=onnx.TensorProto.FLOAT, seed=0, external=False
):
    """Write ``image.onnx``: average pooling to 4 x 4, then a random projection."""
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    projection = np.random.default_rng(seed).standard_normal((48, width)).astype(dtype)
    nodes = [
        onnx.helper.make_node(
            "AveragePool", ["pixels"], ["pooled"], kernel_shape=[size // 4] * 2, strides=[size // 4] * 2
        ),
        onnx.helper.make_node("Flatten", ["pooled"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "projection"], ["product"]),
        onnx.helper.make_node("Add", ["product", "bias"], ["vectors"]),
    ]
    constants = {"projection": projection, "bias": np.full(width, 0.01, dtype)}
    inputs, outputs = [("pixels", kind, [rows, 3, size, size])], [("vectors", kind, [rows, width])]
    save(folder / "image.onnx", nodes, inputs, outputs, constants, external=external)


def save_text(folder, *, mask=False, context=CONTEXT, kind=onnx.TensorProto.INT64, width=WIDTH):
    """Write ``text.onnx``: the mean of random token embeddings, and a tokenizer of whole words."""
    table = np.random.default_rng(5).standard_normal((len(WORDS), width)).astype(np.float32)
    nodes = [
        onnx.helper.make_node("Gather", ["table", "ids"], ["tokens"]),
        onnx.helper.make_node("ReduceMean", ["tokens"], ["vectors"], axes=[1], keepdims=0),
    ]
    inputs = [("ids", kind, ["t", context])]
    if mask:
        nodes[1:] = [
            onnx.helper.make_node("Cast", ["attention_mask"], ["weights"], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Unsqueeze", ["weights", "axis"], ["column"]),
            onnx.helper.make_node("Mul", ["tokens", "column"], ["kept"]),
            onnx.helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
            onnx.helper.make_node("Add", ["sum", "bias"], ["vectors"]),
        ]
        inputs.append(("attention_mask", kind, ["t", context]))
    constants = {"table": table}
    if mask:
        constants |= {"axis": np.array([2]), "one": np.array([1]), "bias": np.full(width, 0.1, np.float32)}
    save(folder / "text.onnx", nodes, inputs, [("vectors", onnx.TensorProto.FLOAT, ["t", width])], constants)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(WORDS, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


def describe(folder, **changed):
    """Write ``encoder.json``; a value of `None` leaves the key out."""
    data = {key: value for key, value in (CONTRACT | changed).items() if value is not None}
    (folder / "encoder.json").write_text(json.dumps(data))


@pytest.fixture
def folder(tmp_path):
    """A folder with both towers."""
    describe(tmp_path)
    save_image(tmp_path)
    save_text(tmp_path)
    return tmp_path


def noise():
    """Return two images of noise."""
    random = np.random.default_rng(3)
    return [
        Image.fromarray(random.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in [(40, 30), (16, 16)]
    ]


def test_both_towers_keep_the_contract(folder):
    encoder = load_encoder(f"onnx:{folder}", device="cpu")

    check_encoder(encoder)
    assert encoder.space.dim == WIDTH
    assert encoder.space.nesting == (8, 16)
    assert encoder.decode_size == 2 * SIZE


def test_a_folder_without_text_is_an_image_encoder(folder):
    (folder / "text.onnx").unlink()
    encoder = load_encoder(f" onnx: {folder} ", device="auto")

    check_encoder(encoder)
    assert not isinstance(encoder, TextEncoder)


def test_vectors_are_those_of_the_graph_normalised(folder):
    import onnxruntime

    encoder = load_encoder(f"onnx:{folder}", device="cpu")
    batch = np.stack([encoder.preprocess(image) for image in noise()])
    session = onnxruntime.InferenceSession(str(folder / "image.onnx"), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"pixels": batch})[0]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)

    np.testing.assert_allclose(expected, encoder.encode_pixels(batch), atol=1e-6)


def test_a_plain_16_pixel_image_is_only_normalised(folder):
    image = noise()[1]
    expected = (np.asarray(image, np.float32) / 255 - 0.5) / 0.25

    actual = load_encoder(f"onnx:{folder}", device="cpu").preprocess(image)

    np.testing.assert_allclose(expected.transpose(2, 0, 1), actual, atol=1e-5)


def test_a_graph_of_fixed_batch_gives_the_same_vectors(folder):
    free = load_encoder(f"onnx:{folder}", device="cpu")
    batch = np.random.default_rng(0).standard_normal((5, 3, SIZE, SIZE)).astype(np.float32)
    expected = free.encode_pixels(batch)
    save_image(folder, rows=2)

    np.testing.assert_allclose(
        expected, load_encoder(f"onnx:{folder}", device="cpu").encode_pixels(batch), atol=1e-6
    )


def test_a_half_precision_graph_gives_nearly_the_same_vectors_as_float32_rows(folder):
    batch = np.random.default_rng(0).standard_normal((3, 3, SIZE, SIZE)).astype(np.float32)
    expected = load_encoder(f"onnx:{folder}", device="cpu").encode_pixels(batch)
    save_image(folder, kind=onnx.TensorProto.FLOAT16)
    actual = load_encoder(f"onnx:{folder}", device="cpu").encode_pixels(batch)

    assert actual.dtype == np.float32
    assert np.einsum("nd,nd->n", expected, actual).min() > 0.9999


@pytest.mark.parametrize("kind", [onnx.TensorProto.INT64, onnx.TensorProto.INT32])
def test_an_attention_mask_is_fed_where_the_graph_wants_one(folder, kind):
    save_text(folder, mask=True, kind=kind)
    encoder = load_encoder(f"onnx:{folder}", device="cpu")
    once, padded = encoder.encode_text(["red bus", "red bus [PAD]"])

    check_encoder(encoder)
    # The mask hides the tokenizer's own padding but not a written one, so the two texts differ.
    assert once @ padded < 0.999


def test_text_beyond_the_context_is_cut(folder):
    encoder = load_encoder(f"onnx:{folder}", device="cpu")
    short, long = encoder.encode_text(["a red bus in snow photo", "a red bus in snow photo " + "dog " * 1000])

    np.testing.assert_array_equal(short, long)


def test_an_index_can_tell_two_sets_of_weights_apart_also_external_ones(tmp_path):
    spaces = []
    for name, seed in [("one", 0), ("same", 0), ("other", 1)]:
        folder = tmp_path / name
        folder.mkdir()
        describe(folder)
        save_image(folder, seed=seed, external=True)
        spaces.append(load_encoder(f"onnx:{folder}", device="cpu").space)

    assert spaces[0].same_as(spaces[1])
    assert not spaces[0].same_as(spaces[2])


def test_a_stated_fingerprint_makes_it_another_form_of_a_known_space(folder):
    describe(folder, fingerprint="f" * 64, name="clip")
    space = load_encoder(f"onnx:{folder}", device="cpu").space

    assert (space.name, space.fingerprint) == ("clip", "f" * 64)


@pytest.mark.parametrize("name", ["encoder.json", "image.onnx"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(UnknownEncoder, match=f"no file {name}"):
        load_encoder(f"onnx:{folder}")


def test_text_without_a_tokenizer_file_is_named(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match=r"text\.onnx needs tokenizer\.json"):
        load_encoder(f"onnx:{folder}")


def test_text_without_the_tokenizers_package_says_what_to_install(folder, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install .*\[onnx\]"):
        load_encoder(f"onnx:{folder}")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": None}, "the key 'width' is missing"),
        ({"mean": [0.5]}, r"encoder\.json: not readable"),
        ({"resize": "stretch"}, "'stretch' is none of"),
        ({"width": 0}, "width 0 is not positive"),
        ({"width": 32}, r"its first output is \['b', 24\], expected \[b, 32\]"),
        ({"size": 32}, r"expected \['b', 3, 32, 32\]"),
        ({"context_length": 7}, r"expected \[t, 7\]"),
        ({"context_length": None}, "needs a positive context_length"),
    ],
)
def test_a_description_that_does_not_fit_is_named(folder, changed, message):
    describe(folder, **changed)
    with pytest.raises(EncoderError, match=message):
        load_encoder(f"onnx:{folder}")


def test_broken_files_are_named(folder):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(EncoderError, match=r"tokenizer\.json: not readable as a tokenizer"):
        load_encoder(f"onnx:{folder}")
    (folder / "encoder.json").write_text("[1]")
    with pytest.raises(EncoderError, match=r"encoder\.json: not readable"):
        load_encoder(f"onnx:{folder}")
    describe(folder)
    (folder / "image.onnx").write_bytes(b"not a graph")
    with pytest.raises(EncoderError, match=r"image\.onnx: onnxruntime cannot open it"):
        load_encoder(f"onnx:{folder}")


def test_a_graph_of_another_type_is_named(folder):
    double = onnx.TensorProto.DOUBLE
    nodes = [onnx.helper.make_node("Identity", ["pixels"], ["vectors"])]
    save(folder / "image.onnx", nodes, [("pixels", double, ["b", 3])], [("vectors", double, ["b", 3])], {})
    with pytest.raises(EncoderError, match=r"unexpected type: pixels tensor\(double\)"):
        load_encoder(f"onnx:{folder}")


def test_swapped_towers_are_named(folder):
    (folder / "image.onnx").write_bytes((folder / "text.onnx").read_bytes())
    with pytest.raises(EncoderError, match="expected one float32 or float16 input, got ids int64"):
        load_encoder(f"onnx:{folder}")


def test_a_graph_that_hides_its_width_is_checked_when_it_runs(folder):
    model = onnx.load(folder / "image.onnx")
    model.graph.node[-1].output[0] = "all"
    model.graph.node.append(onnx.helper.make_node("Compress", ["all", "chosen"], ["vectors"], axis=1))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(WIDTH, bool), "chosen"))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "d"
    onnx.save(model, folder / "image.onnx")
    describe(folder, width=32)
    (folder / "text.onnx").unlink()
    encoder = load_encoder(f"onnx:{folder}")
    with pytest.raises(EncoderError, match=r"shape \(1, 24\), expected \(1, 32\)"):
        encoder.encode_pixels(np.zeros((1, 3, SIZE, SIZE), np.float32))


def test_versions_and_devices_that_do_not_exist_are_refused(folder, monkeypatch):
    import onnxruntime

    with pytest.raises(UnknownEncoder, match="onnx takes a folder"):
        load_encoder("onnx@1")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(OptionError, match="onnxruntime-gpu"):
        load_encoder(f"onnx:{folder}", device="cuda")
    with pytest.raises(OptionError, match="expected auto, cpu"):
        load_encoder(f"onnx:{folder}", device="gpu")
