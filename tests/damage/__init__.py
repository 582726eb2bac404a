"""Damage to any file of a collection: what the tests and the campaign share."""
