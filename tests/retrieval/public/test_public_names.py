"""What `help(retrieval)` and `dir(retrieval)` show: the public names, and those alone."""

from __future__ import annotations

import pydoc
import re

import retrieval


def test_the_docstring_names_every_public_name_and_no_other() -> None:
    doc = retrieval.__doc__ or ""
    groups = doc[doc.index("The public names") :].splitlines()[2:]
    named = {word for line in groups for word in re.findall(r"\w+", line[24:])}

    assert {word for word in named if word in retrieval.__all__ or word[0].isupper()} == {*retrieval.__all__}


def test_dir_gives_public_names_only() -> None:
    shown = {name for name in dir(retrieval) if not name.startswith("__")}

    assert shown == {*retrieval.__all__, "errors", "testing"}
    assert all(hasattr(retrieval, name) for name in dir(retrieval))


def test_help_shows_no_private_function_and_no_module_that_is_only_used() -> None:
    text = pydoc.plain(pydoc.render_doc(retrieval))
    functions = text[text.index("\nFUNCTIONS\n") :]
    shown = set(re.findall(r"^    (?:(\w+) = )?(\w+)\(", functions, flags=re.MULTILINE))

    assert {first or second for first, second in shown} <= set(retrieval.__all__)
    assert {"build_index", "open"} <= {first or second for first, second in shown}
