"""The paper's row, card by card: images that fit, cards for a batch of 512, and hours, all computed.

Run: python recipes/bench/cards.py    (the table in recipes/gpu.md)
"""

from __future__ import annotations

import dataclasses
from typing import List

from arcface_mx.config import TrainConfig, from_flat
from arcface_mx.planning.cards import CARDS, Card
from arcface_mx.planning.plan import make_plan
from arcface_mx.planning.scaling import scaling
from arcface_mx.planning.workload import Workload
from arcface_mx.util.tables import markdown_table

CLASSES = 10572  # CASIA-WebFace
BATCH = TrainConfig().data.batch_size  # the paper's, and so is the number of steps
STEPS = TrainConfig().optimizer.steps


def largest_batch(workload: Workload, card: Card) -> int:
    """Return the largest number of images, a multiple of 8, for which the plan fits into one card."""
    images = 0
    while make_plan(dataclasses.replace(workload, batch_size=images + 8), CLASSES, int(card.memory * 1e9)).fits:
        images += 8
    return images


def rows(network: str) -> List[List[str]]:
    """Return a line for each card."""
    lines = []
    workload = Workload.of(from_flat({"network": network, "devices": "gpu(0)"}))
    for name, card in CARDS.items():
        images = largest_batch(workload, card)
        cards = next((count for count in (1, 2, 4, 8, 16) if count * images >= BATCH), 0)
        step = dataclasses.replace(workload, batch_size=BATCH // cards)
        speed = scaling(step, card.machine, [CLASSES], [cards])[0]["images_per_second"]
        hours = STEPS * BATCH / speed / 3600
        lines.append([name, f"{card.memory:.1f}", network, str(images), str(cards), f"{speed:.0f}", f"{hours:.0f}"])
    return lines


if __name__ == "__main__":
    header = ["card", "GB", "network", "images a card", f"cards for {BATCH} images", "images/s of all", "hours"]
    table = [header, *(line for network in ("iresnet50", "iresnet100") for line in rows(network))]
    print(markdown_table(table))
