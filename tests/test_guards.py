"""What keeps the house in order: layering, the public names, light start-up, the wheel, the README."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Union, get_origin

import pytest

import retrieval

ROOT = Path(__file__).parent.parent
THIRD_PARTY_OF_INDEXES = {"numpy", "faiss", "lmdb", "indexes"}


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_no_file_holds_marks_of_a_merge() -> None:
    files = [
        path
        for folder in ("indexes", "retrieval", "tests", "tools", "benchmarks")
        for suffix in ("py", "md")
        for path in (ROOT / folder).glob(f"**/*.{suffix}")
    ]
    marked = [
        str(path.relative_to(ROOT))
        for path in [*files, *ROOT.glob("*.md")]
        if re.search(r"^(<{7}|>{7}) ", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]

    assert files
    assert marked == []


@pytest.mark.parametrize("path", sorted((ROOT / "indexes").glob("**/*.py")), ids=lambda path: path.name)
def test_indexes_knows_only_vectors_and_bytes(path: Path) -> None:
    foreign = imports_of(path) - sys.stdlib_module_names - THIRD_PARTY_OF_INDEXES

    assert foreign == set()


@pytest.mark.parametrize("path", sorted((ROOT / "indexes").glob("**/*.py")), ids=lambda path: path.name)
def test_only_the_backend_imports_faiss(path: Path) -> None:
    if path.name != "backend.py":
        assert "faiss" not in imports_of(path)


def test_threads_are_started_by_the_pool_that_names_the_limit() -> None:
    pools = [
        path.relative_to(ROOT).as_posix()
        for package in ("indexes", "retrieval")
        for path in (ROOT / package).glob("**/*.py")
        if re.search(r"\bThreadPoolExecutor\b", path.read_text(encoding="utf-8"))
    ]

    assert pools == ["indexes/engine/thread_pool.py"]


@pytest.mark.parametrize("path", sorted((ROOT / "retrieval").glob("**/*.py")), ids=lambda path: path.name)
def test_retrieval_imports_nothing_that_only_regenerates_or_measures(path: Path) -> None:
    assert imports_of(path) & {"tools", "benchmarks", "tests"} == set()


def test_public_names_all_resolve() -> None:
    resolved = {name: getattr(retrieval, name) for name in retrieval.__all__}

    assert sorted(resolved) == retrieval.__all__
    assert all(callable(value) for value in resolved.values())


def test_public_functions_are_not_hidden_by_modules_of_their_name() -> None:
    modules = {path.stem for path in (ROOT / "retrieval").glob("*.py")} | {
        path.name for path in (ROOT / "retrieval").iterdir() if path.is_dir()
    }

    assert modules & set(retrieval.__all__) == set()


def test_public_callables_have_docstrings() -> None:
    for name in retrieval.__all__:
        value = getattr(retrieval, name)
        if get_origin(value) is not Union:  # an alias of types has none at run time
            assert (value.__doc__ or "").strip(), name


@pytest.mark.parametrize(
    "arguments", [["--help"], ["build-index", "--help"], ["query", "--help"], ["--version"]]
)
def test_help_stays_light(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from retrieval.cli import main\n"
        f"sys.argv = ['retrieve', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'faiss', 'onnxruntime'} & set(sys.modules)\n"
        "heavy |= {'numpy'} & set(sys.modules) if len(sys.argv) == 2 else set()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)


def test_wheel_holds_exactly_the_two_packages(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a copy: what an earlier build left behind must not come along
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("indexes", "retrieval"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        weights = sum(info.file_size for info in archive.infolist() if "/weights/" in info.filename)
    tops = {name.partition("/")[0] for name in names}
    modules = {
        str(path.relative_to(ROOT))
        for room in ("indexes", "retrieval")
        for path in (ROOT / room).glob("**/*.py")
    }

    assert {top for top in tops if not top.endswith(".dist-info")} == {"indexes", "retrieval"}
    assert {name for name in names if name.endswith(".py")} == modules
    assert {"indexes/py.typed", "retrieval/py.typed"} <= set(names)
    assert weights > 0
    assert wheel.stat().st_size <= 40_000_000


def readme_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_readme_documents_every_command() -> None:
    from retrieval.cli.group import retrieve

    readme = (ROOT / "README.md").read_text()

    assert [name for name in retrieve.commands if f"retrieve {name}" not in readme] == []


def test_readme_python_runs(tmp_path: Path) -> None:
    """Run the README's Python, block after block, in a folder that holds what it names."""
    blocks = readme_blocks("python")
    assert blocks
    skimage = pytest.importorskip("skimage", reason="the README's example photographs come with scikit-image")
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in (Path(skimage.__file__).parent / "data").glob("*.png"):
        (photos / path.name).write_bytes(path.read_bytes())
    script = "\n".join(blocks)
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, cwd=tmp_path)
