"""Decide how many views a build gives each image, and bring them in line with the images at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrieval.collection.rows import learn_rotation, plain
from retrieval.errors import OptionError
from retrieval.views import check_views, drop_views, record_views, updating_views

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import WriterLock
    from retrieval.collection.rows import Growing
    from retrieval.ingestion.build_sources import BuildSources
    from retrieval.ingestion.encoder_choice import BuildEncoder
    from retrieval.progress import OnProgress
    from retrieval.views import ViewsReport


class BuildViews:
    """The views of one build.

    Args:
        directory: the collection's.
        before: its manifest.
        views: how many were asked for an image; None keeps the collection's own, and is none for a new one.
    Attributes:
        number: how many an image gets.
    Raises:
        OptionError: it cannot be, or the encoder changes at the moment.
    """

    def __init__(self, directory: Path, before: Manifest | None, views: int | None) -> None:
        known = 0 if before is None else before.views
        self.number = known if views is None else check_views(views)
        if before is not None and self.number and (before.migrating or before.reencoding):
            raise OptionError(
                f"{directory}: an upgrade is under way, and views are of one encoder; end it with `finish_upgrade` or "
                "`rollback`, and ask for views again"
            )
        self._directory, self._changed = directory, self.number != known

    def begin(self) -> None:
        """Record the number, once the collection is published: a build that is interrupted continues with it."""
        if self._changed:
            record_views(self._directory, self.number)

    def finish(
        self,
        store: Growing,
        sources: BuildSources,
        models: BuildEncoder,
        lock: WriterLock,
        publish: Callable[[int | None], Manifest],
        *,
        device: str,
        max_pixels: int | None,
        progress: OnProgress | None,
    ) -> tuple[Manifest, ViewsReport | None]:
        """Encode the views that are missing, delete those without an image, and publish all.

        Args:
            store: of the images; every change is committed.
            sources: of the build.
            models: the encoder.
            lock: held.
            publish: publishes the images, of which those below a row have their views.
            device: where faiss may use a GPU.
            max_pixels: as `retrieval.ingestion.build.build_index` has it.
            progress: called now and then.
        """
        if not self.number:
            manifest = publish(None)
            drop_views(self._directory)
            return manifest, None
        opened = {source.number: source.source for source in sources.chosen}
        facts: dict[str, Any] = {"space": models.stored_space, "name": models.stored}
        with updating_views(
            self._directory,
            plain(store),
            self.number,
            **facts,
            asked=frozenset(opened),
            lock=lock,
            is_new=self._changed,
        ) as update:
            if update.is_long:  # the images answer meanwhile
                publish(None)
            report = update.run(
                opened,
                lambda: models.checked(store, sources.chosen[0].source),
                lock=lock,
                name=models.stored,
                learn=learn_rotation,
                phrases=models.phrases,
                device=device,
                max_pixels=max_pixels,
                progress=progress,
            )
        return publish(report.covered), report
