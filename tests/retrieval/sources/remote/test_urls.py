from __future__ import annotations

import pytest

from retrieval.sources.remote.urls import host_of, is_url, joined, protocol_of, public_url, scrubbed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.org/a.jpg", True),
        ("S3://bucket/a", True),
        ("C:/photos/a.jpg", False),
        ("C://photos", False),
        ("photos/a.jpg", False),
        ("a b://c", False),
        ("", False),
    ],
)
def test_what_is_a_url(text: str, expected: bool) -> None:
    assert is_url(text) is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/a%20b.jpg?id=7&size=2#top", "https://example.org/a%20b.jpg?id=7&size=2#top"),
        ("https://user:pass@example.org:8443/a.jpg", "https://example.org:8443/a.jpg"),
        ("https://user:p@ss/word@example.org", "https://ss/word@example.org"),  # as a browser reads it
        ("https://user@example.org?token=1", "https://example.org"),
        ("s3://key:secret@bucket/a/b.jpg", "s3://bucket/a/b.jpg"),
        ("https://h/a?X-Amz-Signature=1&X-Amz-Expires=2&v=3", "https://h/a?v=3"),
        ("https://h/a?x-goog-signature=1", "https://h/a"),
        ("https://h/a?sv=2022&se=2026&sr=b&sig=x%2F1&v=3", "https://h/a?v=3"),
        ("https://h/a?Expires=1&Signature=2&Key-Pair-Id=3", "https://h/a"),
        ("https://h/a?st=1&se=2", "https://h/a?st=1&se=2"),  # nothing is signed
        ("https://h/a?TOKEN=1&b&c=", "https://h/a?b&c="),
        ("https://h/a?access%5Ftoken=1", "https://h/a"),
        ("https://h/a?key=AIzaSyX", "https://h/a"),
        ("https://h/a?key=image7", "https://h/a?key=image7"),
        ("https://h/a@b.jpg", "https://h/a@b.jpg"),
        ("https://user:p/wor:d@h:80/a.jpg?v=3", "https://h:80/a.jpg?v=3"),
        ("https://user:p#?/x@h/a.jpg", "https://h/a.jpg"),
        ("https://h:80/a@b.jpg", "https://h:80/a@b.jpg"),
        ("https://[2001:db8::a]/a@b.jpg", "https://[2001:db8::a]/a@b.jpg"),
        ("https://h/a.jpg#access_token=1&state=2", "https://h/a.jpg#state=2"),
        ("https://h/a.mp4?v=3#token=1", "https://h/a.mp4?v=3"),
        ("https://h/a.mp4#t=12.4", "https://h/a.mp4#t=12.4"),
        ("https://h/a.jpg#", "https://h/a.jpg#"),
    ],
)
def test_what_grants_access_is_stripped_and_the_rest_stays(url: str, expected: str) -> None:
    assert public_url(url) == expected
    assert public_url(public_url(url)) == expected


def test_a_text_is_stripped_of_secrets_in_its_urls() -> None:
    assert scrubbed("cannot get 'https://a:b@h/x?sig=1': 500") == "cannot get 'https://h/x': 500"


def test_parts() -> None:
    assert host_of("https://a:b@Example.org:80/x") == "Example.org:80"
    assert protocol_of("HTTPS://x") == "https"
    assert joined("https://h/a/?sig=1", "b/c.jpg") == "https://h/a/b/c.jpg?sig=1"
    assert joined("s3://bucket", "b.jpg") == "s3://bucket/b.jpg"
