"""The ORL faces, an embedded set of real images."""

from arcface_mx.data.orl.orl import load_faces, write_orl

__all__ = ["load_faces", "write_orl"]
