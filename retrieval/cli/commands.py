"""The commands: each opens a collection, calls one function, and prints what it returns."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrieval.cli import reports
from retrieval.cli.activate import activate
from retrieval.cli.options import (
    FILE,
    FOLDER,
    WIDTH,
    WIDTHS,
    Session,
    columns,
    device_option,
    emit,
    given,
    installed_version,
    option,
    shared,
    shared_by_demo,
)
from retrieval.cli.upgrade import rollback, upgrade
from retrieval.output import Form, hits, json_text

if TYPE_CHECKING:
    from retrieval.collection import Collection
    from retrieval.queries import Term

BUILD = "retrieval.build:build_index"
SEARCH = "retrieval.collection:Collection.search"
OPEN = "retrieval.collection:open_collection"
EVALUATE = "retrieval.evaluation:evaluate"
DEMO = "retrieval.demo:demo"

session = click.pass_obj


class InOrder(click.Group):
    """Commands listed as they are written below: as one meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in order."""
        del ctx
        return list(self.commands)


@click.group(
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.option("--version", is_flag=True, help="Print the version.")
@click.pass_context
def retrieve(ctx: click.Context, *, version: bool) -> None:
    r"""Find images by words and by example, in a folder of any size.

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


@retrieve.command("demo")
@option(
    "--out", of=DEMO, type=FOLDER, metavar="DIR", help="Where the photographs, the index and the page go."
)
@device_option(DEMO)
@shared_by_demo
@session
def demo(
    session: Session, /, *, out: Path | None, device: str | None, index: Path | None, as_json: bool
) -> None:
    """Index sample photographs, answer queries, write a page.

    The photographs are those that scikit-image carries (pip install 'retrieval[demo]'); nothing is downloaded.
    """
    from retrieval.cli.progress import watching
    from retrieval.demo import demo as run

    session.kept = "what was written is kept; the same command continues"
    with watching(session) as progress:
        report = run(**given(out=out, device=device, index=index), progress=progress)
    emit(json_text(report.to_json()) if as_json else reports.demo(report, columns()))


@retrieve.command("build-index")
@click.argument("folder", type=click.Path(path_type=Path))
@option(
    "--root",
    of=BUILD,
    type=FOLDER,
    metavar="DIR",
    help="The folder that paths are relative to, if not FOLDER.",
)
@option(
    "--encoder",
    of=BUILD,
    metavar="SPEC",
    help="scheme, scheme@version or scheme:model (see `retrieve encoders`). An existing collection keeps its own; a new "
    "one gets the newest nano.",
)
@option(
    "--kind",
    of=BUILD,
    metavar="auto|flat|ivfpq|ivfrabitq|FACTORY",
    help="The index; auto decides by size, device and measured recall; FACTORY is any string of FAISS's index factory.",
)
@option(
    "--dim",
    of=BUILD,
    type=WIDTH,
    metavar="N|auto",
    help="Width of the first stage; the full width reranks. auto measures prefixes, rotations and funnels, and chooses.",
)
@option("--recall", of=BUILD, type=float, metavar="R", help="The recall@10 against exact search to stop at.")
@option(
    "--exclude",
    of=BUILD,
    multiple=True,
    metavar="GLOB",
    help="Leave out paths that match; may be given repeatedly.",
)
@option("--follow-links", of=BUILD, is_flag=True, help="Go into linked folders.")
@option("--prune", of=BUILD, is_flag=True, help="Remove rows even if more than half of the files are gone.")
@option("--strict", of=BUILD, is_flag=True, help="Exit 1 if any image was skipped.")
@click.option(
    "--vectors", type=FILE, metavar="FILE.npy", help="Build from these vectors (n, d); no image is read."
)
@click.option(
    "--keys", type=FILE, metavar="FILE", help="With --vectors: one UTF-8 key a line, in the order of rows."
)
@click.option(
    "--space", metavar="NAME", help="With --vectors: name of their space.  [default: the file's stem]"
)
@device_option(BUILD)
@shared
@session
def build_index(
    session: Session,
    /,
    *,
    folder: Path,
    vectors: Path | None,
    keys: Path | None,
    space: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Index the images in FOLDER; again: only what changed.

    Every image that is skipped is listed with its reason in skipped.tsv beside the index. Interrupted, the same
    command continues.
    """
    from retrieval.cli.progress import watching

    if (vectors is None) != (keys is None):
        missing = "--keys" if keys is None else "--vectors"
        raise click.UsageError(f"--vectors and --keys go together; {missing} is missing")
    if space is not None and vectors is None:
        raise click.UsageError("--space names the space of --vectors; give --vectors and --keys too")
    session.kept = "what was committed is kept; the same command continues"
    with watching(session) as progress:
        if vectors is None or keys is None:
            from retrieval.build import build_index as build

            report = build(folder, **given(**options), progress=progress)
        else:
            from retrieval.imports import build_index_from_vectors

            report = build_index_from_vectors(
                folder, vectors, keys, **given(space=space, **_without_images(options)), progress=progress
            )
    if as_json:
        emit(json_text(report.to_json()))
    elif not session.quiet:
        emit(reports.build(report.to_json()))
        session.note(reports.next_step(report.to_json(), words=vectors is None))


def _without_images(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse what has no meaning where no image is read."""
    for name in ("root", "encoder", "exclude", "follow_links", "strict"):
        if given(option=options.pop(name)):
            raise click.UsageError(
                f"--{name.replace('_', '-')} has no meaning with --vectors: no image is read"
            )
    return options


@retrieve.command("export")
@click.option(
    "--vectors", type=FILE, required=True, metavar="FILE.npy", help="Write the vectors here: (n, d) float16."
)
@click.option(
    "--keys", type=FILE, required=True, metavar="FILE", help="Write their relative paths here, one a line."
)
@shared
@session
def export(session: Session, /, *, vectors: Path, keys: Path, index: Path | None, as_json: bool) -> None:
    """Write a collection's vectors and keys to files.

    Both are in the order of ids, and `build-index --vectors --keys` reads them.
    """
    from retrieval.collection import open_collection
    from retrieval.exchange import write_keys, write_vectors

    with open_collection(index) as collection:
        rows, names = collection.export()
        write_keys(keys, names)
        write_vectors(vectors, rows)
    count, width = rows.shape
    if as_json:
        emit(json_text({"vectors": str(vectors), "keys": str(keys), "rows": count, "width": width}))
    session.note(f"wrote {count:,} rows of {width} to {vectors} and their keys to {keys}")


@retrieve.command("query")
@click.argument("queries", nargs=-1, metavar="[QUERY]...")
@click.option("--text", "texts", multiple=True, metavar="T", help="Words, even if a file has that name.")
@click.option("--image", "images", multiple=True, metavar="PATH", help="An image; - reads it from stdin.")
@click.option("--id", "ids", multiple=True, type=int, metavar="N", help="The stored vector of this row.")
@option("--minus", of=SEARCH, multiple=True, metavar="QUERY", help="Search away from this.")
@option("-k", of=SEARCH, type=int, metavar="N", help="How many hits.")
@option("--min-score", of=SEARCH, type=float, metavar="S", help="Leave out hits below this cosine.")
@option("--dim", of=SEARCH, type=int, metavar="N", help="Rank by this prefix width first, then by the whole.")
@option(
    "--nprobe", of=SEARCH, type=int, metavar="N", help="Lists to probe; otherwise what the build measured."
)
@option("--exact", of=SEARCH, is_flag=True, help="Compare with every row.")
@option("--under", of=SEARCH, metavar="DIR", help="Only files below this folder.")
@option("--glob", of=SEARCH, metavar="GLOB", help="Only paths that match; ** crosses folders.")
@click.option("--self", "include_self", is_flag=True, help="Let an indexed query image find itself.")
@click.option("--all", "unfold", is_flag=True, help="Show exact copies as hits of their own.")
@click.option("--jsonl", is_flag=True, help="Print one JSON object a line.")
@click.option("--csv", is_flag=True, help="Print CSV.")
@click.option("-f", "--files", is_flag=True, help="Print paths only.")
@click.option("-0", "--null", is_flag=True, help="Print paths only, as raw bytes, each ended by NUL.")
@click.option("--html", type=FILE, metavar="FILE", help="Write a page with thumbnails, too.")
@device_option(OPEN)
@shared
@session
def query(
    session: Session,
    /,
    *,
    queries: tuple[str, ...],
    texts: tuple[str, ...],
    images: tuple[str, ...],
    ids: tuple[int, ...],
    minus: tuple[str, ...],
    include_self: bool,
    unfold: bool,
    as_json: bool,
    jsonl: bool,
    csv: bool,
    files: bool,
    null: bool,
    html: Path | None,
    index: Path | None,
    device: str | None,
    **options: Any,
) -> None:
    """Search by words, by image, or by several at once.

    A QUERY is an image if it names a file, otherwise words; - is an image on stdin. Several are added up; a
    number in front weighs one (2:cat). A terminal gets a table, a pipe gets score<TAB>path.
    """
    chosen = {"--json": as_json, "--jsonl": jsonl, "--csv": csv, "-f": files, "-0": null}
    form = _form([name for name, wanted in chosen.items() if wanted])
    if not (queries or texts or images or ids):
        raise click.UsageError("nothing to search for; give words, an image, --text, --image or --id")
    from retrieval.collection import open_collection

    with open_collection(index, **given(device=device)) as collection:
        terms, away = _terms(collection, queries=queries, texts=texts, images=images, ids=ids, minus=minus)
        settings = given(include_self=include_self, **options) | ({"fold_copies": False} if unfold else {})
        found = collection.search(terms, minus=away, **settings)
        emit(hits(found, form, columns=columns(), terminal=sys.stdout.isatty()))
        if not found:
            session.note("no image qualifies")
        if html is not None:
            from retrieval import gallery

            shown = gallery.parts(terms, minus=away, name_of=collection.path, root=collection.root)
            answer = gallery.Answer(query=shown, hits=found)
            gallery.write(html, [answer], root=collection.root, note=reports.collection_note(collection))
            session.note(f"wrote {html}")
        _note_narrowing(session, collection, options["dim"])
        if collection.changed():
            session.note(reports.stale(collection))


def _note_narrowing(session: Session, collection: Collection, dim: int | None) -> None:
    """Say what a prefix was measured to lose, where one ranked the rows."""
    width = collection.manifest.space.dim
    if dim is None or dim == width or session.quiet:
        return
    from retrieval.narrowing import loss_of

    session.note(reports.narrowed(loss_of(collection, dim), dim=dim, width=width))


def _form(flags: list[str]) -> Form:
    if len(flags) > 1:
        raise click.UsageError(f"{flags[0]} and {flags[1]} exclude each other; choose one form of output")
    if not flags:
        return Form.TABLE if sys.stdout.isatty() else Form.TSV
    return {"--json": Form.JSON, "--jsonl": Form.JSONL, "--csv": Form.CSV, "-f": Form.PATHS, "-0": Form.NULL}[
        flags[0]
    ]


def _terms(
    collection: Collection,
    *,
    queries: tuple[str, ...],
    texts: tuple[str, ...],
    images: tuple[str, ...],
    ids: tuple[int, ...],
    minus: tuple[str, ...],
) -> tuple[list[Term], list[Term]]:
    """Turn the command line's words into terms; what stdin holds is read once."""
    from dataclasses import replace

    from retrieval.queries import image, parse_term, row, text

    stdin: list[bytes] = []

    def from_stdin() -> bytes:
        if not stdin:
            stdin.append(sys.stdin.buffer.read())
        return stdin[0]

    def parsed(word: str) -> Term:
        if word == "-":
            return image(from_stdin())
        term = parse_term(word, beside=collection.root)
        return replace(term, kind="image", value=from_stdin()) if term.value == "-" else term

    wanted = [
        *(parsed(word) for word in queries),
        *(text(words) for words in texts),
        *(image(from_stdin() if name == "-" else Path(name)) for name in images),
        *(row(number) for number in ids),
    ]
    return wanted, [parsed(word) for word in minus]


@retrieve.command("info")
@shared
def info(*, index: Path | None, as_json: bool) -> None:
    """Say what a collection holds and how well it searches."""
    from retrieval.collection import open_collection

    with open_collection(index) as collection:
        facts = collection.info()
    emit(json_text(facts) if as_json else reports.info(facts))


@retrieve.command("verify")
@shared
def verify(*, index: Path | None, as_json: bool) -> int:
    """Check every file of a collection; exit 1 if one is damaged.

    Each damaged file is listed with what mends it.
    """
    from indexes.verify import verify as check_files
    from retrieval.location import find_collection

    checks = check_files(find_collection(index))  # not opened: what is damaged may not open
    emit(json_text(reports.checks_json(checks)) if as_json else reports.checks(checks))
    return 0 if all(check.ok for check in checks) else 1


@retrieve.command("evaluate")
@option("--labels", of=EVALUATE, type=FILE, metavar="CSV", help="file,label: measure labelled quality, too.")
@option(
    "--captions", of=EVALUATE, type=FILE, metavar="CSV", help="file,caption: measure search by words, too."
)
@option(
    "--attacks",
    of=EVALUATE,
    is_flag=True,
    help="Measure whether altered copies are found, of activated images where there are any.",
)
@option(
    "--dims",
    of=EVALUATE,
    type=WIDTHS,
    metavar="N,N,...",
    help="Measure search by prefixes of these widths, too.",
)
@option(
    "--plot",
    of=EVALUATE,
    type=FILE,
    metavar="FILE.svg",
    help="Draw recall against bytes and against time for each width.",
)
@device_option(EVALUATE)
@shared
@session
def evaluate(
    session: Session, /, *, index: Path | None, device: str | None, as_json: bool, **options: Any
) -> None:
    """Measure recall, latency and labelled quality.

    Recall is against exact search; quality is measured where --labels or --captions tell what is right.
    """
    from retrieval.cli.progress import watching
    from retrieval.collection import open_collection
    from retrieval.evaluation import evaluate as measure

    with open_collection(index, **given(device=device)) as collection, watching(session) as progress:
        report = measure(collection, **given(**options), progress=progress)
    emit(json_text(report.to_json()) if as_json else reports.evaluation(report.to_json()))


retrieve.add_command(upgrade)
retrieve.add_command(rollback)
retrieve.add_command(activate)


@retrieve.command("encoders")
@shared
def encoders(*, index: Path | None, as_json: bool) -> None:
    """List the encoders that are or could be installed."""
    del index  # every command takes it; the encoders are the same everywhere
    from retrieval.encoders import families

    known = families()
    emit(json_text(known) if as_json else reports.encoders(known, columns()))
