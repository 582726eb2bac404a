"""timm models, made tiny here and read back through the real code; no weights are downloaded."""

import json

import numpy as np
import pytest
from PIL import Image

from retrieval.encoders import TextEncoder, load_encoder
from retrieval.errors import EncoderError, UnknownEncoder, WeightsNotFound
from retrieval.testing import check_encoder

timm = pytest.importorskip("timm", reason="timm comes with the extra open-clip")
torch = pytest.importorskip("torch", reason="torch comes with the extra open-clip")

NAME = "mobilenetv3_small_050"  # its pooled features are wider than its last feature map


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weight file of random values, its classifier included, as timm publishes them."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model(NAME, pretrained=False)
    path = tmp_path_factory.mktemp("timm") / "weights.safetensors"
    save_file(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def encoder(weights):
    """The model, loaded by its spec."""
    return load_encoder(f"timm:{NAME}/{weights}", device="cpu")


def photos():
    """Return images of several shapes."""
    random = np.random.default_rng(1)
    sizes = [(320, 240), (100, 333), (224, 224), (31, 17)]
    return [
        Image.fromarray(random.integers(0, 256, (h, w, 3), dtype=np.uint8)).convert("RGB") for w, h in sizes
    ]


def test_it_keeps_the_contract_and_claims_no_text(encoder):
    check_encoder(encoder)
    assert not isinstance(encoder, TextEncoder)
    assert encoder.space.name.startswith(f"timm:{NAME}/")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"crop_mode": "squash", "interpolation": "bilinear"},
        {"crop_mode": "border", "mean": (0.5, 0.4, 0.3)},
        {"crop_pct": 1.0, "interpolation": "lanczos"},
        {"input_size": (3, 192, 160), "crop_pct": 0.9},
    ],
)
def test_preprocessing_is_timms_own(tmp_path, weights, changed):
    config = timm.create_model(NAME, pretrained=False).default_cfg | changed
    (tmp_path / "config.json").write_text(json.dumps({"architecture": NAME, "pretrained_cfg": config}))
    (tmp_path / "model.safetensors").symlink_to(weights)
    own = load_encoder(f"timm:local-dir:{tmp_path}", device="cpu")
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=config))
    for image in photos():
        np.testing.assert_allclose(transform(image).numpy(), own.preprocess(image), atol=1e-5)


def test_vectors_are_timms_own_pooled_features(encoder, weights):
    model = timm.create_model(NAME, pretrained=False, num_classes=0, checkpoint_path="").eval()
    from safetensors.torch import load_file

    model.load_state_dict(load_file(weights), strict=False)
    batch = np.stack([encoder.preprocess(image) for image in photos()])
    with torch.inference_mode():
        features = torch.nn.functional.normalize(model(torch.from_numpy(batch)), dim=-1).numpy()

    assert encoder.space.dim == features.shape[1] == 1024
    assert np.einsum("nd,nd->n", features, encoder.encode_pixels(batch)).min() > 0.9999


def test_the_folder_form_is_the_same_space_as_the_file_form(encoder, tmp_path, weights):
    config = timm.create_model(NAME, pretrained=False).default_cfg
    (tmp_path / "config.json").write_text(json.dumps({"architecture": NAME, "pretrained_cfg": config}))
    (tmp_path / "model.safetensors").symlink_to(weights)

    assert load_encoder(f"timm:local-dir:{tmp_path}", device="cpu").space.same_as(encoder.space)


def test_unknown_models_and_tags_list_what_is_near():
    with pytest.raises(UnknownEncoder, match=r"timm has no model 'resnet19'; close: .*resnet18"):
        load_encoder("timm:resnet19", device="cpu")
    with pytest.raises(UnknownEncoder, match=r"no weights 'a9' for resnet18; tags: .*a1_in1k"):
        load_encoder("timm: resnet18.a9", device="cpu")
    with pytest.raises(UnknownEncoder, match="timm takes a model"):
        load_encoder("timm")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(WeightsNotFound, match=r"no file .*none\.safetensors"):
        load_encoder(f"timm:resnet18/{tmp_path}/none.safetensors", device="cpu")
    with pytest.raises(UnknownEncoder, match=r"config\.json does not exist"):
        load_encoder(f"timm:local-dir:{tmp_path}", device="cpu")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsNotFound, match=r"put model\.safetensors"):
        load_encoder(f"timm:local-dir:{tmp_path}", device="cpu")


def test_weights_of_another_model_are_refused_by_name(weights):
    with pytest.raises(EncoderError, match=r"weights\.safetensors do not fit"):
        load_encoder(f"timm:resnet18/{weights}", device="cpu")


def test_offline_it_says_which_weights_and_how_large(tmp_path, monkeypatch):
    from huggingface_hub import constants, file_download

    for module in (constants, file_download):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(tmp_path), raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    expected = (
        r"timm/resnet18\.a1_in1k \(model\.safetensors, about 45 MB\) is not in .* and HF_HUB_OFFLINE is set"
    )
    with pytest.raises(WeightsNotFound, match=expected):
        load_encoder("timm:resnet18", device="cpu")
