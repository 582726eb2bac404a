"""Functions and objects for tests of clusters: processes import them by name."""

from __future__ import annotations

import os
import time
from pathlib import Path


def squared(number: int) -> int:
    return number * number


def pid() -> int:
    return os.getpid()


def die() -> None:
    os.kill(os.getpid(), 9)


def die_always(_: object) -> None:
    die()


def die_once(marker: str) -> str:
    """End the process at the first call, answer at the next."""
    path = Path(marker)
    if not path.exists():
        path.touch()
        die()
    return "done"


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def fail(message: str) -> None:
    raise ValueError(message)


class Counter:
    """An object that counts in another process."""

    def __init__(self, start: int) -> None:
        if start < 0:
            raise ValueError("below zero")
        self.count = start

    def same(self, data):
        """Return what it is given."""
        return data

    def add(self, number: int, *, times: int = 1) -> int:
        self.count += number * times
        return self.count

    def sleep(self, seconds: float) -> None:
        sleep(seconds)

    def die(self) -> None:
        die()

    def close(self) -> None:
        pass
