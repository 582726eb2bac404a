"""Fit when a hit is what was asked."""
