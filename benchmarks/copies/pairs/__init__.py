"""What the check says of two pictures: of copies, of other photographs, of bursts and look-alikes."""

from benchmarks.copies.pairs.false_pairs import agrees

__all__ = ["agrees"]
