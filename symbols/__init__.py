"""Graph builders: Symbols and numbers in, a Symbol out. No I/O, no global state, no NDArray."""
