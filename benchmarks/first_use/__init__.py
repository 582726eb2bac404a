"""Measure the download and the cold start."""
