"""Training: graph, module, schedule, loop, checkpoints, run folder."""
