"""What `bench_search.py` measures: its engines, its parts, and what they share."""
