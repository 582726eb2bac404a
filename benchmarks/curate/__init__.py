"""Parts of `bench_curate.py` that are modules of their own."""
