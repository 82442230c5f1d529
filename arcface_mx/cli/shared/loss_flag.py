"""The flags of a training run, which depend on the loss that the command line names."""

from __future__ import annotations

import argparse
from typing import Sequence

from arcface_mx.flags import add_config_flags, named_loss
from arcface_mx.util.errors import UserError


def add_run_flags(parser: argparse.ArgumentParser, arguments: Sequence[str], loss: str = "arcface") -> None:
    """Add the flags of a run with the loss among the arguments, or with `loss` if there is none."""
    try:
        add_config_flags(parser, named_loss(arguments, loss))
    except UserError as error:
        parser.error(str(error).replace("`loss`", "--loss"))
