"""The command ``retrieve upgrade`` with its commands ``backfill``, ``report`` and ``finish``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.frame import (
    FILE,
    Command,
    Group,
    Session,
    device_option,
    emit,
    given,
    option,
    session,
    shared,
)
from retrieval.cli.reports import backfilled, history, measured
from retrieval.render import json_text

if TYPE_CHECKING:
    from retrieval.upgrades import UpgradeReport

UPGRADE = "retrieval.upgrades.start.upgrade_start:upgrade"


class Count(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """A number of images, or ``all``."""

    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Give -1 for all."""
        if str(value).lower() == "all":
            return -1
        try:
            number = int(value)
        except ValueError:
            number = -1
        if number < 0:
            self.fail(f"{value!r} is no number of images; give 0 or more, or all", param, ctx)
        return number


@click.group(
    "upgrade",
    cls=Group,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    common=("--encoder", "--sample", "--method", "--labels", "--dry-run"),
    sections={"More": ("--force", "--device")},
    example="retrieve upgrade --encoder open_clip:ViT-B-32/laion2b_s34b_b79k",
)
@click.option(
    "--encoder",
    metavar="SPEC",
    help="The new encoder: measure how its queries find the gallery as it is, and record the best plan.",
)
@option("--sample", of=UPGRADE, type=int, metavar="N", help="Gallery images to encode with it for that.")
@option(
    "--method",
    of=UPGRADE,
    type=click.Choice(["auto", "prefix", "built-in", "procrustes", "ridge", "lambda", "slerp", "reencode"]),
    help="How queries are mapped; slerp asks with both encoders, reencode with the old one until the end.",
)
@option(
    "--labels",
    of=UPGRADE,
    type=FILE,
    metavar="CSV",
    help="file,label: measure by these, not by altered views.",
)
@option("--dry-run", of=UPGRADE, is_flag=True, help="Measure only.")
@option("--force", of=UPGRADE, is_flag=True, help="Take the best map even if it is not compatible.")
@click.option(
    "--backfill",
    "count",
    type=Count(),
    metavar="N|all",
    hidden=True,
    help="As the command backfill.",
)
@click.option("--report", "wants_report", is_flag=True, hidden=True, help="As the command report.")
@click.option("--plot", type=FILE, hidden=True, help="Of the command report.")
@click.option("--drop-old", is_flag=True, hidden=True, help="As the command finish.")
@device_option(UPGRADE, "where images are encoded.")
@shared
@session
def upgrade(
    session: Session,
    /,
    *,
    encoder: str | None,
    count: int | None,
    wants_report: bool,
    plot: Path | None,
    drop_old: bool,
    index: Path | None,
    device: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Move a collection to a better encoder without starting again.

    Name it with --encoder: the best plan is measured and recorded. Then encode the images again with `backfill`, at any
    pace. Queries use the new encoder at once if a map finds more, else with the last image. `retrieve rollback` returns to the old encoder until `finish`.
    """
    ctx = click.get_current_context()
    asked = [
        name
        for name, wanted in (
            ("--encoder", encoder is not None),
            ("--backfill", count is not None),
            ("--report", wants_report),
            ("--drop-old", drop_old),
        )
        if wanted
    ]
    if ctx.invoked_subcommand is not None:
        if asked:
            raise click.UsageError(
                f"{asked[0]} and {ctx.invoked_subcommand} are steps of their own; give one"
            )
        return 0
    if len(asked) != 1:
        raise click.UsageError(
            f"{asked[0]} and {asked[1]} are steps of their own; give one"
            if asked
            else "what is to be done? --encoder SPEC begins; then the commands backfill N|all, report, finish"
        )
    extra = [name for name, value in given(**options).items() if value is not None]
    if extra and encoder is None:
        raise click.UsageError(f"--{extra[0].replace('_', '-')} belongs to --encoder")
    if plot is not None and not wants_report:
        raise click.UsageError("--plot belongs to --report")
    if encoder is not None:
        return _begin(session, encoder, index, device, as_json=as_json, options=options)
    if count is not None:
        return _backfill(session, count, index, device, as_json=as_json)
    if wants_report:
        return _report(session, index, plot, as_json=as_json)
    return _drop(session, index, as_json=as_json)


@upgrade.command("backfill", cls=Command, common=("--device",), example="retrieve upgrade backfill 5000")
@click.argument("count", type=Count(), default="all", metavar="[N|all]")
@device_option(UPGRADE, "where images are encoded.")
@shared
@session
def backfill(
    session: Session, /, *, count: int, index: Path | None, device: str | None, as_json: bool
) -> int:
    """Encode N images again with the new encoder; all without N.

    Searches go on meanwhile. Interrupted, the same command continues.
    """
    return _backfill(session, count, _outer(index), device, as_json=as_json)


@upgrade.command(
    "report", cls=Command, common=("--plot",), example="retrieve upgrade report --plot curve.svg"
)
@click.option("--plot", type=FILE, metavar="FILE.svg", help="Draw what encoding again gains.")
@shared
@session
def report(session: Session, /, *, plot: Path | None, index: Path | None, as_json: bool) -> int:
    """Show what the upgrade found, and what encoding again gains.

    A table says how well the encoders so far work with each other's vectors.
    """
    return _report(session, _outer(index), plot, as_json=as_json)


@upgrade.command("finish", cls=Command, example="retrieve upgrade finish")
@shared
@session
def finish(session: Session, /, *, index: Path | None, as_json: bool) -> int:
    """Delete the old vectors; there is no rollback then."""
    return _drop(session, _outer(index), as_json=as_json)


def _outer(index: Path | None) -> Path | None:
    """Return the collection that was named, before or behind the command."""
    parent = click.get_current_context().parent
    return index or (None if parent is None else parent.params.get("index"))


def _begin(
    session: Session,
    encoder: str,
    index: Path | None,
    device: str | None,
    *,
    as_json: bool,
    options: dict[str, Any],
) -> int:
    from retrieval.cli.frame import watching
    from retrieval.upgrades import upgrade as begin

    session.kept = (
        "images that were encoded are kept, but for the last seconds; the same command measures anew and encodes the others, unless "
        "`retrieve info` says that the upgrade is recorded"
    )
    with watching(session) as progress:
        report = begin(index, encoder=encoder, **given(device=device, **options), progress=progress)
    facts = report.to_json()
    emit(json_text(facts) if as_json else measured(facts))
    if report.recorded and report.plan == "reencode":
        why = "as no map finds more than it does beyond chance"
        if any(method["compatible"] for method in report.methods):
            why = "as all shards change together"  # a collection that is one takes the map
        if options.get("method") == "reencode":
            why = "as you asked"
        if report.measure == "none":
            why = f"and which of them finds more is not known: a sample of {report.sample:,} is too small to measure that"
        then = "the last image is encoded again" if report.costs["images"] else "you switch over"
        session.note(f"{report.old} answers until {then}, {why}; {_next(report)}")
        return 0
    if report.recorded:
        forced = "" if report.compatible else ", although it is not compatible"
        both = _both(report) if report.method == "slerp" else ""
        session.note(f"queries use {report.new} from now on ({report.method}){forced}; {both}{_next(report)}")
        return 0
    if report.plan != "none":
        session.note("nothing was recorded (--dry-run)")
        return 0
    session.note(
        f"error: {report.new} finds no more than {report.old} does, even if everything is encoded again; nothing was changed: "
        f"keep {report.old}, or insist with --force"
        if options.get("method") in (None, "auto", "reencode")
        else f"error: {options['method']} finds no more in the gallery of {report.old} than {report.old} itself does; nothing was "
        "changed: leave --method away, or insist with --force"
    )
    return 1


def _next(report: UpgradeReport) -> str:
    """Say what leads to the end of an upgrade."""
    if report.costs["images"] == 0:
        return "all images are encoded, and this switches over: retrieve upgrade backfill all"
    return "encode the gallery again with: retrieve upgrade backfill all"


def _both(report: UpgradeReport) -> str:
    """Say that each query runs both encoders, and which map would spare it that."""
    single = [method for method in report.methods if method["method"] != "slerp" and method["compatible"]]
    if not single:
        return "each query runs both encoders; "
    best = max(single, key=lambda method: float(method["new_old"]))
    return (
        f"each query runs both encoders ({best['method']} alone finds {best['finds_itself']:.2f} of the images again; "
        f"--method {best['method']} keeps to it); "
    )


def _backfill(session: Session, count: int, index: Path | None, device: str | None, *, as_json: bool) -> int:
    from retrieval.cli.frame import watching
    from retrieval.upgrades import UpgradeReport, backfill

    session.kept = "what was encoded is kept and answers; the same command continues"
    with watching(session) as progress:
        done = backfill(index, count=None if count < 0 else count, **given(device=device), progress=progress)
    facts = UpgradeReport.of(done.entry).to_json() | {
        "encoded": done.encoded,
        "gone": done.gone,
        "unreadable": done.unreadable,
        "complete": done.complete,
    }
    emit(json_text(facts) if as_json else backfilled(done, facts))
    if count < 0 and not done.complete:
        session.note(
            f"error: {done.remaining:,} images cannot be encoded again ({done.gone:,} gone or changed, {done.unreadable:,} "
            "unreadable) and stay old; take up what changed with `retrieve build-index`, then go on"
        )
        return 1
    if done.complete:
        back = f"; `retrieve rollback` returns to {facts['old']} until `retrieve upgrade finish`"
        session.note(
            f"the collection is wholly in the space of {facts['new']}{back if done.entry.get('previous') else ''}"
        )
    return 0


def _report(session: Session, index: Path | None, plot: Path | None, *, as_json: bool) -> int:
    from retrieval.upgrades import plot_curve, upgrade_report

    facts = upgrade_report(index)
    if plot is not None:
        plot_curve(facts, plot)
        session.note(f"wrote {plot}")
    emit(json_text(facts) if as_json else history(facts))
    return 0


def _drop(session: Session, index: Path | None, *, as_json: bool) -> int:
    from retrieval.upgrades import UpgradeReport, finish_upgrade

    report = UpgradeReport.of(finish_upgrade(index))
    if as_json:
        emit(json_text(report.to_json()))
    session.note(f"the vectors of {report.old} are given up; the collection stays with {report.new}")
    return 0
