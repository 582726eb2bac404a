"""Measure what queries cost, and what their answers are worth."""
