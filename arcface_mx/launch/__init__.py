"""Start the processes of one training run: ps-lite, Horovod, ssh."""
