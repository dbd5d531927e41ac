"""Benchmark of a chain: its cost on this machine, and how near that is to what the processor can do."""
