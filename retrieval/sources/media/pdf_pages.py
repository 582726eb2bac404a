"""Render the pages of PDF documents to pictures of a bounded size."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from indexes import forks
from indexes.distribution import pip_install
from retrieval.sources.decoding import image_error
from retrieval.sources.media.inputs import MediaSource, name_of, opened

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from PIL import Image

    from retrieval.errors import ImageError

LONG_SIDE: Final = 1600
"""Pixels of the long side of a rendered page."""

_LARGEST_SCALE = 4.0  # pixels a point: a page of a few points is not blown up further
_PASSWORD = 4  # pdfium, FPDF_ERR_PASSWORD

_one_at_a_time = forks.Lock()  # pdfium knows no threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a document.

    Attributes:
        number: from 1.
        picture: upright RGB, on white.
    """

    number: int
    picture: Image.Image


def pages(
    document: MediaSource, *, long_side: int = LONG_SIDE, name: str | os.PathLike[str] | None = None
) -> Iterator[Page]:
    """Yield the pages of a PDF document, rendered one at a time.

    Args:
        document: a path, bytes, or an open binary file that can be sought.
        long_side: how many pixels the long side of a picture has at most; the short side has at least one.
        name: what messages call a document that has no path.
    Raises:
        ImageError: before the first page: ``empty``, ``unreadable`` (no PDF, or a broken one), ``password`` (it is protected by
            one), ``needs-pdf`` (the extra is missing), or one of `retrieval.sources.media.inputs.opened`; behind the last one:
            ``truncated``, some pages are broken.
    """
    name = name_of(document, name, "document")
    with _opened(document, name) as found:
        broken = []
        for at in range(found.count):
            picture = found.render(at, long_side)
            if picture is None:
                broken.append(str(at + 1))
            else:
                yield Page(number=at + 1, picture=picture)
        if len(broken) == found.count:
            raise image_error("unreadable", name, "is broken (none of its pages can be read)")
        if broken:
            raise image_error("truncated", name, f"has broken pages: {', '.join(broken[:10])}")


def page_at(
    document: MediaSource,
    number: int,
    *,
    name: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Return one page of a PDF document, counted from 1.

    Raises:
        ImageError: as `pages` does; ``vanished``: it has no such page; ``unreadable``: the page is broken.
    """
    name = name_of(document, name, "document")
    with _opened(document, name) as found:
        if not 1 <= number <= found.count:
            raise image_error("vanished", name, f"has {found.count} pages, not {number}")
        picture = found.render(number - 1, LONG_SIDE)
    if picture is None:
        raise image_error("unreadable", name, f"is broken (page {number} cannot be read)")
    return picture


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """An open document of ``count`` pages."""

    pdf: Any
    count: int

    def render(self, at: int, long_side: int) -> Image.Image | None:
        """Return the picture of a page, counted from 0; None if it is broken."""
        import pypdfium2

        with _one_at_a_time:
            try:
                page = self.pdf[at]
            except pypdfium2.PdfiumError:
                return None
            try:
                width, height = page.get_size()
                scale = min(long_side / max(width, height, 1e-3), _LARGEST_SCALE)
                bitmap = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=True)
                try:
                    picture: Image.Image = bitmap.to_pil().convert("RGB")
                finally:
                    bitmap.close()
            except pypdfium2.PdfiumError:
                return None
            finally:
                page.close()
        return picture


def require_pdfium(name: str | os.PathLike[str]) -> None:
    """Raise the error for a document that cannot be read because the extra is missing.

    Raises:
        ImageError: ``needs-pdf``.
    """
    try:
        import pypdfium2  # noqa: F401
    except ImportError as error:
        raise image_error("needs-pdf", name, f"is a PDF; {pip_install('pdf')} reads it") from error


@contextmanager
def _opened(source: MediaSource, name: str | os.PathLike[str]) -> Iterator[_Document]:
    """Open a document.

    Raises:
        ImageError: as `pages` does.
    """
    require_pdfium(name)
    import pypdfium2

    with opened(source, name) as file:
        with _one_at_a_time:
            try:
                pdf = pypdfium2.PdfDocument(file)
                count = len(pdf)
            except pypdfium2.PdfiumError as error:
                raise _refused(error, name) from error
        try:
            if not count:
                raise image_error("unreadable", name, "is broken (it has no pages)")
            yield _Document(pdf=pdf, count=count)
        finally:
            with _one_at_a_time:
                pdf.close()


def _refused(error: Any, name: str | os.PathLike[str]) -> ImageError:
    if getattr(error, "err_code", None) == _PASSWORD:
        return image_error("password", name, "is protected by a password; save it without one")
    return image_error("unreadable", name, f"is no PDF, or a broken one ({error})")
