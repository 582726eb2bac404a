"""The command ``retrieve serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.frame import FILE, Command, Session, device_option, given, option, session, shared_by
from retrieval.errors import MissingExtra

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = "retrieval.server.settings:Settings"


@click.command(
    "serve",
    cls=Command,
    common=("--host", "--port", "--token-file", "--originals", "--prefix"),
    sections={"Who may ask": ("--allow-host", "--cors", "--allow-urls")},
    example="retrieve serve photos/ art=/data/paintings",
)
@click.argument("indexes", nargs=-1, metavar="[[NAME=]INDEX]...")
@option(
    "--host",
    of=SETTINGS,
    metavar="ADDRESS",
    help="Listen here; any address but this machine's own needs a token.",
)
@option("--port", of=SETTINGS, type=int, metavar="N", help="Listen on this port; 0 takes a free one.")
@click.option("--token-file", type=FILE, metavar="FILE", help="Let in only who shows the token in this file.")
@option("--originals", of=SETTINGS, is_flag=True, help="Give out the images themselves, not only thumbnails.")
@option("--review", of=SETTINGS, is_flag=True, help="Let people review duplicates, and keep their decisions.")
@click.option(
    "--map", "maps", multiple=True, metavar="[NAME=]FILE", help="Show this map; it then searches any words."
)
@option(
    "--allow-urls", of=SETTINGS, is_flag=True, help="Fetch pictures from public addresses that requests name."
)
@option("--cors", of=SETTINGS, multiple=True, metavar="ORIGIN", help="Let pages of this origin ask, too.")
@click.option(
    "--allow-host", "allow_hosts", multiple=True, metavar="NAME", help="Answer under this name, too."
)
@option(
    "--prefix", of=SETTINGS, metavar="PATH", help="The path under which a reverse proxy shows the server."
)
@option("--workers", of=SETTINGS, type=int, metavar="N", help="Answer in this many processes.")
@option("--access-log", of=SETTINGS, is_flag=True, help="Print a line of JSON for each request.")
@device_option(SETTINGS)
@shared_by("The collection or its folder, where no INDEX is given.")
@session
def serve(
    session: Session,
    /,
    *,
    indexes: tuple[str, ...],
    index: Path | None,
    as_json: bool,  # noqa: ARG001 - nothing is printed but what the server says
    token_file: Path | None,
    **options: Any,
) -> None:
    """Give other people and programs your collections, over HTTP.

    Only this machine is let in, unless --host says otherwise. Several collections are named by their folders, or
    by NAME=. New generations are served as they are built. Ctrl-C stops it.
    """
    try:
        from retrieval.server import Settings, read_token, serve as run
    except ImportError as error:
        raise _missing(error) from error

    token = None if token_file is None else read_token(token_file)
    settings = Settings(**given(**options), token=token)
    session.kept = "the server has stopped"
    run([*indexes] or ([str(index)] if index is not None else []), settings, say=session.note)


def _missing(error: ImportError) -> MissingExtra:
    from indexes.distribution import pip_install

    return MissingExtra(
        f"a server needs packages that are not installed ({error.name}): {pip_install('serve')}"
    )
