"""Lay out the help of a command on one screen: common options first, the rest in groups, an example; suggest names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

BRIEFLY = {
    "--json": "Print JSON.",
    "--quiet": "Print results only.",
    "--debug": "Show tracebacks.",
    "--version": "Print the version.",
    "--help": "Show this page.",
    "--help-all": "Show every option.",
}
HOW_MANY = (
    "-n",
    "-l",
    "-c",
    "-m",
    "--n",
    "--limit",
    "--top",
    "--count",
    "--num",
    "--max",
    "--number",
    "--top-k",
    "--k",
)
# What people type for a command that has another name, or does not exist yet.
MEANT = {
    "find": "query", "search": "query", "ask": "query", "grep": "query", "similar": "query", "like": "query",
    "index": "build-index", "build": "build-index", "add": "build-index", "update": "build-index", "scan": "build-index",
    "init": "build-index", "sync": "build-index", "status": "info", "stats": "info", "show": "info", "ls": "info", "list": "info",
    "check": "verify", "fsck": "verify", "eval": "evaluate", "benchmark": "evaluate", "models": "encoders", "undo": "rollback",
    "revert": "rollback", "migrate": "upgrade", "protect": "activate", "help": "--help", "version": "--version", "dump": "export",
    "dupes": "duplicates", "dedupe": "duplicates", "dedup": "duplicates", "copies": "duplicates", "doubles": "duplicates", "duplicate": "duplicates",
}  # fmt: skip


def option_hint(error: click.UsageError) -> str:
    """Return what may have been meant by an option that does not exist: other tools call how many hits ``-n``."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return ""
    how_many = any("-k" in param.opts for param in error.ctx.command.params)
    if not how_many or error.option_name not in HOW_MANY:
        return ""
    return "How many hits: -k N."


_EVERYTHING = "retrieval.help-all"


def _show_everything(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Print the page with every option."""
    del param
    if value:
        ctx.meta[_EVERYTHING] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


class _Page:
    """What a page of help adds to click's own.

    Attributes:
        common: names of the options that most people want, first.
        sections: headings, and the names of the options below each.
        example: a command line.
        brief: the page has only names of the options in sections, since all would take more than a screen; ``--help-all``
            explains them.
    """

    common: Sequence[str]
    sections: Mapping[str, Sequence[str]]
    example: str
    brief: bool

    params: list[click.Parameter]

    def __init__(
        self,
        *args: Any,
        common: Sequence[str] = (),
        sections: Mapping[str, Sequence[str]] | None = None,
        example: str = "",
        brief: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self.common, self.sections, self.example = common, sections or {}, example
        self.brief = brief
        if brief:
            everything = click.Option(
                ["--help-all"],
                help=BRIEFLY["--help-all"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_everything,
            )
            self.params.append(everything)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups."""
        records: dict[str, tuple[str, str]] = {}
        for param in self.get_params(ctx):  # type: ignore[attr-defined]
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                records[max(param.opts, key=len)] = record
                records.update({name: record for name in param.opts if len(name) == 2})
        groups = {"Options": self.common, **self.sections}
        placed = {records[name] for names in groups.values() for name in names if name in records}
        short = [name for name in BRIEFLY if name in records and records[name] not in placed]
        placed |= {records[name] for name in (*short, "--index") if name in records}
        rest = [record for record in dict.fromkeys(records.values()) if record not in placed]
        shown = groups
        if self.brief and not ctx.meta.get(_EVERYTHING):
            shown = {"Options": self.common}
        for heading, names in shown.items():
            rows = list(dict.fromkeys(records[name] for name in names if name in records))
            rows += rest if heading == "Options" else []
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows, col_max=24)
        if shown is not groups:
            with formatter.section("More, explained by --help-all"):
                formatter.write_dl(
                    [(heading, ", ".join(names)) for heading, names in self.sections.items()], col_max=20
                )
        with formatter.section("Everywhere"):
            rows = [records["--index"]] if "--index" in records else []
            formatter.write_dl(
                [*rows, (", ".join(short), " ".join(BRIEFLY[name] for name in short))], col_max=20
            )
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        del ctx
        if self.example:
            with formatter.section("Example"):
                formatter.write(f"  {self.example}\n")


class Command(_Page, click.Command):
    """A command with a page of its own."""


class Group(_Page, click.Group):
    """Commands listed as they are written: as one meets them. An unknown one gets a suggestion."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in order."""
        del ctx
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names.

        Raises:
            click.UsageError: there is none; the message suggests one.
        """
        name = args[0]
        if name in self.commands or name.startswith("-"):
            return super().resolve_command(ctx, args)
        import difflib  # takes milliseconds

        path = ctx.command_path
        if ctx.parent is None and name in MEANT:
            hint = f"did you mean: {path} {MEANT[name]}"
        elif close := difflib.get_close_matches(name, self.commands, n=1):
            hint = f"did you mean: {path} {close[0]}"
        elif ctx.parent is None:
            hint = f"to search for these words: {path} query {' '.join(args)!r}"
        else:
            hint = f"there are {', '.join(self.commands)}"
        raise click.UsageError(f"no command {name!r}; {hint}", ctx=ctx)
