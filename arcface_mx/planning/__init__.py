"""Memory and time of a training run, estimated before anything is allocated."""
