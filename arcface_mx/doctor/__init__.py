"""Check whether this machine is ready: versions, threads, the margin head, each GPU, optional packages."""

from arcface_mx.doctor.checks import examine
from arcface_mx.doctor.finding import Finding

__all__ = ["Finding", "examine"]
