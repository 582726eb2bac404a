"""Define the options that commands share; read defaults from Python signatures."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrieval.display import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _NewFile(click.Path):
    """A file that is written at the end: its folder is looked for before the work begins."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"there is no folder {str(path.parent)!r}; make it first", param, ctx)
        return path


FILE = click.Path(dir_okay=False, path_type=Path)
NEW_FILE = _NewFile(dir_okay=False)
FOLDER = click.Path(file_okay=False, path_type=Path)


class _Width(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A number of dimensions, or ``auto``."""

    name = "width"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or the word."""
        return value if value == "auto" else click.INT.convert(value, param, ctx)


class _Widths(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Numbers of dimensions, with commas between them."""

    name = "widths"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the numbers."""
        return (
            value
            if isinstance(value, tuple)
            else tuple(click.INT.convert(one, param, ctx) for one in value.split(","))
        )


WIDTH = _Width()
WIDTHS = _Widths()


@dataclass(slots=True, kw_only=True)
class Session:
    """What one run of the command line knows about itself.

    Attributes:
        quiet: say nothing but results and errors.
        debug: show tracebacks.
        kept: said when the run is interrupted: what is safe, and how to go on.
    """

    quiet: bool = False
    debug: bool = False
    kept: str = "nothing was changed"

    def note(self, text: str) -> None:
        """Say one line on stderr; nobody reading it is no reason to fail."""
        if not self.quiet:
            with suppress(OSError):
                click.echo(escape(text), err=True)


session = click.pass_obj
"""Hands a command its `Session`."""


class RenamedOption(click.Option):
    """An option that its old name still gives, which help does not show."""

    shown: list[str]
    opts: list[str]

    def __init__(self, *args: Any, old: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shown = list(self.opts)
        if old is not None:
            self.opts.append(old)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Name it as it is called now."""
        every, self.opts = self.opts, self.shown
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = every


class SignatureOption(RenamedOption):
    """An option whose default is written in a Python signature; help reads it there, and only when help is asked for.

    The value is `None` if the option is not given (`given` then leaves the argument to the function's own default).
    """

    def __init__(self, *args: Any, of: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.of = of

    def signature_default(self) -> Any:
        """Return the default that the function gives the parameter of this option's name."""
        module, _, names = self.of.partition(":")
        function: Any = functools.reduce(getattr, names.split("."), importlib.import_module(module))
        return inspect.signature(function).parameters[str(self.name)].default

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Add the default to the help."""
        record = super().get_help_record(ctx)
        default = self.signature_default()
        if record is None or default is None or default is False or default in ((), ""):
            return record
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        return record[0], f"{record[1]}  [default: {shown}]"


def option(*names: str, of: str, **settings: Any) -> Callable[[Any], Any]:
    """Declare an option that becomes the argument of the same name of the function ``module:name``."""
    if settings.get("is_flag"):
        settings["default"] = None
    return click.option(*names, cls=SignatureOption, of=of, **settings)


def filters(of: str) -> Callable[[Any], Any]:
    """Declare the options that say which images count, arguments of the function ``module:name``."""

    def declared(command: Any) -> Any:
        where = option("--where", of=of, metavar="SQL", help="Only rows whose columns fulfil this condition.")
        glob = option("--glob", of=of, metavar="GLOB", help="Only paths that match; ** crosses folders.")
        under = option("--under", of=of, metavar="DIR", help="Only files below this folder.")
        return under(glob(where(command)))

    return declared


def given(**options: Any) -> dict[str, Any]:
    """Keep what was given on the command line; the rest is the function's to decide."""
    return {
        name: value
        for name, value in options.items()
        if value is not None and value is not False and value != ()
    }


def shared(command: Callable[..., Any]) -> Any:
    """Give a command what every command has: ``--index``, ``--json``, ``--quiet`` and ``--debug``.

    Where nothing names a collection and none lies upwards, it gets the only one in a subfolder, and that is said.
    """
    text = "The collection or its folder; else looked for from here upwards, then below."
    return shared_by(text)(_looking_below(command))


def shared_by(text: str, *, environment: bool = True) -> Callable[[Any], Any]:
    """Give the same to a command to which ``--index`` means something of its own.

    Args:
        text: the help of ``--index``.
        environment: whether ``RETRIEVE_INDEX`` may name it.
    """
    return lambda command: _index_option(text, environment=environment)(_report_options(command))


def _index_option(text: str, *, environment: bool) -> Callable[[Any], Any]:
    return click.option(
        "--index",
        type=FOLDER,
        metavar="DIR|FOLDER",
        envvar="RETRIEVE_INDEX" if environment else None,
        show_envvar=environment,
        help=text,
    )


def _looking_below(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def looking(*args: Any, index: Path | None, **options: Any) -> Any:
        if index is None and click.get_current_context().invoked_subcommand is None:
            import shlex

            from retrieval.location import find_below, working_directory

            index = find_below(working_directory())
            if index is not None:
                folder = index.parent.name
                click.get_current_context().ensure_object(Session).note(
                    f"note: no collection here or above; {folder} has one, and its paths begin there "
                    f"(--index {shlex.quote(folder)} says so at once)"
                )
        return command(*args, index=index, **options)

    return looking


def _report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    def note(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        setattr(ctx.ensure_object(Session), str(param.name), value)

    quiet = "Say nothing but results and errors."
    for decorate in (
        click.option(
            "--debug", is_flag=True, is_eager=True, expose_value=False, callback=note, help="Show tracebacks."
        ),
        click.option("--quiet", is_flag=True, is_eager=True, expose_value=False, callback=note, help=quiet),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ):
        command = decorate(command)
    return command


def device_option(of: str, text: str = "where the encoder and the search run.") -> Callable[[Any], Any]:
    """Declare ``--device``; a card that this machine has not is refused, rather than left to the CPU without a word.

    Args:
        of: the function whose argument it becomes.
        text: what it does in this command.
    """

    def there(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        del ctx, param
        if value is None or value in {"auto", "cpu"}:
            return value
        from retrieval.encoders import require_device

        return require_device(value)

    return option(
        "--device",
        of=of,
        metavar="DEVICE",
        callback=there,
        help=f"auto, cpu, cuda[:n], cuda:all or mps: {text}",
    )


def emit(result: str | bytes) -> None:
    """Write a result to stdout as UTF-8, whatever the locale; a closed stdout (``>&-``) takes none."""
    if sys.stdout is None:
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(result.encode() if isinstance(result, str) else result)
    sys.stdout.buffer.flush()


def one_form(flags: Mapping[str, bool]) -> str:
    """Return the form of output that was asked for, such as ``--json``; empty if none was.

    Args:
        flags: whether each was given.
    Raises:
        click.UsageError: two were.
    """
    asked = [name for name, wanted in flags.items() if wanted]
    if len(asked) > 1:
        raise click.UsageError(f"{asked[0]} and {asked[1]} exclude each other; choose one form of output")
    return asked[0] if asked else ""


def require_labels(labels: object, column: object) -> None:
    """Refuse a command whose labels are nowhere, or in two places.

    Raises:
        click.UsageError: both ``--labels`` and ``--column`` are given, or neither.
    """
    if (labels is None) == (column is None):
        raise click.UsageError("say where the labels are: give --labels CSV or --column NAME, one of both")


def on_terminal() -> bool:
    """Say whether results go to a terminal; a closed stdout (``>&-``) is none."""
    return sys.stdout is not None and sys.stdout.isatty()


def columns() -> int:
    """Return the width of the terminal, 80 where there is none."""
    import shutil

    return shutil.get_terminal_size().columns


def installed_version() -> str:
    """Return the version of the installed distribution."""
    import retrieval

    return str(retrieval.__version__)
