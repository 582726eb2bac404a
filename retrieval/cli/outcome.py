"""Run a command and turn its error into one line on stderr and an exit status.

0 done, 1 a runtime error or a value that this collection cannot take, 2 usage, 130 interrupted. Importing this
module imports click and the standard library only; commands import what they need when they run.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from typing import TYPE_CHECKING

import click

from indexes.distribution import refuse_old_distribution
from indexes.engine import bound_blas
from indexes.errors import Restored
from retrieval.cli.frame import Session, advise, in_options, option_hint
from retrieval.cli.group import retrieve
from retrieval.display import escape
from retrieval.errors import RetrievalError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPLETION = "_RETRIEVE_COMPLETE"  # click's variable for shell completion
CURES = {
    errno.ENOSPC: "free some space; the same command continues where this one stopped",
    errno.EDQUOT: "free some of the quota; the same command continues where this one stopped",
    errno.EROFS: "the file system is read-only; name another place (--index DIR, --out DIR)",
    errno.EACCES: "check who owns it and its permissions",
    errno.EPERM: "check who owns it and its permissions",
    errno.ENOMEM: "free some memory: close other programs",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "the disk reports a fault; check it, then run `retrieve verify`",
}


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        arguments: what follows the command's name; `None` takes ``sys.argv``.
    """
    _open_standard_streams()
    if COMPLETION in os.environ:
        return int(retrieve.main(prog_name="retrieve") or 0)
    session = Session()
    bound_blas()
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")  # a library's warning is for programmers, not for a shell
                warnings.simplefilter("always", Restored)
                warnings.showwarning = lambda message, *_: session.note(f"note: {message}")
            status = _run(list(sys.argv[1:] if arguments is None else arguments), session)
            if sys.stdout is not None:
                sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the one place where every error ends
        return _report(error, session)
    return status


def _open_standard_streams() -> None:
    """Let closed streams (``>&-``) be nothing: a file opened later would take their number, and get what libraries print."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number


def _run(arguments: list[str], session: Session) -> int:
    refuse_old_distribution()
    try:
        with retrieve.make_context("retrieve", arguments, obj=session) as context:
            status = retrieve.invoke(context)
    except click.exceptions.Exit as left:
        return int(left.exit_code)
    return status if isinstance(status, int) else 0


def _report(error: BaseException, session: Session) -> int:
    """Say what went wrong in one line and return the exit status."""
    _settle_stdout()
    if isinstance(error, BrokenPipeError):
        return 0  # the reader has seen enough
    if isinstance(error, SystemExit | GeneratorExit):
        raise error
    if session.debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        _say(f"interrupted: {session.kept}")
        return 130
    if isinstance(error, click.UsageError):
        if error.ctx is not None:
            _say(_on_one_line(error.ctx.get_usage()))
        hint = option_hint(error)
        message = error.message.removesuffix(".")  # click's own may end with one
        _say(f"error: {f'{message}. {hint}' if hint else error.format_message()}")
        if error.ctx is not None:
            _say(f"try: {error.ctx.command_path} --help")
        return 2
    _say(f"error: {_message(error)}")
    return 1


def _settle_stdout() -> None:
    """Where stdout takes no more, let what is left go nowhere: Python flushes it once more when it exits."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _has_working_directory() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _message(error: BaseException) -> str:
    if isinstance(error, RetrievalError):
        more, said = advise(error), in_options(str(error))
        return f"{said}: {more}" if more else said
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, FileNotFoundError) and error.filename is None and not _has_working_directory():
        from retrieval.location import DELETED

        return DELETED
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        cure = CURES.get(error.errno)
        return f"{where}{error.strerror or os.strerror(error.errno)}{f'; {cure}' if cure else ''}"
    if isinstance(error, MemoryError):
        return "out of memory; close other programs, or build a compressed index (--kind ivfpq)"
    what = _on_one_line(f"{type(error).__name__}: {error}")
    return f"this is a bug: {what}; run the command again with --debug and report what it prints"


def _on_one_line(text: str) -> str:
    """Join the lines of a text that was laid out by others."""
    return " ".join(text.split())


def _say(text: str) -> None:
    """Print one line on stderr, whatever the text holds: a line break in a path is shown as an escape. A closed stderr is no reason to fail."""
    try:
        click.echo(escape(text), err=True)
    except OSError:
        return
