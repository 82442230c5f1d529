"""Check whether this machine is ready: versions, threads, the margin head, each GPU, optional packages."""
