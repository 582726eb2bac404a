"""Measure how long it takes to find all pairs that are alike."""
