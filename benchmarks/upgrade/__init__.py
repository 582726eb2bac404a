"""What `bench_upgrade.py` trains: heads that later heads are compatible with."""
