"""The input convention of a network: the order of its colours, and how pixels become its input."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Mapping, NamedTuple, Optional

import numpy as np

from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from mxnet.symbol import Symbol

COLOUR_ORDER_ATTRIBUTE, PIXELS_ATTRIBUTE = "arcface_colour_order", "arcface_pixels"
PIXELS = "0 to 255; normalised inside the graph"  # the value that exports write
ORDERS = ("rgb", "bgr")


class Convention(NamedTuple):
    """The input is (pixel − mean) / scale, for pixels from 0 to 255 in the colour order `order`."""

    order: str = "rgb"
    mean: float = 0.0
    scale: float = 1.0

    def __str__(self) -> str:
        return f"{self.order},{self.mean:g},{self.scale:g}"

    def apply(self, batch: np.ndarray) -> np.ndarray:
        """Return the input for a batch (n, 3, H, W), float32, of RGB pixels from 0 to 255."""
        if self.order == "bgr":
            batch = np.ascontiguousarray(batch[:, ::-1])
        if (self.mean, self.scale) == (0.0, 1.0):
            return batch
        return (batch - np.float32(self.mean)) / np.float32(self.scale)


RAW = Convention()  # what this project's networks take
ASSUMED = Convention("rgb", 127.5, 127.5)  # what InsightFace's ONNX files take, unless their graph normalises


def parse_convention(text: str) -> Convention:
    """Read ORDER or ORDER,MEAN,SCALE, such as rgb or bgr,127.5,128. Raises UserError if it is neither."""
    order, *numbers = [word.strip().lower() for word in text.split(",")]
    plain = all(re.fullmatch(r"\d+(\.\d*)?", number) for number in numbers)
    if order not in ORDERS or len(numbers) not in (0, 2) or not plain:
        raise UserError(f"`input` must be ORDER,MEAN,SCALE, such as rgb,127.5,128, or rgb or bgr; got {text!r}")
    convention = Convention(order, *map(float, numbers))
    if not (math.isfinite(convention.mean) and 0 < convention.scale < math.inf):
        raise UserError(f"`input` {text}: the scale must be positive")
    return convention


def stated_convention(attributes: Mapping[str, str]) -> Optional[Convention]:
    """Return the convention that the attributes of an exported network state; None if they state none."""
    order = attributes.get(COLOUR_ORDER_ATTRIBUTE, "").lower()
    return Convention(order) if order in ORDERS and attributes.get(PIXELS_ATTRIBUTE) == PIXELS else None


def normalised(data: Symbol, convention: Convention) -> Symbol:
    """Build the step from RGB pixels, 0 to 255, to what a network takes."""
    import mxnet as mx

    if convention.order == "bgr":
        channels = mx.sym.SliceChannel(data, num_outputs=3, axis=1, name="rgb")
        data = mx.sym.Concat(channels[2], channels[1], channels[0], dim=1, name="bgr")
    data = data - convention.mean if convention.mean else data
    return data / convention.scale if convention.scale != 1 else data
