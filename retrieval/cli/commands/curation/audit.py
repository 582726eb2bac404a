"""The command ``retrieve audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.commands import asked, print_found
from retrieval.cli.frame import (
    FILE,
    NEW_FILE,
    Command,
    Session,
    filters,
    given,
    interrupts,
    one_form,
    option,
    session,
    shared,
)
from retrieval.cli.reports import audit_lines

if TYPE_CHECKING:
    from retrieval.collection import Collection

AUDIT = "retrieval.curation.audit.auditing:audit"


@click.command(
    "audit",
    cls=Command,
    common=("--labels", "--splits", "--html", "--csv"),
    sections={
        "What to look at": ("--checks", "--column", "--targets", "--attributes"),
        "Which images": ("--under", "--glob", "--where"),
    },
    example="retrieve audit --html audit.html",
)
@option("--labels", of=AUDIT, type=FILE, metavar="CSV", help="file,label: look for wrong labels, too.")
@option("--splits", of=AUDIT, metavar="COLUMN", help="Pictures in several values of this column are leaks.")
@option("--checks", of=AUDIT, metavar="NAME,…", help="What to look at.")
@option("--column", of=AUDIT, metavar="NAME", help="Take the labels from this column.")
@click.option("--targets", nargs=2, metavar="X Y", help="Words with commas, or folders: who is compared.")
@click.option("--attributes", nargs=2, metavar="A B", help="Words or folders: what they may be near to.")
@filters(AUDIT)
@click.option("--csv", is_flag=True, help="Print CSV, a line for each image of each issue.")
@click.option("--html", type=NEW_FILE, metavar="FILE", help="Write a page with the images, too.")
@shared
@session
def audit(
    session: Session,
    /,
    *,
    targets: tuple[str, str] | None,
    attributes: tuple[str, str] | None,
    csv: bool,
    html: Path | None,
    index: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Say what state a collection is in.

    Doubles, leaks between splits, wrong labels, outliers, blurry, dark, light, grey and empty pictures, odd shapes, and what is
    rarely found. Nothing is changed, and nothing is encoded again.
    """
    one_form({"--json": as_json, "--csv": csv})
    if (targets is None) != (attributes is None):
        raise click.UsageError("--targets and --attributes go together, two sets each")
    interrupts.raise_from_now_on()
    from retrieval.curation.audit import audit as look, facts_in_words

    with asked(session, index) as (collection, progress):
        if targets is not None and attributes is not None:
            options["targets"] = [_members(collection, one) for one in targets]
            options["attributes"] = [_members(collection, one) for one in attributes]
        found = look(collection, progress=progress, **given(**options))
    print_found(found, audit_lines, as_json=as_json, csv=csv)
    if not session.quiet:
        for line in facts_in_words(found):
            session.note(line)
    if html is not None:
        found.write_page(html)
        session.note(f"wrote {html}")


def _members(collection: Collection, text: str) -> Path | str:
    """Take a text for a folder of the collection if images lie there, else for words."""
    from retrieval.errors import OptionError

    try:
        return Path(text) if "," not in text and collection.mask(under=text).any() else text
    except OptionError:  # a folder elsewhere
        return text
