"""The command ``retrieve``, which holds all others."""

from __future__ import annotations

import click

from retrieval.cli import commands
from retrieval.cli.frame import Group, emit, installed_version

__all__ = ["retrieve"]


@click.group(
    cls=Group,
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


for _command in (
    commands.demo,
    commands.build_index,
    commands.export,
    commands.query,
    commands.info,
    commands.verify,
    commands.evaluate,
    commands.upgrade,
    commands.rollback,
    commands.activate,
    commands.encoders,
):
    retrieve.add_command(_command)
