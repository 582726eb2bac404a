"""What `bench_copies.py` measures: a module for each part, and what they share."""
