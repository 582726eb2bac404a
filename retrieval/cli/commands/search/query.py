"""The command ``retrieve query``.

Long because each of its many options stands where it is declared.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.frame import (
    FILE,
    FOLDER,
    Command,
    RenamedOption,
    Session,
    columns,
    device_option,
    emit,
    filters,
    given,
    interrupts,
    on_terminal,
    one_form,
    option,
    session,
    shared,
)
from retrieval.cli.reports import collection_note, narrowed, retired, stale, unnarrowed, verified
from retrieval.display import first_words
from retrieval.errors import QueryError
from retrieval.render import Form, hits

if TYPE_CHECKING:
    from retrieval.collection import Collection
    from retrieval.collection.queries import Query


class _Rows(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Ids with commas between them, or one key."""

    name = "rows"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        """Return the ids, or the key alone."""
        if isinstance(value, tuple):
            return value
        words = value.split(",")
        return tuple(map(int, words)) if all(re.fullmatch("[0-9]+", word) for word in words) else (value,)


class _Region(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Four numbers with commas between them."""

    name = "region"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        numbers = tuple(click.FLOAT.convert(one, param, ctx) for one in value.split(","))
        if len(numbers) != 4:
            self.fail(f"{value!r} is no region; give four numbers, such as 0.2,0.1,0.5,0.5", param, ctx)
        return numbers


ROWS = _Rows()
REGION = _Region()
SEARCH = "retrieval.collection.collection:Collection.search"
OPEN = "retrieval.collection.collection:open_collection"


@click.command(
    "query",
    cls=Command,
    common=("-k", "--under", "--minus", "--html", "--json"),
    sections={
        "What to search for": ("--text", "--image", "--id", "--region", "--like", "--unlike"),
        "Which hits, and how to search": (
            "--glob",
            "--where",
            "--ids",
            "--min-score",
            "--names",
            "--include-self",
            "--no-fold",
            "--verify",
            "--sure",
            "--exact",
            "--truncate-dim",
            "--nprobe",
            "--device",
            "--cluster",
            "--allow-partial",
        ),
        "Output": ("--copy-to", "--link-to", "--jsonl", "--csv", "-f", "-0"),
    },
    brief=True,
    example='retrieve query holiday.jpg "0.5:at night" --minus people',
)
@click.argument("queries", nargs=-1, metavar="[QUERY]...")
@click.option("--text", "texts", multiple=True, metavar="T", help="Words, even if a file has that name.")
@click.option("--image", "images", multiple=True, metavar="PATH", help="An image; - reads it from stdin.")
@click.option("--id", "rows", multiple=True, type=int, metavar="N", help="The stored vector of this row.")
@click.option(
    "--region",
    type=REGION,
    metavar="X,Y,W,H",
    help="Search by this part of the image: shares (0 to 1) or pixels.",
)
@click.option("--like", multiple=True, metavar="QUERY", help="An example of what you want; give several.")
@click.option("--unlike", multiple=True, metavar="QUERY", help="An example of what you do not want.")
@option("--minus", of=SEARCH, multiple=True, metavar="QUERY", help="Search away from this.")
@option("-k", of=SEARCH, type=int, metavar="N", help="How many hits.")
@option("--min-score", of=SEARCH, type=float, metavar="S", help="Leave out hits below this cosine.")
@option(
    "--names",
    of=SEARCH,
    type=click.Choice(["auto", "only", "off"]),
    help="Look words up in paths too, there only, or not.",
)
@option(
    "--truncate-dim",
    old="--dim",
    of=SEARCH,
    type=int,
    metavar="N",
    help="Rank by the first N numbers, then by all.",
)
@option(
    "--nprobe",
    of=SEARCH,
    type=int,
    metavar="N",
    help="Probe this many lists, where the index has lists.",
)
@option("--exact", of=SEARCH, is_flag=True, help="Compare with every image.")
@filters(SEARCH)
@option(
    "--ids",
    of=SEARCH,
    type=ROWS,
    multiple=True,
    metavar="ID,…|KEY",
    help="Only these rows: ids with commas, or a key.",
)
@option(
    "--include-self", old="--self", of=SEARCH, is_flag=True, help="Let an indexed query image find itself."
)
@click.option(
    "--no-fold",
    "unfold",
    cls=RenamedOption,
    old="--all",
    is_flag=True,
    help="Show exact copies as hits of their own.",
)
@option(
    "--verify",
    of=SEARCH,
    is_flag=True,
    help="Check the pixels of the first hits.",
)
@option("--sure", of=SEARCH, is_flag=True, help="Leave out what is likely nothing that you asked for.")
@click.option("--jsonl", is_flag=True, help="Print one JSON object a line.")
@click.option("--csv", is_flag=True, help="Print CSV.")
@click.option("-f", "--files", is_flag=True, help="Print paths only.")
@click.option("-0", "--null", is_flag=True, help="Print paths only, as raw bytes, each ended by NUL.")
@click.option("--copy-to", type=FOLDER, metavar="DIR", help="Copy the images of the hits into a folder.")
@click.option("--link-to", type=FOLDER, metavar="DIR", help="Put links to them into a folder.")
@click.option("--html", type=FILE, metavar="FILE", help="Write a page with thumbnails, too.")
@option(
    "--cluster",
    of=OPEN,
    metavar="CLUSTER",
    help="Keep shards in processes: local, ray or ray://HOST:PORT.",
)
@option("--allow-partial", of=OPEN, is_flag=True, help="Search without shards that are missing or damaged.")
@device_option(OPEN, "where to encode and search.")
@shared
@session
def query(
    session: Session,
    /,
    *,
    queries: tuple[str, ...],
    texts: tuple[str, ...],
    images: tuple[str, ...],
    rows: tuple[int, ...],
    ids: tuple[tuple[int | str, ...], ...],
    minus: tuple[str, ...],
    like: tuple[str, ...],
    unlike: tuple[str, ...],
    region: tuple[float, float, float, float] | None,
    unfold: bool,
    as_json: bool,
    jsonl: bool,
    csv: bool,
    files: bool,
    null: bool,
    html: Path | None,
    copy_to: Path | None,
    link_to: Path | None,
    index: Path | None,
    device: str | None,
    cluster: str | None,
    allow_partial: bool | None,
    **options: Any,
) -> None:
    """Search by words, by image, or by several at once.

    A QUERY is an image if it names a file, otherwise words; - is an image on stdin. Several are added up, a
    number in front weighs one (2:cat). A pipe gets score<TAB>path.
    """
    chosen = {"--json": as_json, "--jsonl": jsonl, "--csv": csv, "-f": files, "-0": null}
    form = _form(one_form(chosen))
    if unlike and not like:
        raise click.UsageError("--unlike goes with --like; --minus leads away from any query")
    if not (queries or texts or images or rows or like):
        raise click.UsageError("nothing to search for; give words, an image, --text, --image, --id or --like")
    if copy_to is not None and link_to is not None:
        raise click.UsageError("--copy-to and --link-to exclude each other; choose one")
    from retrieval.cli.frame import in_options
    from retrieval.collection import open_collection
    from retrieval.collection.relevance import check_calibration

    opening = given(device=device, cluster=cluster, allow_partial=allow_partial)
    with open_collection(index, **opening) as collection:
        asked = _asked(
            collection,
            queries=queries,
            texts=texts,
            images=images,
            rows=rows,
            minus=minus,
            like=like,
            unlike=unlike,
        )
        if region is not None:
            asked = _cut(collection, asked, region)
        among = tuple(name for names in ids for name in names)
        settings = given(ids=among, **options) | ({"fold_duplicates": False} if unfold else {})
        found = collection.search(asked, **settings)
        width = {"columns": columns()} if form is Form.TABLE else {}
        emit(hits(found, form, **width, terminal=on_terminal()))
        if found.missing:
            session.note(f"note: not searched: {', '.join(found.missing)}")
        if not found:
            session.note("no image qualifies")
        elif found.checked is not None:
            session.note(verified(found))
        for written, meant in found.read_as.items():
            session.note(
                f'note: {written}: read as {meant}; "{written}" in double quotes is taken as it is written'
            )
        if found.unknown_words:
            from retrieval.cli.frame import larger_encoder

            words = first_words(found.unknown_words)
            session.note(
                f"note: {collection.space.name} has never learned: {words}; "
                f"--encoder {larger_encoder(found.unknown_words)} knows more words"
            )
        if found.likely is None:
            for check in check_calibration(collection.directory):
                if not check.ok:
                    session.note(f"note: {check.path}: {in_options(check.cure)}")
        if html is not None:
            from retrieval.render import html_page

            interrupts.raise_from_now_on()
            shown = html_page.parts(asked, name_of=collection.key_of, root=collection.root)
            answer = html_page.Answer(query=shown, hits=found, total=found.searched)
            html_page.write(html, [answer], root=collection.root, note=collection_note(collection))
            session.note(f"wrote {html}")
        for folder, put, done in ((copy_to, found.copy_to, "copied"), (link_to, found.link_to, "linked")):
            if folder is None:
                continue
            interrupts.raise_from_now_on()
            there = set(folder.iterdir()) if folder.is_dir() else set()
            made = put(folder)
            same = sum(path in there for path in made)
            old = f", {same:,} lay there already" if same else ""
            session.note(f"{len(made) - same:,} {done} to {folder}{old}")
        _note_narrowing(session, collection, options["truncate_dim"])
        if collection.manifest.index.retired:
            session.note(retired())
        if collection.changed():
            session.note(stale(collection))


def _note_narrowing(session: Session, collection: Collection, dim: int | None) -> None:
    """Say what a prefix was measured to lose, where one ranked the rows."""
    width = collection.manifest.space.dim
    if dim is None or dim == width or session.quiet:
        return
    from indexes.search import scanned
    from retrieval.collection import loss_of

    index = collection.manifest.index
    if not scanned(collection.manifest.count, dim) and (index.type, index.dim) != ("funnel", dim):
        session.note(unnarrowed(dim=dim, width=width))
        return
    session.note(narrowed(loss_of(collection, dim), dim=dim, width=width))


def _cut(collection: Collection, asked: Query, region: tuple[float, float, float, float]) -> Query:
    """Let a query ask by a part of its image."""
    from retrieval.collection.queries import Query, image

    pictures = [term for term in asked.terms if term.kind in {"image", "id"} and not term.weight < 0]
    if len(pictures) != 1:
        raise QueryError(
            f"a region is a part of one image, and the query has {len(pictures)}; ask with one image"
        )
    (whole,) = pictures
    source = collection[whole.value].read_bytes() if whole.kind == "id" else whole.value
    (part,) = image(source, weight=whole.weight, region=region).terms
    return Query(tuple(part if term is whole else term for term in asked.terms))


def _form(flag: str) -> Form:
    if not flag:
        return Form.TABLE if on_terminal() else Form.TSV
    return {"--json": Form.JSON, "--jsonl": Form.JSONL, "--csv": Form.CSV, "-f": Form.PATHS, "-0": Form.NULL}[
        flag
    ]


def _is_pipe(name: str) -> bool:
    import stat

    try:
        return "/" in name and stat.S_ISFIFO(os.stat(name).st_mode)
    except (OSError, ValueError):
        return False


def _asked(
    collection: Collection,
    *,
    queries: tuple[str, ...],
    texts: tuple[str, ...],
    images: tuple[str, ...],
    rows: tuple[int, ...],
    minus: tuple[str, ...],
    like: tuple[str, ...],
    unlike: tuple[str, ...],
) -> Query:
    """Add the command line's queries up; what stdin holds is read once."""
    from retrieval.collection.queries import image, parse_query, row, text, total

    stdin: list[bytes] = []

    def from_stdin() -> bytes:
        if sys.stdin is None:
            raise QueryError("-: there is no standard input to read; name a file")
        if not stdin:
            stdin.append(sys.stdin.buffer.read())
        return stdin[0]

    def parsed(word: str) -> Query:
        if word == "-":
            return image(from_stdin())
        if _is_pipe(word):  # as `<(command)` gives one
            return image(Path(word).read_bytes())
        found = parse_query(word, beside=collection.root)
        (term,) = found.terms
        return image(from_stdin(), weight=term.weight) if term.value == "-" else found

    wanted = (
        *(parsed(word) for word in queries),
        *(text(words) for words in texts),
        *(image(from_stdin() if name == "-" else Path(name)) for name in images),
        *(row(number) for number in rows),
        *_by_examples(collection, [parsed(word) for word in like], [parsed(word) for word in unlike]),
    )
    return total((*wanted, *(-parsed(word) for word in minus)))


def _by_examples(collection: Collection, like: list[Query], unlike: list[Query]) -> list[Query]:
    """Return the query that examples make, where there are any."""
    if not like:
        return []
    from retrieval.curation.labels import query_by_examples

    return [query_by_examples(collection, like, unlike)]
