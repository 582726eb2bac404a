"""Fit when two pictures are called the same."""
