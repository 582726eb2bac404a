"""Measure what it costs to build a collection and to change it."""
