"""What an exported graph states about itself, as attributes on its image variable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Tuple

from arcface_mx.model.convention import COLOUR_ORDER_ATTRIBUTE, PIXELS, PIXELS_ATTRIBUTE
from arcface_mx.model.graph import INPUT_SIZE_ATTRIBUTE
from arcface_mx.model.nodes import Graph

if TYPE_CHECKING:
    import mxnet as mx

EMBEDDING_SIZE_ATTRIBUTE = "arcface_embedding_size"
ALIGNMENT = "five points by similarity transform to ArcFace's reference points in a crop of 112x112"


def describe(size: Tuple[int, int], embedding_size: int, aligned: bool = True) -> Dict[str, str]:
    """Return the attributes of a network for images of `size` (height, width).

    `aligned` says whether it was trained on images that were aligned as this project aligns them.
    """
    attributes = {
        INPUT_SIZE_ATTRIBUTE: f"{size[0]},{size[1]}",
        COLOUR_ORDER_ATTRIBUTE: "RGB",
        PIXELS_ATTRIBUTE: PIXELS,
        EMBEDDING_SIZE_ATTRIBUTE: str(embedding_size),
    }
    return dict(attributes, arcface_alignment=ALIGNMENT) if aligned else attributes


def with_attributes(symbol: mx.sym.Symbol, image: str, attributes: Dict[str, str]) -> mx.sym.Symbol:
    """Return the same graph with `attributes` on the variable `image`."""
    graph = Graph(symbol)
    next(node for node in graph.nodes() if node.name == image).attrs.update(attributes)
    return graph.symbol()
