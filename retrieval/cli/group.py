"""The command ``retrieve``, which holds all others."""

from __future__ import annotations

import click

from retrieval.cli.commands import SUMMARIES, Commands
from retrieval.cli.frame import Group, emit, installed_version


class _Whole(Group):
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.group(
    cls=_Whole,
    commands=Commands(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.option("--version", is_flag=True, help="Print the version.")
@click.pass_context
def retrieve(ctx: click.Context, *, version: bool) -> None:
    """Find images by words and by example, in a folder of any size.

    \b
    retrieve demo                        the first minute, on sample photographs
    retrieve build-index photos/         index a folder; again: only what changed
    retrieve query "a red bus in snow"   search by words
    retrieve query holiday.jpg           search by image
    """
    if version:
        emit(f"retrieve {installed_version()}\n")
        ctx.exit()
    if ctx.invoked_subcommand is None:
        emit(f"{ctx.get_help()}\n")
