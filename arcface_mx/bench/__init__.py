"""Benchmarks: how fast this machine reads, trains, embeds and verifies. See `arcface-mx bench --help`."""
