"""Is this machine ready? Versions, threads, the head against its reference, each GPU, what is missing."""

from arcface_mx.doctor.checks import Finding, examine

__all__ = ["Finding", "examine"]
