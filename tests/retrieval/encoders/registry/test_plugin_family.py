"""A plug-in needs its loader only, against a committed fake distribution (`tests/fixtures/loaders`)."""

import inspect
import re
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.encoders import canonical_spec, installed_families, load_encoder
from retrieval.errors import EncoderError, MissingExtra, OptionError, UnknownEncoder
from retrieval.testing import FakeEncoder, check_encoder, check_family

FIXTURES = Path(__file__).parents[3] / "fixtures"


@pytest.fixture(autouse=True)
def loaders(monkeypatch):
    """Install the distribution whose entry points name loaders."""
    monkeypatch.syspath_prepend(FIXTURES / "loaders")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("colours", "colours"),
        ("coloured", "colours"),
        ("patches", "patches:small"),
        ("patches:large", "patches:large"),
        ("tiles:any", "tiles:any"),
        ("versions@1", "versions@1"),
        ("versions", "versions@2"),
        ("unlisted:x", "unlisted x None auto"),
    ],
)
def test_a_class_a_function_an_object_and_a_bare_family_are_opened_by_name(spec, name):
    encoder = load_encoder(spec)

    assert encoder.space.name == name
    check_encoder(encoder)


@pytest.mark.parametrize(
    ("spec", "canonical"),
    [("colours", "colours"), ("patches: large", "patches:large"), ("versions", "versions@2")],
)
def test_a_spec_has_its_canonical_form_without_a_word_of_the_plugin(spec, canonical):
    assert canonical_spec(spec) == canonical


def test_what_a_loader_takes_is_listed_and_what_only_loading_would_tell_is_not_known():
    listed = {family["spec"]: family for family in installed_families()}

    assert listed["colours"] == {
        "spec": "colours",
        "available": True,
        "image": True,
        "text": False,
        "differentiable": False,
        "install": None,
    }
    assert {spec for spec in listed if spec.startswith("patches")} == {"patches", "patches:MODEL"}
    assert [spec for spec in listed if spec.startswith("tiles")] == ["tiles:MODEL"]
    assert [spec for spec in listed if spec.startswith("versions")] == ["versions@1", "versions@2"]
    assert listed["patches"]["text"] is None  # the function does not say what it returns
    assert listed["tiles:MODEL"]["text"] is True  # this one does
    assert not listed["number"]["available"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("colours:red", r"colours has no models; write one of colours$"),
        ("patches@2", r"patches has no versions; write one of patches, patches:MODEL$"),
        ("tiles", r"tiles needs a model; write one of tiles:MODEL$"),
    ],
)
def test_a_spec_that_does_not_fit_the_loader_is_answered_with_those_that_do(spec, message):
    with pytest.raises(UnknownEncoder, match=message):
        load_encoder(spec)


def test_a_device_goes_to_a_loader_that_takes_one_and_is_refused_by_one_that_cannot():
    assert load_encoder("tiles:x", device="cuda:1").device == "cuda:1"
    assert load_encoder("colours", device="cpu").space.name == "colours"
    with pytest.raises(OptionError, match=r"colours runs on cpu, and its loader takes no `device`"):
        load_encoder("colours", device="cuda")


def test_a_package_that_a_loader_misses_is_named_with_what_installs_it():
    with pytest.raises(
        MissingExtra, match=r"'retrieve-loaders' needs more.*pip install a_module_that_nobody_has"
    ):
        load_encoder("incomplete")


def test_a_loader_that_needs_what_no_spec_says_is_named():
    with pytest.raises(EncoderError, match="needs the argument 'key', which a spec does not give"):
        load_encoder("demanding")


def test_an_entry_point_that_names_no_loader_is_answered_with_what_one_is():
    with pytest.raises(
        EncoderError, match=r"retrieve_loaders:NUMBER of 'retrieve-loaders' has no loader: .*template"
    ):
        load_encoder("number")


def test_a_model_that_the_loader_does_not_know_names_the_plugin():
    with pytest.raises(EncoderError, match=r"patches:huge: the plugin 'retrieve-loaders' failed .*KeyError"):
        load_encoder("patches:huge")


def test_the_plugin_of_the_guide_works_as_it_stands_there(tmp_path, monkeypatch):
    guide = (Path(__file__).parents[4] / "retrieval" / "encoders" / "README.md").read_text()
    module = re.search(
        r"```python\n(import numpy.*?class Colours.*?)check_encoder\(Colours", guide, re.DOTALL
    )
    group, point = re.search(r'\[project.entry-points."(.*?)"\]\ncolours = "(.*?)"', guide).groups()
    metadata = tmp_path / "my_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\ncolours = {point}\n")
    (tmp_path / "my_package.py").write_text(module[1])
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(p for p in sys.path if "fixtures" not in p)])

    check_family("colours")


def test_the_template_that_help_shows_is_an_encoder():
    """All but the network, which is what its reader brings, and the words that a reader may leave out."""
    doc = inspect.cleandoc(retrieval.Encoder.__doc__)
    code = textwrap.dedent(doc.partition("::\n\n")[2].partition("def encode_text")[0].rstrip())
    names = {
        "np": np,
        "retrieval": retrieval,
        "WEIGHTS": "weights of 2026",
        "load_my_network": lambda weights: (
            lambda batch: batch[:, ::16, ::16].reshape(len(batch), -1)[:, :512] + 0.1
        ),
    }
    exec(code, names)  # noqa: S102 - of our own docstring

    encoder = load_encoder(names["Mine"])
    assert encoder.space.dim == 512
    check_encoder(encoder)


class TestObjects:
    def test_a_class_is_made_an_object(self):
        encoder = load_encoder(FakeEncoder)

        assert encoder.space.same_as(FakeEncoder().space)

    def test_a_class_whose_objects_need_arguments_is_named(self):
        class Sized(FakeEncoder):
            def __init__(self, size):
                super().__init__(dim=size)

        with pytest.raises(
            EncoderError, match=r"the class Sized, and its objects need arguments .*'size'.*Sized\(…\)"
        ):
            load_encoder(Sized)

    @pytest.mark.parametrize("given", [lambda image: image, FakeEncoder().encode_pixels, 7, dict])
    def test_what_is_no_encoder_is_answered_with_what_is_missing_and_the_template(self, given):
        with pytest.raises(
            EncoderError, match=r"has no .*encode_pixels; `help\(retrieval.Encoder\)` shows a template"
        ):
            load_encoder(given)

    def test_a_space_that_is_a_name_is_answered_with_how_one_is_made(self):
        class Named(FakeEncoder):
            space = "mine"

        with pytest.raises(
            EncoderError, match=r"has a str as space; expected retrieval.Space\(.*retrieval.fingerprint"
        ):
            load_encoder(Named())
