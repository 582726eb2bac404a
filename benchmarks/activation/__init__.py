"""What `bench_activate.py` measures: its collections and copies, how they are searched, and what is written of it."""
