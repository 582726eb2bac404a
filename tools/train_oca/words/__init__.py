"""Teach the shipped words more, and leave photographs where they are."""
