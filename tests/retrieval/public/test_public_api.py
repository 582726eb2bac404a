"""The public names, their arguments and their defaults: what is written in `public_api.txt`, and nothing else.

A later version may add names, and arguments that may be left out; then ``python -m tests.retrieval.public.test_public_api`` writes
the file anew. What is taken away or means something else answers by its old name for one release (`retrieval.deprecation`).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import retrieval
from retrieval import testing
from retrieval.collection.far_methods import FarMethod

FROZEN = Path(__file__).with_name("public_api.txt")


def public_names() -> Iterator[tuple[str, Any]]:
    """Yield every public object with the name that people write."""
    for name in retrieval.__all__:
        yield f"retrieval.{name}", getattr(retrieval, name)
    for name in testing.__all__:
        yield f"retrieval.testing.{name}", getattr(testing, name)


def described() -> list[str]:
    """Return a line for each public function, class, method and attribute, with arguments and defaults."""
    lines: list[str] = []
    for name, value in public_names():
        if inspect.isclass(value):
            lines += class_lines(name, value)
        elif inspect.isroutine(value):
            lines.append(name + arguments(value))
        else:
            lines.append(name)
    return lines


def class_lines(name: str, cls: type) -> list[str]:
    made = arguments(cls) if "__init__" in vars(cls) and not getattr(cls, "_is_protocol", False) else ""
    lines = [f"{name}{made}"]
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.split(".")[0] in {"retrieval", "indexes"}:
            members |= dict.fromkeys(getattr(base, "__annotations__", {}))
            members |= vars(base)
    for member in sorted(members):
        value = members[member]
        if isinstance(value, FarMethod):
            value = getattr(cls, member)
        value = inspect.unwrap(value) if callable(value) else getattr(value, "__func__", value)
        if member.startswith("_") or is_old(value) or getattr(value, "__name__", "").startswith("_"):
            continue
        lines.append(f"{name}.{member}" + (arguments(value) if inspect.isfunction(value) else ""))
    return lines


def is_old(value: Any) -> bool:
    """Say whether a member is an old name, which answers for one release."""
    if isinstance(value, property):
        return is_old(value.fget)
    return "warn_renamed" in getattr(getattr(value, "__code__", None), "co_names", ())


def arguments(function: Any) -> str:
    """Return the arguments with their defaults, without their types."""
    parts = []
    star = False
    for one in inspect.signature(function).parameters.values():
        if one.name.startswith("_"):
            continue
        if one.kind is one.KEYWORD_ONLY and not star:
            parts.append("*")
        star = star or one.kind in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        prefix = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        default = "" if one.default is one.empty else f"={one.default!r}"
        parts.append(f"{prefix}{one.name}{default}")
    return f"({', '.join(parts)})"


def test_the_public_names_their_arguments_and_their_defaults_are_those_that_were_promised() -> None:
    expected = FROZEN.read_text().splitlines()

    assert described() == expected, "see the docstring of tests/retrieval/public/test_public_api.py"


if __name__ == "__main__":
    FROZEN.write_text("\n".join(described()) + "\n")
