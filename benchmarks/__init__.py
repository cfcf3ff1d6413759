"""Benchmark of this service against other implementations of the API: `python -m benchmarks`."""
