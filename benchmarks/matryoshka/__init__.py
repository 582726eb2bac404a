"""What `bench_matryoshka.py` measures: prefixes of vectors against other ways to make them short."""
