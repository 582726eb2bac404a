"""Measure how fast images are decoded and encoded."""
