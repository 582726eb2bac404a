"""Pages of PDF documents come out as pictures of a bounded size, and what cannot be read has a reason."""

import pytest

from retrieval.errors import ImageError
from retrieval.sources.media import page_at, pages
from tests.retrieval.sources.media.made import pdf

pdfium = pytest.importorskip("pypdfium2", reason="the extra `pdf` is not installed")


def test_pages_come_in_order_upright_and_in_colour():
    found = list(pages(pdf((200, 100), (100, 200))))

    assert [page.number for page in found] == [1, 2]
    assert [page.picture.size for page in found] == [(800, 400), (400, 800)]
    for page in found:
        width, height = page.picture.size
        assert page.picture.getpixel((width // 2, height // 2)) == (255, 0, 0)
        assert page.picture.getpixel((width // 8, height - height // 8)) == (0, 0, 255)


@pytest.mark.parametrize("size", [(14400, 14400), (14400, 3), (1e7, 1e7), (2, 2)])
def test_a_page_of_any_size_gives_a_bounded_picture(size):
    picture = next(pages(pdf(size), long_side=500)).picture

    assert min(picture.size) >= 1
    assert max(picture.size) <= 500


def test_one_page_is_the_same_as_among_all():
    document = pdf((200, 100), (120, 160))

    assert list(pages(document))[1].picture.tobytes() == page_at(document, 2).tobytes()
    with pytest.raises(ImageError, match="has 2 pages, not 3"):
        page_at(document, 3)


def test_a_document_behind_a_password_says_so(tmp_path):
    with pytest.raises(ImageError) as refused:
        next(pages(protected()))

    assert refused.value.reason == "password"


def protected():
    """Return a document that asks for a password: the standard handler, revision 2, with made-up keys."""
    locked = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%b> /U <%b> >> /ID [<00> <00>]" % (
        b"11" * 32,
        b"22" * 32,
    )
    return pdf((100, 100)).replace(b"/Root 1 0 R", b"/Root 1 0 R " + locked)


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty"), (b"no document" * 99, "unreadable"), (pdf(), "unreadable")]
)
def test_what_is_no_document_is_an_error_with_a_reason(data, reason):
    with pytest.raises(ImageError) as refused:
        next(pages(data, name="paper.pdf"))

    assert reason == refused.value.reason
    assert str(refused.value).startswith("paper.pdf: ")


def test_a_document_cut_anywhere_gives_pages_or_a_reason():
    whole = pdf((200, 100), (100, 200))
    reasons = set()
    for end in range(10, len(whole), 37):
        try:
            found = list(pages(whole[:end], long_side=50))
        except ImageError as error:
            reasons.add(error.reason)
        else:
            assert found

    assert reasons == {"unreadable"}


def test_several_threads_read_documents():
    from concurrent.futures import ThreadPoolExecutor

    document = pdf(*[(100, 100)] * 5)
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: len(list(pages(document, long_side=64))), range(16)))

    assert counts == [5] * 16
