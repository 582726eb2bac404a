"""What every command shares: options, help pages, progress, interrupts, advice."""

from __future__ import annotations

TYPE_CHECKING = False  # typing is not imported for it
if TYPE_CHECKING:
    from retrieval.cli.frame import interrupts
    from retrieval.cli.frame.advice import advise, in_options, larger_encoder
    from retrieval.cli.frame.options import (
        FILE,
        FOLDER,
        NEW_FILE,
        WIDTH,
        WIDTHS,
        RenamedOption,
        Session,
        SignatureOption,
        columns,
        device_option,
        emit,
        filters,
        given,
        installed_version,
        on_terminal,
        one_form,
        option,
        require_labels,
        session,
        shared,
        shared_by,
    )
    from retrieval.cli.frame.pages import Command, Group, option_hint
    from retrieval.cli.frame.progress import Lines, watching

__all__ = [
    "FILE",
    "FOLDER",
    "NEW_FILE",
    "WIDTH",
    "WIDTHS",
    "Command",
    "Group",
    "Lines",
    "RenamedOption",
    "Session",
    "SignatureOption",
    "advise",
    "columns",
    "device_option",
    "emit",
    "filters",
    "given",
    "in_options",
    "installed_version",
    "interrupts",
    "larger_encoder",
    "on_terminal",
    "one_form",
    "option",
    "option_hint",
    "require_labels",
    "session",
    "shared",
    "shared_by",
    "watching",
]


def __getattr__(name: str) -> object:
    from retrieval.exports import lazy

    return lazy(
        __name__,
        {
            "advice": ("advise", "in_options", "larger_encoder"),
            "interrupts": (),
            "options": (
                "FILE",
                "FOLDER",
                "NEW_FILE",
                "Session",
                "RenamedOption",
                "SignatureOption",
                "WIDTH",
                "WIDTHS",
                "columns",
                "device_option",
                "emit",
                "filters",
                "given",
                "installed_version",
                "on_terminal",
                "one_form",
                "option",
                "require_labels",
                "session",
                "shared",
                "shared_by",
            ),
            "pages": ("Command", "Group", "option_hint"),
            "progress": ("Lines", "watching"),
        },
    )(name)
