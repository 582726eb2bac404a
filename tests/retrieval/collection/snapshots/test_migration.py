"""What is said of an upgrade that a manifest records."""

from __future__ import annotations

from retrieval.collection.snapshots.migration import summary


def test_an_encoder_that_was_given_as_an_object_goes_by_the_name_of_its_space() -> None:
    assert summary({"old": None, "old_space": {"name": "mine"}, "new": "nano@2"}) == {
        "old": "mine",
        "new": "nano@2",
        "encoded_so_far": 0,
    }
    assert summary({"old": "nano@1", "old_space": {"name": "mine"}})["old"] == "nano@1"
