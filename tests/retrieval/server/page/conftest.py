"""A folder of photographs, servers for it on this machine, and a browser that looks at them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")
pytest.importorskip("skimage.data", reason="scikit-image carries the photographs")

import skimage.data
import uvicorn
from PIL import Image

from retrieval import build_index
from retrieval.server import Settings, create_app
from tests.retrieval.browser import chromium
from tests.retrieval.folders import fill
from tests.retrieval.server.page.looking import Page

HOSTILE = "<img src=x onerror=document.title='pwned'>.png"
MANY = 80  # pictures of colours, so that there is more than one page of hits


def photograph(name: str) -> Image.Image:
    """Return a photograph of scikit-image, small."""
    image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    image.thumbnail((420, 420))
    return image


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An indexed folder: a cat and its copy, an astronaut, coffee, a hostile name, and pictures of colours."""
    folder = tmp_path_factory.mktemp("page") / "photos"
    for place in ("animals", "people", "food"):
        (folder / place).mkdir(parents=True)
    photograph("chelsea").save(folder / "animals" / "cat.png")
    photograph("chelsea").save(folder / "animals" / "the same cat.png")
    photograph("astronaut").save(folder / "people" / "portrait.jpg", exif=taken("2019:07:20 12:00:00"))
    photograph("coffee").save(folder / "food" / "coffee.jpg", exif=taken("2021:01:02 08:30:00"))
    photograph("rocket").save(folder / HOSTILE.replace("/", ""))
    fill(folder, [f"colours/{number:03d}.png" for number in range(MANY)])
    build_index(folder, progress=False)
    return folder


def taken(time_text: str) -> Image.Exif:
    """Return the EXIF of a picture that was taken at a time."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = time_text
    return exif


@contextmanager
def running(folder: Path, **settings) -> Iterator[str]:
    """Serve a folder by threads of this process, and give the address of its page."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    ready = threading.Event()
    app = create_app([str(folder)], Settings(port=port, **settings), on_ready=ready.set)
    server = uvicorn.Server(uvicorn.Config(app, ws="none", log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        assert ready.wait(60)
        deadline = time.monotonic() + 10
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}{settings.get('prefix', '')}/"
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


@pytest.fixture(scope="session")
def address(photos: Path) -> Iterator[str]:
    """The address of a server with originals."""
    with running(photos, originals=True) as found:
        yield found


@pytest.fixture(scope="session")
def browser():
    """A browser with a camera that films a test card."""
    with chromium("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream") as found:
        found.set_window_size(1280, 900)
        found.set_script_timeout(60)
        yield found


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start further servers, with settings of their own."""
    with ExitStack() as stack:
        yield lambda folder, **settings: stack.enter_context(running(folder, **settings))


@pytest.fixture
def page(browser, address: str) -> Page:
    """The page of that server; a test goes to it itself."""
    return Page(browser, address)
