"""A drive that was mounted below the folder and is away does not cost its images their rows."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import retrieval
from retrieval.errors import PruneRefused
from retrieval.sources.folders import folder_walk as walking
from retrieval.sources.folders.folder_memory import read_folders
from tests.retrieval.folders import CountingEncoder, fill
from tests.retrieval.ingestion.galleries import build, paths


@pytest.fixture
def forty(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", [f"local/{number}.png" for number in range(30)])


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return fill(tmp_path / "drive", [f"{number}.png" for number in range(10)], first=100)


Mount = Callable[..., None]


@pytest.fixture
def mounted(forty: Path) -> Iterator[Mount]:
    """Mount something at a folder; what is left mounted is unmounted."""
    places: list[Path] = []

    def mount(place: Path, *arguments: str) -> None:
        place.mkdir(exist_ok=True)
        done = subprocess.run(["mount", *arguments, place], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        places.append(place)

    yield mount
    for place in reversed(places):
        subprocess.run(["umount", place], capture_output=True, check=False)


def unmount(place: Path) -> None:
    subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root mounts")
class TestMounted:
    @pytest.mark.parametrize("kind", ["bind", "tmpfs"])
    def test_a_drive_that_is_away_stops_the_build(
        self, forty: Path, drive: Path, mounted: Mount, encoder: CountingEncoder, kind: str
    ) -> None:
        usb = forty / "usb drive"
        if kind == "bind":
            mounted(usb, "--bind", str(drive))
        else:
            mounted(usb, "-t", "tmpfs", "-o", "size=4m", "tmpfs")
            shutil.copytree(drive, usb, dirs_exist_ok=True)
        assert build(forty, encoder).images == 40
        assert build(forty, encoder).images == 40
        unmount(usb)

        for _ in range(2):
            with pytest.raises(PruneRefused, match=r"10 of 40.*usb drive.*`prune=True`"):
                build(forty, encoder)
        usb.rmdir()  # as desktops do
        with pytest.raises(PruneRefused, match=r"10 of 40.*usb drive.*`prune=True`"):
            build(forty, encoder)

        assert len(paths(forty, encoder)) == 40
        assert build(forty, encoder, prune=True).images == 30
        assert build(forty, encoder).images == 30
        assert not any(folder.mount for folder in read_folders(forty / ".retrieve").values())

    def test_a_drive_that_comes_back_costs_nothing(
        self, forty: Path, drive: Path, mounted: Mount, encoder: CountingEncoder
    ) -> None:
        usb = forty / "a/b/usb"
        usb.parent.mkdir(parents=True)
        mounted(usb, "--bind", str(drive))
        build(forty, encoder)
        unmount(usb)
        with pytest.raises(PruneRefused):
            build(forty, encoder)
        mounted(usb, "--bind", str(drive))

        report = build(forty, encoder)

        assert (report.images, report.encoded, report.removed) == (40, 0, 0)

    def test_a_part_of_the_root_knows_its_mounts_too(
        self, forty: Path, drive: Path, mounted: Mount, encoder: CountingEncoder
    ) -> None:
        (forty / "part").mkdir()
        mounted(forty / "part/usb", "--bind", str(drive))
        fill(forty, ["part/x.png"], first=200)
        build(forty, encoder)
        retrieval.build_index(forty / "local", index=forty / ".retrieve", encoder=encoder)
        unmount(forty / "part/usb")

        with pytest.raises(PruneRefused, match="part/usb"):
            retrieval.build_index(forty / "part", index=forty / ".retrieve", encoder=encoder)

        with pytest.raises(PruneRefused, match="part/usb"):
            build(forty, encoder)


class TestSimulated:
    """Device numbers as another machine would give them."""

    @pytest.fixture
    def away(self, forty: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
        """Device numbers by folder name."""
        devices: dict[str, int] = {}
        real = os.stat

        def stat(path: object, *arguments: object, **options: object) -> os.stat_result:
            status = real(path, *arguments, **options)
            device = devices.get(
                os.path.basename(os.fspath(path)) if isinstance(path, str | os.PathLike) else ""
            )
            if device is None:
                return status
            return os.stat_result((*status[:2], device, *status[3:]), {"st_mtime_ns": status.st_mtime_ns})

        monkeypatch.setattr(walking.os, "stat", stat)
        return devices

    @pytest.mark.parametrize("how", ["emptied", "gone", "swapped"])
    def test_another_device_that_is_away_stops_the_build(
        self, forty: Path, away: dict[str, int], encoder: CountingEncoder, how: str
    ) -> None:
        fill(forty, [f"usb/{number}.png" for number in range(10)], first=100)
        away["usb"] = 77
        assert build(forty, encoder).images == 40
        assert read_folders(forty / ".retrieve")[b"usb"].mount
        shutil.rmtree(forty / "usb")
        if how == "emptied":  # still there, as a file system that holds nothing
            (forty / "usb").mkdir()
        elif how == "swapped":  # the folder below it, which holds something else
            del away["usb"]
            fill(forty, ["usb/readme.png"], first=300)

        with pytest.raises(PruneRefused, match=r"10 of 40.*usb"):
            build(forty, encoder)

        assert build(forty, encoder, prune=True).images == (31 if how == "swapped" else 30)

    def test_files_that_go_from_a_mounted_drive_are_removed_unasked(
        self, forty: Path, away: dict[str, int], encoder: CountingEncoder
    ) -> None:
        fill(forty, [f"usb/{number}.png" for number in range(10)], first=100)
        away["usb"] = 77
        build(forty, encoder)
        (forty / "usb/3.png").unlink()

        report = build(forty, encoder)

        assert (report.images, report.removed) == (39, 1)

    def test_a_folder_of_the_same_device_may_go(
        self, forty: Path, away: dict[str, int], encoder: CountingEncoder
    ) -> None:
        fill(forty, [f"more/{number}.png" for number in range(10)], first=100)
        build(forty, encoder)
        shutil.rmtree(forty / "more")

        assert build(forty, encoder).images == 30


def test_mount_points_are_read_with_their_blanks(tmp_path: Path) -> None:
    assert walking.mount_points("/") == walking.mount_points("//")
    assert all(not path.startswith("/") for path in walking.mount_points("/"))
