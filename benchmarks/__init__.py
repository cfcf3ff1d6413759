"""How fast the service is, beside other servers that do the same: `python -m benchmarks`."""
