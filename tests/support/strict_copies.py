"""CPU contexts that copy as GPUs do: MXNet casts from CPU to CPU, but refuses to cast to or from a GPU."""

from __future__ import annotations

import mxnet as mx


def refuse_casts(monkeypatch):
    """Make a copy between two different devices raise MXNetError if the types differ."""
    real = mx.nd.NDArray.copyto

    def copyto(self, other):
        if isinstance(other, mx.nd.NDArray) and self.context != other.context and self.dtype != other.dtype:
            raise mx.MXNetError(
                f"copy from {self.context} to {other.context}: {self.dtype.__name__} to {other.dtype.__name__}"
            )
        return real(self, other)

    monkeypatch.setattr(mx.nd.NDArray, "copyto", copyto)
