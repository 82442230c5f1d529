"""What GPUs sustain in a training step of this project, for the cost model. No card was measured here.

Three numbers are published: 800 images/s of ResNet50 on 8 cards of 11 GB (the paper), and 234 images/s of
ResNet100 on a V100 with MXNet 1.6 and InsightFace's code (github.com/Oneflow-Inc/DLPerf, MxNet/InsightFace/ArcFace,
batch 64). A step of ResNet100 is 72.6e9 operations an image, so that V100 sustains 17e12 a second. That is 1.08
times its data sheet, because cuDNN's Winograd convolutions need fewer operations than are counted here. Where
nothing is published, a card is assumed to reach the same share of its data sheet in float32 without TF32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

from arcface_mx.planning.cost import Machine
from arcface_mx.util.errors import UserError

SHARE_OF_PEAK = 17.0 / 15.7  # a V100's share of its data sheet
SHARE_OF_BANDWIDTH = 0.75  # assumed
ASSUMED = "1.08 × the data sheet's float32, as on a V100; an assumption"


@dataclass(frozen=True)
class Card:
    """A kind of GPU.

    Parameters
    ----------
    tflops : float
        1e12 operations a second that training sustains, in float32.
    link : float
        1e9 bytes a second that the card sends. Assumed: 5 on PCIe 3, and 10 on PCIe 4.
    traffic : float
        1e9 bytes a second that it reads or writes in its own memory.
    memory : float
        1e9 bytes that the driver reports.
    source : str
        Where `tflops` comes from.
    """

    tflops: float
    link: float
    traffic: float
    memory: float
    source: str

    @property
    def machine(self) -> Machine:
        """The card as the cost model takes it."""
        return Machine(self.tflops * 1e12, self.link * 1e9, self.traffic * 1e9)


def _by_data_sheet(peak: float, link: float, bandwidth: float, memory: float) -> Card:
    """Return a card from the float32 TFLOPS and the bandwidth of its data sheet."""
    return Card(round(peak * SHARE_OF_PEAK, 1), link, round(bandwidth * SHARE_OF_BANDWIDTH), memory, ASSUMED)


CARDS: Dict[str, Card] = {
    "1080ti": Card(4.0, 5.0, 300.0, 11.7, "the paper's 800 images/s on 8 cards of 11 GB; the kind of card is assumed"),
    "v100": Card(17.0, 5.0, 675.0, 16.9, "published: 234 images/s of ResNet100, batch 64 (DLPerf, MXNet 1.6)"),
    "t4": _by_data_sheet(8.1, 5.0, 320.0, 15.8),
    "a10": _by_data_sheet(31.2, 10.0, 600.0, 24.1),
    "a100": _by_data_sheet(19.5, 10.0, 1555.0, 42.4),
    "l4": _by_data_sheet(30.3, 10.0, 300.0, 24.1),
}
DEFAULT_CARD = "1080ti"  # the paper's machine


def find_card(name: str) -> Card:
    """Return a card by its name. Raises UserError with the known names."""
    if name not in CARDS:
        raise UserError(f"`card` must be one of {', '.join(CARDS)}, got {name}")
    return CARDS[name]
