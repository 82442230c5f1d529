"""The networks that the benchmarks measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, NamedTuple

import numpy as np

from arcface_mx.presets import LAPTOP

if TYPE_CHECKING:
    from mxnet.symbol import Symbol


class Network(NamedTuple):
    """A network with its input and embedding size, and the batch size of a training step."""

    backbone: str
    width: float
    image_size: int
    embedding_size: int
    batch_size: int

    def settings(self) -> Dict[str, Any]:
        """The settings of a training run with this network, by name."""
        return {
            "network": self.backbone,
            "width": self.width,
            "image_size": self.image_size,
            "embedding_size": self.embedding_size,
        }

    def symbol(self) -> Symbol:
        """The graph from images to embeddings."""
        import mxnet as mx

        from arcface_mx import symbols

        return symbols.backbone(
            self.backbone,
            mx.sym.Variable("data"),
            embedding_size=self.embedding_size,
            width=self.width,
            input_size=self.image_size,
        )

    def forward_gflop(self) -> float:
        """Work of a forward pass per image, in 1e9 operations."""
        from arcface_mx.planning.cost import forward_operations

        return forward_operations(self.symbol(), data=(1, 3, self.image_size, self.image_size)) / 1e9

    def random_images(self) -> np.ndarray:
        """A batch of random images (B, 3, height, width), float32 from 0 to 255."""
        shape = (self.batch_size, 3, self.image_size, self.image_size)
        return np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)


NETWORKS = {
    "recipe": Network(*(LAPTOP[name] for name in ("network", "width", "image_size", "embedding_size", "batch_size"))),
    "iresnet50": Network("iresnet50", 1.0, 112, 512, 8),
    "mobilefacenet": Network("mobilefacenet", 1.0, 112, 512, 16),
}
