"""Start the processes of a training run: ps-lite, Horovod, ssh."""
