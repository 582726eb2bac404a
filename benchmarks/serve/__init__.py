"""What `bench_serve.py` measures: its parts, and what they share."""
