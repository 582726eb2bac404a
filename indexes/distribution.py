"""Make the install commands that messages name, find plugins, and detect foreign packages that shadow ours.

The names `retrieval` and `indexes` belong to other people on PyPI, and ours is not published there yet. So a command
names where this installation came from: a checkout, a wheel file, a repository. pip keeps that in ``direct_url.json``
beside the metadata (PEP 610).
"""

from __future__ import annotations

import functools
import os
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from indexes import DISTRIBUTION
from indexes.errors import DistributionConflict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.metadata import EntryPoint

OLD = "retrieval"  # our own name before, and today a stranger's
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # what holds the two packages


def pip_install(*extras: str, options: str = "") -> str:
    """Return the shell command that installs this distribution with some extras from where it came.

    Args:
        extras: of `pyproject.toml`, such as ``cpu``; none reinstalls it as it is.
        options: of `pip install`, such as ``--force-reinstall``.
    """
    wanted = f"[{','.join(extras)}]" if extras else ""
    return " ".join(["pip install", *([options] if options else []), _target(wanted)])


@functools.cache
def refuse_old_distribution() -> None:
    """Raise if the distribution that had our packages before, or a stranger of its name, is installed beside ours.

    One that was installed from the folder of this very code is harmless.

    Raises:
        DistributionConflict: it is, and ours is installed too.
    """
    # Every start of the command comes by here: the folders are listed once, and few names are looked at closely.
    first_words = tuple(re.split("[-_.]", name)[0] for name in (OLD, DISTRIBUTION))
    folders = [entry for entry in metadata_folders() if entry.name.lower().startswith(first_words)]
    old = [entry.path for entry in folders if belongs(entry.name, OLD)]
    ours = [entry.path for entry in folders if belongs(entry.name, DISTRIBUTION)] if old else []
    if not ours or not old:
        return
    for folder in old:
        source = _source(folder)
        if "dir_info" in source and _same(_path_of(source), HERE):
            continue
        mend = f"pip uninstall -y {OLD}"
        if "dir_info" not in _source(ours[0]) or not _source(ours[0])["dir_info"].get("editable"):
            mend += f" && {pip_install(options='--force-reinstall --no-deps')}"  # both own the same files
        raise DistributionConflict(
            f"{folder}: the distribution {OLD!r} is installed beside {DISTRIBUTION!r}, and both bring the package "
            f"'retrieval'; remove it: {mend}"
        )


def metadata_folders() -> Iterator[os.DirEntry[str]]:
    """Yield the ``.dist-info`` and ``.egg-info`` of every installed distribution, in the order of `sys.path`.

    It lists folders only: importing importlib.metadata takes tens of milliseconds.
    """
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as entries:
                found = [entry for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
        yield from found


def others_mention(group: str) -> bool:
    """Say whether any installed distribution but ours mentions an entry-point group.

    It only looks into the files: importing importlib.metadata and parsing every distribution takes tens of
    milliseconds of a query that seldom has any plugin.
    """
    for entry in metadata_folders():
        if belongs(entry.name, DISTRIBUTION) or belongs(entry.name, OLD):
            continue
        try:
            with open(os.path.join(entry.path, "entry_points.txt"), "rb") as file:
                if group.encode() in file.read():
                    return True
        except OSError:  # most have none
            continue
    return False


def entry_points_of(group: str, ours: Mapping[str, str]) -> list[EntryPoint]:
    """Return the plugins' entry points of a group; our own are left out.

    Args:
        group: such as ``retrieval.encoders``.
        ours: the value of each of our own, by name.
    """
    from importlib.metadata import entry_points

    return [point for point in entry_points(group=group) if ours.get(point.name) != point.value]


def owner_of(point: EntryPoint) -> str:
    """Return the name of the distribution that an entry point belongs to."""
    return "an unnamed distribution" if point.dist is None else point.dist.name


def claimants_of(name: str, group: str, ours: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return what an entry point's name leads to, as ``module:attribute``, and the distributions that claim it; ours first.

    Args:
        name: of the entry point.
        group: such as ``retrieval.encoders``.
        ours: the value of each of our own, by name. For them no plugin's metadata is parsed where none mentions the group.
    """
    search = name not in ours or others_mention(group)
    points = [point for point in entry_points_of(group, ours) if point.name == name] if search else []
    owners = sorted({owner_of(point) for point in points})
    if name in ours:
        return ours[name], [DISTRIBUTION, *owners]
    return (points[0].value if points else ""), owners


def metadata_of(name: str) -> list[str]:
    """Return the metadata folders of a distribution; the first one is the one in use."""
    return [entry.path for entry in metadata_folders() if belongs(entry.name, name)]


def belongs(folder: str, name: str) -> bool:
    """Say whether a metadata folder's name is that of a distribution, in any spelling."""
    spelled = re.sub("[-_.]+", "[-_.]+", name)
    return re.fullmatch(rf"{spelled}(-\d.*)?\.(dist|egg)-info", folder, flags=re.IGNORECASE) is not None


def _target(extras: str) -> str:
    import shlex

    found = metadata_of(DISTRIBUTION)
    source = _source(found[0]) if found else {}
    url, path = source.get("url", ""), _path_of(source)
    if path is not None and os.path.exists(path):
        editable = "-e " if source.get("dir_info", {}).get("editable") else ""
        return editable + shlex.quote(path + extras)
    if "vcs_info" in source:
        revision = source["vcs_info"].get("requested_revision")
        at = f"@{revision}" if revision else ""
        return shlex.quote(f"{DISTRIBUTION}{extras} @ {source['vcs_info'].get('vcs', 'git')}+{url}{at}")
    if "archive_info" in source and path is None:
        return shlex.quote(f"{DISTRIBUTION}{extras} @ {url}")
    if _is_checkout(HERE):
        return "-e " + shlex.quote(HERE + extras)
    return shlex.quote(DISTRIBUTION + extras)


def _source(metadata: str) -> dict[str, Any]:
    """Return what pip noted of where a distribution came from; empty where it noted nothing that can be read."""
    import json

    try:
        with open(os.path.join(metadata, "direct_url.json"), encoding="utf-8") as file:
            facts = json.load(file)
    except (OSError, ValueError):
        return {}
    expected = {"url": str, "dir_info": dict, "vcs_info": dict, "archive_info": dict}
    sound = isinstance(facts, dict) and isinstance(facts.get("url"), str)
    return (
        {key: facts[key] for key, kind in expected.items() if isinstance(facts.get(key), kind)}
        if sound
        else {}
    )


def _path_of(source: dict[str, Any]) -> str | None:
    parts = urlsplit(source.get("url", ""))
    return unquote(parts.path) if parts.scheme == "file" and "vcs_info" not in source else None


def _is_checkout(folder: str) -> bool:
    try:
        with open(os.path.join(folder, "pyproject.toml"), encoding="utf-8") as file:
            return f'name = "{DISTRIBUTION}"' in file.read()
    except (OSError, ValueError):
        return False


def _same(first: str | None, second: str) -> bool:
    return first is not None and os.path.realpath(first) == os.path.realpath(second)
