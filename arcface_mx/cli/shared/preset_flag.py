"""The flag --preset, and the preset that fits where it is not given."""

from __future__ import annotations

import argparse
import logging
from typing import Any, Dict, Mapping, Optional

from arcface_mx.config import ArcFace, find_loss
from arcface_mx.flags import flags_in
from arcface_mx.presets import PRESETS, choose_preset, count_classes, preset_values

LOGGER = logging.getLogger(__name__)


def add_preset_flag(parser: argparse.ArgumentParser) -> None:
    """--preset."""
    parser.add_argument(
        "--preset",
        metavar=f"{{{','.join(PRESETS)}}}",
        help="defaults to start from (default: the one that fits: fine-tune with --init, laptop without a GPU on "
        "fewer than 100,000 images, else paper)",
    )


def preset_settings(name: Optional[str], given: Mapping[str, Any], choose: bool = True) -> Dict[str, Any]:
    """Return the settings of a preset; without a name, with `choose`, of the one that fits, and say which it is."""
    reason = ""
    if not name and choose:
        name, reason = choose_preset(given)
    if reason:
        LOGGER.info("preset %s, because %s; --preset chooses another", name, flags_in(reason))
    loss = find_loss(given.get("loss", ArcFace.name))
    return preset_values(name, loss, given, count_classes(given.get("data", ""))) if name else {}
