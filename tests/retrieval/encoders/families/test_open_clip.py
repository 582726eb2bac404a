"""open_clip models, made tiny here and read back through the real code; no weights are downloaded."""

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexes.distribution import pip_install
from retrieval.encoders import load_encoder
from retrieval.encoders.checkpoints import readable_size, unreachable
from retrieval.encoders.families.open_clip import FAMILY
from retrieval.errors import EncoderError, OptionError, UnknownEncoder, WeightsNotFound
from retrieval.testing import check_encoder

open_clip = pytest.importorskip("open_clip", reason="open_clip comes with the extra open-clip")
torch = pytest.importorskip("torch", reason="torch comes with the extra open-clip")

ROOT = Path(__file__).parents[4]
MODEL = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
PREPROCESSING = {
    "shortest": {"size": 32, "mean": [0.48, 0.45, 0.4], "std": [0.26, 0.25, 0.27]},
    "squash": {
        "size": 32,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "resize_mode": "squash",
        "interpolation": "bilinear",
    },
    "longest": {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "longest", "fill_color": 7},
}


def save_tiny(folder, preprocessing, *, weights="open_clip_model.safetensors"):
    """Write a folder as open_clip publishes one, with random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"model_cfg": MODEL, "preprocess_cfg": preprocessing})
    (folder / "open_clip_config.json").write_text(text)
    torch.manual_seed(0)
    model = open_clip.model.CLIP(**MODEL)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if weights.endswith(".safetensors"):
        from safetensors.torch import save_file

        save_file(state, folder / weights)
    else:
        torch.save(state, folder / weights)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a tiny model of the usual preprocessing."""
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny", PREPROCESSING["shortest"])


@pytest.fixture(scope="module")
def encoder(tiny):
    """The tiny model, loaded by its spec."""
    return load_encoder(f"open_clip:local-dir:{tiny}", device="cpu")


def photos():
    """Return images of several shapes with smooth content and some noise."""
    random = np.random.default_rng(1)
    images = []
    for width, height in [(320, 240), (100, 333), (32, 32), (33, 47), (640, 481)]:
        x, y = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 5, height))
        waves = np.stack([np.sin(x + c) + np.cos(y * (c + 1)) for c in range(3)], axis=-1)
        noisy = waves * 50 + 120 + random.normal(0, 8, waves.shape)
        images.append(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))
    return images


def test_it_keeps_the_contract(encoder):
    check_encoder(encoder)


@pytest.mark.parametrize("mode", PREPROCESSING)
def test_preprocessing_is_open_clips_own(tmp_path, mode):
    folder = save_tiny(tmp_path, PREPROCESSING[mode])
    own = load_encoder(f"open_clip:local-dir:{folder}", device="cpu")
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    for image in photos():
        expected = transform(image).numpy()
        actual = own.preprocess(image)

        assert actual.dtype == np.float32
        np.testing.assert_allclose(expected, actual, atol=1e-5)


def test_vectors_are_open_clips_own(encoder, tiny):
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tiny}")
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tiny}")
    texts = ["a red bus in snow", "", "ünï 東京", "word " * 500]
    with torch.inference_mode():
        images = model.encode_image(torch.stack([transform(i) for i in photos()]), normalize=True).numpy()
        words = model.encode_text(tokenizer(texts), normalize=True).numpy()
    batch = np.stack([encoder.preprocess(image) for image in photos()])

    assert np.einsum("nd,nd->n", images, encoder.encode_pixels(batch)).min() > 0.9999
    assert np.einsum("nd,nd->n", words, encoder.encode_text(texts)).min() > 0.9999


def test_many_texts_are_encoded_in_chunks_and_in_order(encoder):
    texts = [f"number {n}" for n in range(300)]

    np.testing.assert_allclose(
        encoder.encode_text(texts)[299], encoder.encode_text(texts[299:])[0], atol=1e-5
    )
    assert encoder.encode_text([]).shape == (0, 48)


def test_many_texts_are_encoded_by_a_graph_that_gives_the_same(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("retrieval.encoders.towers.cpu_towers._gain", lambda old, new: 2.0)
    encoder = load_encoder(f"open_clip:local-dir:{tiny}", device="cpu")
    texts = ["a dog", "ünï 東京", "word " * 500]
    images = np.stack([encoder.preprocess(image) for image in photos()])
    before, seen = encoder.encode_text(texts), encoder.encode_pixels(images)
    encoder.encode_text([f"number {n}" for n in range(256)])
    later = copy.deepcopy(encoder)  # as a pickled copy does, it opens itself anew

    assert [encoder._towers.runtime(name) for name in ("image", "text")] == ["onnx", "onnx"]
    for one in (encoder, later):
        np.testing.assert_allclose(one.encode_text(texts), before, atol=1e-5)
        np.testing.assert_allclose(one.encode_text(texts[:1]), before[:1], atol=1e-5)
        np.testing.assert_allclose(one.encode_pixels(images), seen, atol=1e-5)
    assert later.space == encoder.space
    assert later._model._model is None  # torch's model was not loaded
    check_encoder(later)


def test_decoding_keeps_twice_the_size(encoder):
    assert encoder.decode_size == 64


def test_the_fingerprint_is_that_of_weights_and_preprocessing(encoder, tmp_path):
    pickled = save_tiny(
        tmp_path / "pickled", PREPROCESSING["shortest"], weights="open_clip_pytorch_model.bin"
    )
    squashed = save_tiny(tmp_path / "squashed", PREPROCESSING["squash"])

    assert load_encoder(f"open_clip:local-dir:{pickled}", device="cpu").space.same_as(encoder.space)
    assert not load_encoder(f"open_clip:local-dir:{squashed}", device="cpu").space.same_as(encoder.space)


def test_a_weight_file_serves_a_built_in_architecture(tmp_path, monkeypatch):
    config = tmp_path / "Tiny-Test.json"
    config.write_text(json.dumps(MODEL))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", [config])
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {"Tiny-Test": MODEL})
    folder = save_tiny(tmp_path / "weights", PREPROCESSING["shortest"])
    monkeypatch.chdir(folder)
    encoder = load_encoder("open_clip: Tiny-Test/open_clip_model.safetensors ", device="cpu")

    assert encoder.space.name == f"open_clip:Tiny-Test/{folder}/open_clip_model.safetensors"
    check_encoder(encoder)


def test_unknown_models_and_tags_list_what_is_near():
    with pytest.raises(UnknownEncoder, match=r"no model 'ViT-B-33'; close: .*ViT-B-32"):
        load_encoder("open_clip:ViT-B-33/openai", device="cpu")
    with pytest.raises(UnknownEncoder, match=r"did you mean open_clip:ViT-B-32/laion2b_s34b_b79k\?"):
        load_encoder("open_clip:ViT-B-32/laion2b_s34b_b79", device="cpu")
    with pytest.raises(
        UnknownEncoder, match=r"ViT-B-32 needs weights, as open_clip:ViT-B-32/TAG; tags: openai"
    ):
        load_encoder("open_clip:ViT-B/32", device="cpu")
    with pytest.raises(UnknownEncoder, match="open_clip takes a model"):
        load_encoder("open_clip")
    with pytest.raises(UnknownEncoder, match="open_clip takes a model"):
        load_encoder("open_clip@2")


def test_a_folder_without_configuration_or_weights_is_named(tmp_path):
    with pytest.raises(UnknownEncoder, match=r"open_clip_config\.json does not exist"):
        load_encoder(f"open_clip:local-dir:{tmp_path}", device="cpu")
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(EncoderError, match="no configuration of open_clip"):
        load_encoder(f"open_clip:local-dir:{tmp_path}", device="cpu")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL}))
    with pytest.raises(WeightsNotFound, match=r"put open_clip_model\.safetensors"):
        load_encoder(f"open_clip:local-dir:{tmp_path}", device="cpu")


def test_weights_of_another_model_are_refused_by_name(tmp_path):
    folder = save_tiny(tmp_path, PREPROCESSING["shortest"])
    wrong = MODEL | {"embed_dim": 64}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": wrong, "preprocess_cfg": {}}))
    with pytest.raises(EncoderError, match=r"open_clip_model\.safetensors do not fit"):
        load_encoder(f"open_clip:local-dir:{folder}", device="cpu")


def test_a_device_that_is_not_there_is_refused_before_anything_is_read(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(OptionError, match='`device="cpu"`'):
        load_encoder("open_clip:ViT-B-32/openai", device="cuda")


def test_loading_leaves_the_callers_logging_alone(tiny):
    import logging

    root = logging.getLogger()
    before = list(root.handlers)
    load_encoder(f"open_clip:local-dir:{tiny}", device="cpu")

    assert root.handlers == before


def closed_port():
    """Return a URL on this machine where nobody listens."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def silent_port():
    """Return a listening socket that never answers, as a network does that drops packets."""
    import socket

    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """Point the hub's cache at an empty folder."""
    from huggingface_hub import constants, file_download

    folder = tmp_path / "hub"
    for module in (constants, file_download):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(folder), raising=False)
    return folder


OFFLINE = """
import time, open_clip, retrieval.encoders
start = time.perf_counter()
try:
    retrieval.encoders.load_encoder("open_clip:ViT-B-32/laion2b_s34b_b79k", device="cpu")
except retrieval.errors.WeightsNotFound as error:
    print(f"{time.perf_counter() - start:.2f}", error)
"""


def test_offline_it_says_at_once_which_weights_how_large_where_and_how(tmp_path):
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-c", OFFLINE]
    process = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    seconds, _, message = process.stdout.strip().partition(" ")

    assert float(seconds) < 15  # usually 0.3: it does not wait for the network
    assert process.stderr == ""
    assert "laion/CLIP-ViT-B-32-laion2B-s34B-b79K (open_clip_model.safetensors, about 605 MB)" in message
    assert f"is not in {tmp_path}/hf/hub and HF_HUB_OFFLINE is set" in message
    assert "`hf download laion/CLIP-ViT-B-32-laion2B-s34B-b79K open_clip_model.safetensors`" in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", ["refused", "silent", "unroutable"])
def test_without_a_network_it_fails_at_once(empty_cache, monkeypatch, kind):
    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with silent_port() as server:
        endpoint = {
            "refused": closed_port(),
            "silent": f"http://127.0.0.1:{server.getsockname()[1]}",
            "unroutable": "http://192.0.2.1:81",  # RFC 5737: for documentation, routed nowhere
        }[kind]
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        start = time.perf_counter()
        with pytest.raises(WeightsNotFound, match=f"{endpoint} cannot be reached"):
            load_encoder("open_clip:ViT-B-32/laion2b_s34b_b79k", device="cpu")

    assert (
        time.perf_counter() - start < 15
    )  # usually 0.3 to 1.5: it does not wait as long as the network lets it


def test_the_wait_is_bounded_though_a_host_takes_the_connection():
    with silent_port() as server:
        start = time.perf_counter()
        reason = unreachable(f"http://127.0.0.1:{server.getsockname()[1]}", patience=0.2)

    assert reason is not None
    assert time.perf_counter() - start < 10  # the port stays silent for ever


def test_cached_weights_are_used_without_asking_the_network(empty_cache, monkeypatch):
    repository = empty_cache / "models--someone--tiny"
    save_tiny(repository / "snapshots" / ("0" * 40), PREPROCESSING["shortest"])
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("retrieval.encoders.checkpoints.unreachable", lambda url: pytest.fail(f"asked {url}"))
    encoder = load_encoder("open_clip:hf-hub:someone/tiny", device="cpu")

    check_encoder(encoder)


def test_sizes_read_well():
    assert readable_size(lambda: 605_156_676) == "about 605 MB"
    assert readable_size(lambda: 3_900_000_000) == "about 3.9 GB"
    assert readable_size(lambda: None) == "size unknown"
    assert readable_size(None) == "size unknown"


def test_the_family_describes_itself():
    assert FAMILY.available()
    assert FAMILY.install == pip_install("open-clip")


@pytest.mark.gpu
def test_half_precision_on_a_gpu_is_the_same_space(tiny, encoder):
    gpu = load_encoder(f"open_clip:local-dir:{tiny}", device="cuda")
    batch = np.stack([encoder.preprocess(image) for image in photos()])

    assert gpu.space == encoder.space
    assert np.einsum("nd,nd->n", gpu.encode_pixels(batch), encoder.encode_pixels(batch)).min() > 0.999
    check_encoder(gpu)
