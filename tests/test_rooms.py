"""What keeps the rooms in order: layers, faces, READMEs, sizes."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("indexes", "retrieval")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).glob("**/*.py"))
ROOMS = sorted({path.parent for path in MODULES})
LOOSE = {"indexes": 10, "retrieval": 10}
LONG = 350
"""Lines above which a module says why it is long."""
MOST = 12
"""Modules that a folder may hold, its face not counted."""
LARGER = {
    "tests/campaign": "a module for each kind of trouble that a campaign makes",
}
"""Folders that hold more, and why."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path): path for path in MODULES}


def room_of(module: str) -> str:
    while NAMES[module].name != "__init__.py":
        module = module.rpartition(".")[0]
    return module


def imports_of(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, module and name of every ``from module import name`` of ours."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in NAMES:
            for alias in node.names:
                yield node.lineno, node.module, alias.name


def exported(room: str) -> dict[str, str]:
    """Return the names that a room's face imports for others (``from module import name as name``) or defines, with their modules."""
    names = {}
    face = ast.parse(NAMES[room].read_text())
    for node in ast.walk(face):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.name: str(node.module) for alias in node.names if alias.name == alias.asname}
    for node in face.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = room
        elif isinstance(node, ast.Assign):
            names[ast.unparse(node.targets[0])] = room
    return names


def test_layers_hold() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as lint; lint()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_other_rooms_are_entered_by_their_door(path: Path) -> None:
    own = room_of(name_of(path))
    wrong = []
    for line, module, name in imports_of(path):
        room = room_of(module)
        if room == own or room in PACKAGES:
            continue
        if module != room or name not in exported(room):
            wrong.append(f"line {line}: from {module} import {name}")

    assert wrong == []


@pytest.mark.parametrize("room", [name_of(room / "__init__.py") for room in ROOMS])
def test_a_room_gives_what_its_face_imports_from_its_own_modules(room: str) -> None:
    module = importlib.import_module(room)
    for name, home in exported(room).items():
        given, own = getattr(module, name), importlib.import_module(home)
        assert given is (
            sys.modules.get(f"{room}.{name}")
            if home == room and inspect.ismodule(given)
            else getattr(own, name)
        )
        # Once a module is imported, Python puts it in the place of what is exported under its name.
        assert f"{room}.{name}" not in NAMES or inspect.ismodule(given), f"rename {name} or its module"


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: name_of(room / "__init__.py"))
def test_every_room_has_a_readme_that_names_its_modules(room: Path) -> None:
    readme = (room / "README.md").read_text()
    modules = [path.name for path in room.glob("*.py") if path.name != "__init__.py"]

    assert [name for name in modules if f"`{name}`" not in readme] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_few_modules_stand_loose(package: str) -> None:
    loose = [path.name for path in (ROOT / package).glob("*.py")]

    assert len(loose) <= LOOSE[package], loose


def test_no_folder_holds_more_modules_than_one_takes_in_at_a_glance() -> None:
    counts = Counter(
        path.parent.relative_to(ROOT).as_posix()
        for folder in ("indexes", "retrieval", "tests", "benchmarks", "tools")
        for path in (ROOT / folder).glob("**/*.py")
        if path.name != "__init__.py"
    )

    assert {folder for folder, modules in counts.items() if modules > MOST} == set(LARGER)


def test_long_modules_say_why() -> None:
    """A module of more than 350 lines has a reason in its docstring: a line that begins with ``Long because``."""
    long = [name_of(path) for path in MODULES if path.read_text().count("\n") > LONG]

    assert [
        name
        for name in long
        if "Long because" not in (ast.get_docstring(ast.parse(NAMES[name].read_text())) or "")
    ] == []
