"""Commands that install us name where we came from, and no other distribution stands in our place unnoticed."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from indexes import DISTRIBUTION, distribution
from indexes.distribution import belongs, pip_install, refuse_old_distribution
from indexes.errors import DistributionConflict

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for room in ("indexes", "retrieval", "benchmarks", "tools") for path in (ROOT / room).glob("**/*.py")
)


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """Hide what is installed, so that each test decides."""
    refuse_old_distribution.cache_clear()
    monkeypatch.setattr(sys, "path", [])
    yield
    refuse_old_distribution.cache_clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Give a function that puts a distribution's metadata on the path, as pip leaves it."""

    def put(name: str, direct_url: object | None = None, *, folder: str = "site") -> Path:
        metadata = tmp_path / folder / f"{name.replace('-', '_')}-0.1.0.dist-info"
        metadata.mkdir(parents=True)
        if direct_url is not None:
            text = direct_url if isinstance(direct_url, str) else json.dumps(direct_url)
            (metadata / "direct_url.json").write_text(text)
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / folder)])
        return metadata

    return put


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Let the code lie in no checkout, as in site-packages."""
    monkeypatch.setattr(distribution, "HERE", str(tmp_path / "nowhere"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_advises_to_install_a_strangers_package(path):
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    stranger = re.compile(r"\bretrieval\[|\bindexes\[|pip install[^;,.]*\s['\"]?(retrieval|indexes)\b")

    assert [text for text in texts if stranger.search(text)] == []


def test_the_extras_refer_to_the_distribution_by_its_own_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [line for lines in project["optional-dependencies"].values() for line in lines]

    assert project["name"] == DISTRIBUTION == "retrieval-engine"
    assert [line for line in named if line.startswith(f"{DISTRIBUTION}[")]
    assert [line for line in named if re.match(r"(retrieval|indexes)\b(?!-engine)", line)] == []


def test_a_checkout_that_was_never_installed_is_named():
    assert pip_install("cpu") == f"pip install -e '{ROOT}[cpu]'"


def test_an_editable_installation_is_named_by_its_checkout(install, tmp_path, elsewhere):
    checkout = tmp_path / "my checkout"
    checkout.mkdir()
    install(DISTRIBUTION, {"url": checkout.as_uri(), "dir_info": {"editable": True}})

    assert pip_install("cpu") == f"pip install -e '{checkout}[cpu]'"
    assert pip_install() == f"pip install -e '{checkout}'"


def test_an_installed_folder_is_named_without_making_it_editable(install, tmp_path, elsewhere):
    install(DISTRIBUTION, {"url": tmp_path.as_uri(), "dir_info": {}})

    assert pip_install("onnx", "plot") == f"pip install '{tmp_path}[onnx,plot]'"


def test_a_wheel_file_is_named(install, tmp_path, elsewhere):
    wheel = tmp_path / "retrieval_engine-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"")
    install(DISTRIBUTION, {"url": wheel.as_uri(), "archive_info": {"hash": "sha256=0"}})

    assert pip_install("heif") == f"pip install '{wheel}[heif]'"
    assert pip_install(options="--force-reinstall") == f"pip install --force-reinstall {wheel}"


def test_a_repository_is_named_with_its_revision(install, elsewhere):
    facts = {"url": "https://example.org/r.git", "vcs_info": {"vcs": "git", "requested_revision": "v1"}}
    install(DISTRIBUTION, facts)

    assert pip_install("cpu") == f"pip install '{DISTRIBUTION}[cpu] @ git+https://example.org/r.git@v1'"


def test_a_wheel_from_the_web_is_named(install, elsewhere):
    install(DISTRIBUTION, {"url": "https://example.org/r.whl", "archive_info": {}})

    assert pip_install("cpu") == f"pip install '{DISTRIBUTION}[cpu] @ https://example.org/r.whl'"


@pytest.mark.parametrize(
    "facts", [None, "{", "[]", {"url": 3}, {"dir_info": {}}, {"url": "file:///gone", "dir_info": {}}]
)
def test_without_a_source_that_can_be_had_the_name_is_all_there_is(install, elsewhere, facts):
    install(DISTRIBUTION, facts)

    assert pip_install("cpu") == f"pip install '{DISTRIBUTION}[cpu]'"


def test_nothing_installed_at_all_is_no_error(elsewhere):
    assert pip_install("cpu") == f"pip install '{DISTRIBUTION}[cpu]'"
    refuse_old_distribution()


@pytest.mark.parametrize(
    ("folder", "ours"),
    [
        ("retrieval-0.1.0.dist-info", True),
        ("Retrieval-3.dist-info", True),
        ("retrieval.egg-info", True),
        ("retrieval_engine-0.1.0.dist-info", False),
        ("retrieval_tools-1.dist-info", False),
    ],
)
def test_a_metadata_folder_belongs_to_one_name_only(folder, ours):
    assert belongs(folder, "retrieval") is ours


@pytest.mark.parametrize("facts", [None, {"url": "file:///another/checkout", "dir_info": {"editable": True}}])
def test_the_old_distribution_beside_ours_is_refused_with_the_line_that_removes_it(install, facts):
    install(DISTRIBUTION, {"url": ROOT.as_uri(), "dir_info": {"editable": True}})
    install("retrieval", facts, folder="other")

    with pytest.raises(DistributionConflict, match=r"pip uninstall -y retrieval$"):
        refuse_old_distribution()


def test_two_wheels_share_files_so_ours_is_installed_again(install, tmp_path, elsewhere):
    wheel = tmp_path / "w.whl"
    wheel.write_bytes(b"")
    install(DISTRIBUTION, {"url": wheel.as_uri(), "archive_info": {}})
    install("retrieval", folder="other")

    with pytest.raises(DistributionConflict, match=f"&& pip install --force-reinstall --no-deps {wheel}"):
        refuse_old_distribution()


def test_the_same_checkout_under_its_old_name_is_harmless(install):
    install(DISTRIBUTION, {"url": ROOT.as_uri(), "dir_info": {"editable": True}})
    install("retrieval", {"url": ROOT.as_uri(), "dir_info": {"editable": True}}, folder="other")

    refuse_old_distribution()


def test_the_old_distribution_alone_is_this_code_under_its_old_name(install):
    install("retrieval")

    refuse_old_distribution()


def run(code: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*paths, ROOT]))}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd="/", check=False
    )


@pytest.mark.parametrize("text", ["", "DISTRIBUTION = 'retrieval-engine'\n"], ids=["foreign", "older copy"])
def test_another_package_indexes_in_our_place_is_one_clear_error(tmp_path, text):
    (tmp_path / "indexes").mkdir()
    (tmp_path / "indexes" / "__init__.py").write_text(text)

    done = run("import retrieval", tmp_path)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"ImportError: Python imports the package 'indexes' from {tmp_path / 'indexes'}, which is not the one"
    )
    assert "pip uninstall indexes" in done.stderr


def test_the_command_says_in_one_line_that_the_old_distribution_is_there(tmp_path):
    for name, source in (
        ("retrieval_engine", {"url": ROOT.as_uri(), "dir_info": {"editable": True}}),
        ("retrieval", {}),
    ):
        (tmp_path / f"{name}-0.1.0.dist-info").mkdir()
        (tmp_path / f"{name}-0.1.0.dist-info" / "direct_url.json").write_text(json.dumps(source))

    done = run("import sys; from retrieval.cli import main; sys.exit(main(['encoders']))", tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "pip uninstall -y retrieval" in done.stderr
    assert "pip uninstall" in run("import retrieval; retrieval.open", tmp_path).stderr
