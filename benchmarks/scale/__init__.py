"""What collections cost that grow from one million rows to ten: the parts of `bench_scale.py`."""
