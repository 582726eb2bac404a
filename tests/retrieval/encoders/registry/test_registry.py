"""Specs, plugins and conflicts, against committed fake distributions (`tests/fixtures`)."""

import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.encoders import canonical_spec, installed_families, load_encoder
from retrieval.encoders.registry.registry import BUILT_IN, Spec, parse_spec
from retrieval.errors import EncoderConflict, EncoderError, UnknownEncoder
from retrieval.testing import FakeEncoder, check_encoder

FIXTURES = Path(__file__).parents[3] / "fixtures"


@pytest.fixture
def plugin(monkeypatch):
    """Install the well-behaved fake distribution."""
    monkeypatch.syspath_prepend(FIXTURES / "plugin")


@pytest.fixture
def rival(monkeypatch):
    """Install a distribution that claims schemes of others."""
    monkeypatch.syspath_prepend(FIXTURES / "rival")


@pytest.fixture
def broken(monkeypatch):
    """Install a distribution whose plugins are unusable."""
    monkeypatch.syspath_prepend(FIXTURES / "broken")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nano", Spec(scheme="nano")),
        (" nano ", Spec(scheme="nano")),
        ("nano@1", Spec(scheme="nano", version="1")),
        ("open_clip: ViT-B-32/laion2b ", Spec(scheme="open_clip", model="ViT-B-32/laion2b")),
        ("open_clip:hf-hub:org/model@v2", Spec(scheme="open_clip", model="hf-hub:org/model@v2")),
        ("onnx:C:/a b", Spec(scheme="onnx", model="C:/a b")),
    ],
)
def test_a_spec_splits_at_its_first_separator_and_loses_outer_spaces(text, expected):
    actual = parse_spec(text)

    assert expected == actual


@pytest.mark.parametrize("text", ["", "  ", ":x", "@1", "nano@", "timm: "])
def test_an_empty_part_is_refused_with_the_forms(text):
    with pytest.raises(UnknownEncoder, match="SCHEME@VERSION"):
        parse_spec(text)


def test_an_encoder_object_is_returned_as_it_is():
    encoder = FakeEncoder()

    assert load_encoder(encoder) is encoder


def test_an_object_that_is_no_encoder_is_refused_by_what_it_lacks():
    with pytest.raises(
        EncoderError, match=r"\(int\) is no encoder: it has no space, preprocess, encode_pixels"
    ):
        load_encoder(7)


def test_an_unknown_scheme_lists_what_exists_and_what_was_meant():
    with pytest.raises(
        UnknownEncoder, match=r"did you mean 'open_clip'\? Known: nano, open_clip, timm, onnx"
    ):
        load_encoder("open-clip:ViT-B-32/openai")


def test_a_bare_model_name_is_answered_with_both_valid_forms():
    with pytest.raises(UnknownEncoder, match=r"open_clip:ViT-B-32/TAG or timm:ViT-B-32"):
        load_encoder("ViT-B-32")


def test_a_plugin_is_found_and_keeps_the_contract(plugin):
    encoder = load_encoder("stripes:wide")

    assert encoder.space.dim == 128
    check_encoder(encoder)


def test_a_bare_scheme_means_its_newest_version_by_number(plugin):
    assert canonical_spec(" stripes ") == "stripes@10"
    assert load_encoder("stripes").space.name == "stripes@10"
    assert load_encoder("stripes@9").space.name == "stripes@9"


def test_a_spec_with_a_version_or_model_is_canonical(plugin):
    assert canonical_spec("stripes@9") == "stripes@9"
    assert canonical_spec("stripes: wide ") == "stripes:wide"


def test_a_relative_folder_becomes_absolute_so_that_another_directory_finds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert canonical_spec("onnx:models/mine") == f"onnx:{tmp_path}/models/mine"
    assert canonical_spec("open_clip:local-dir:mine") == f"open_clip:local-dir:{tmp_path}/mine"
    assert canonical_spec("open_clip:ViT-B-32/a/b.pt") == f"open_clip:ViT-B-32/{tmp_path}/a/b.pt"
    assert canonical_spec("open_clip:ViT-B-32/laion2b_s34b_b79k") == "open_clip:ViT-B-32/laion2b_s34b_b79k"
    assert canonical_spec("timm:resnet18.a1_in1k") == "timm:resnet18.a1_in1k"


def test_the_family_names_its_versions_when_one_is_unknown(plugin):
    with pytest.raises(UnknownEncoder, match="9, 10, wide"):
        load_encoder("stripes@11")


def test_two_distributions_with_one_scheme_are_both_named(plugin, rival):
    with pytest.raises(EncoderConflict, match="'retrieve-rival' and 'retrieve-stripes'"):
        load_encoder("stripes")


def test_a_distribution_that_claims_a_built_in_scheme_is_named(rival):
    with pytest.raises(EncoderConflict, match="'retrieval-engine' and 'retrieve-rival'"):
        load_encoder("nano")


@pytest.mark.parametrize("name", ["retrieval-engine", "retrieval"])
def test_our_own_installed_metadata_is_no_conflict(tmp_path, monkeypatch, name):
    metadata = tmp_path / f"{name.replace('-', '_')}-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[retrieval.encoders]\nonnx = retrieval.encoders.families.onnx:FAMILY\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    assert canonical_spec("onnx:/x") == "onnx:/x"


def test_a_built_in_scheme_is_found_without_parsing_every_distribution(monkeypatch):
    monkeypatch.setattr("indexes.distribution.entry_points_of", lambda *_: pytest.fail("parsed"))

    assert canonical_spec("timm:resnet18") == "timm:resnet18"


def test_a_plugin_that_fails_to_import_names_its_distribution_and_the_cause(broken):
    with pytest.raises(
        EncoderError, match=r"'retrieve-broken' cannot be imported: .*a_module_that_nobody_has"
    ):
        load_encoder("broken")


def test_a_plugin_whose_family_is_no_family_is_named(broken):
    with pytest.raises(EncoderError, match=r"'retrieve-broken' has no loader: .*no attribute 'open'"):
        load_encoder("hollow")


def test_a_plugin_that_crashes_while_opening_is_named(plugin):
    with pytest.raises(
        EncoderError, match=r"stripes:crash: the plugin 'retrieve-stripes' failed .*weights on fire"
    ):
        load_encoder("stripes:crash")


def test_a_plugin_that_opens_something_else_is_named(plugin):
    with pytest.raises(EncoderError, match="'retrieve-stripes' opened for stripes:nothing is no encoder"):
        load_encoder("stripes:nothing")


def test_families_lists_everything_and_survives_a_broken_plugin(plugin, broken):
    listed = {entry["spec"]: entry for entry in installed_families()}

    assert listed["stripes@10"] == {
        "spec": "stripes@10",
        "available": True,
        "image": True,
        "text": True,
        "differentiable": False,
        "install": None,
    }
    assert listed["onnx:DIR"]["available"]
    assert not listed["timm:MODEL"]["text"]
    assert not listed["broken"]["available"]
    assert "a_module_that_nobody_has" in listed["broken"]["install"]


def test_built_in_families_need_no_metadata_and_import_nothing_heavy():
    code = (
        "import sys; from retrieval.encoders import installed_families, canonical_spec; canonical_spec('timm:x'); "
        "canonical_spec('open_clip:x/y'); canonical_spec('onnx:x'); "
        "print(*[m for m in ('torch', 'onnxruntime', 'open_clip', 'timm', 'PIL', 'faiss') if m in sys.modules])"
    )
    root = str(Path(__file__).parents[4])
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={"PYTHONPATH": root},
    )

    assert process.stdout.strip() == ""
    assert BUILT_IN.keys() == {"nano", "open_clip", "timm", "onnx"}
