"""Training: one run from configuration to metrics. Start reading in `run.py` and `loop.py`."""
