"""Start a training run of several processes, on this machine or over ssh."""

from arcface_mx.launch.launcher import Launch, read_hosts, run

__all__ = ["Launch", "read_hosts", "run"]
