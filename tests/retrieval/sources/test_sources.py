"""Paths, bytes, files, Pillow images and arrays: what can be read, and what cannot is named."""

import errno
import io
import os
import socket
import stat

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import ImageError
from retrieval.sources.decoding.decoder import content_hash, decode, read_file
from tests.retrieval.pictures import jpeg, png, scene
from tests.retrieval.sources.differences import difference


def test_every_kind_of_source_gives_the_same(tmp_path: object) -> None:
    data = png()
    path = os.path.join(str(tmp_path), "a b\n\N{SNOWMAN}.png")
    with open(path, "wb") as file:
        file.write(data)
    opened = Image.open(io.BytesIO(data))
    with open(path, "rb") as file:
        results = [
            decode(path),
            decode(data),
            decode(bytearray(data)),
            decode(file),
            decode(opened),
            decode(np.asarray(scene())),
        ]

    assert [difference(result, scene()) for result in results] == [0] * len(results)
    for result in results:
        result.putpixel((0, 0), (1, 1, 1))
    assert difference(opened, scene()) == 0  # what the caller gave is not what the caller got


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), float),
        np.zeros((2, 2, 5), np.uint8),
        np.zeros((0, 2, 3), np.uint8),
        np.zeros(5, np.uint8),
    ],
)
def test_arrays_of_another_shape_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match="uint8") as caught:
        decode(array)
    assert caught.value.reason == "unsupported"


def test_files_that_cannot_be_read(tmp_path: object) -> None:
    folder = str(tmp_path)
    pipe, plug = os.path.join(folder, "pipe.jpg"), os.path.join(folder, "socket.jpg")
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(plug)
        for path, reason in [
            (os.path.join(folder, "gone.jpg"), "vanished"),
            (folder, "not-a-file"),
            (pipe, "not-a-file"),
            (plug, "not-a-file"),
            ("/dev/zero", "not-a-file"),
        ]:
            with pytest.raises(ImageError) as caught:
                decode(path)
            assert caught.value.reason == reason
            assert path in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file(tmp_path: object) -> None:
    path = os.path.join(str(tmp_path), "secret.jpg")
    with open(path, "wb") as file:
        file.write(jpeg())
    os.chmod(path, 0)

    with pytest.raises(ImageError) as caught:
        read_file(path)
    assert caught.value.reason == "permission"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EIO, "Input/output error"), "read-error"),
        (OSError(errno.ESTALE, "Stale file handle"), "read-error"),
        (OSError(errno.EMFILE, "Too many open files"), "read-error"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "read-error"),
        (PermissionError(errno.EACCES, "Permission denied"), "permission"),
        (MemoryError(), "out-of-memory"),
    ],
)
def test_what_the_system_refuses_is_not_laid_to_the_file(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    path = os.path.join(str(tmp_path), "a.jpg")
    with open(path, "wb") as file:
        file.write(jpeg())

    def fail(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(ImageError) as caught:
        read_file(path)

    assert caught.value.reason == reason
    assert str(caught.value).startswith(path)


def test_names_in_messages_stay_on_one_line_and_printable(tmp_path: object) -> None:
    name = os.path.join(os.fsencode(str(tmp_path)), b"new\nline\x1b[31m \xff\xc3\xa9.jpg")
    with open(name, "wb") as file:
        file.write(b"no image")

    with pytest.raises(ImageError) as caught:
        decode(os.fsdecode(name))

    message = str(caught.value)
    assert message.isprintable()
    assert "new\\nline" in message
    assert "\\xff\N{LATIN SMALL LETTER E WITH ACUTE}.jpg" in message


def test_the_content_hash_is_of_the_bytes() -> None:
    assert content_hash(b"") == bytes.fromhex(
        "cae66941d9efbd404e4d88758ea67670"
    )  # RFC 7693's BLAKE2b with 16 bytes
    assert content_hash(jpeg()) == content_hash(bytes(jpeg()))
    assert content_hash(jpeg()) != content_hash(png())
    assert len(content_hash(png())) == 16


def test_a_file_that_would_have_to_be_waited_for_is_named(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some files of the kernel's are regular and give nothing until something happens (/proc/kmsg)."""
    pipe = os.path.join(str(tmp_path), "kmsg.png")
    os.mkfifo(pipe)
    monkeypatch.setattr(stat, "S_ISREG", lambda _: True)
    writer = os.open(pipe, os.O_RDWR)
    try:
        with pytest.raises(ImageError) as raised:
            read_file(pipe)
    finally:
        os.close(writer)

    assert raised.value.reason == "read-error"
    assert pipe in str(raised.value)


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png"])
def test_a_name_that_no_file_can_have_is_an_error_about_the_image(name: str) -> None:
    with pytest.raises(ImageError, match="no file can have this name") as error:
        decode(name)
    assert error.value.reason == "vanished"
    assert str(error.value).isprintable()
