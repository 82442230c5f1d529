"""The flags of a training run, which depend on the loss that the command line names."""

from __future__ import annotations

import argparse
from typing import Dict, List, Sequence, Type

from arcface_mx.cli.shared.parser import Parser
from arcface_mx.config import field_table, flag_name
from arcface_mx.flags import add_config_flags, flags_in, named_loss
from arcface_mx.losses import LOSSES, Loss
from arcface_mx.synonyms import FLAG_HINTS
from arcface_mx.util.errors import UserError


def add_run_flags(parser: argparse.ArgumentParser, arguments: Sequence[str], loss: str = "arcface") -> None:
    """Add the flags of a run with the loss among the arguments, or with `loss` if there is none."""
    try:
        kind = named_loss(arguments, loss)
    except UserError as error:
        parser.error(flags_in(str(error)))
    add_config_flags(parser, kind)
    if isinstance(parser, Parser):
        parser.hints = {**FLAG_HINTS, **_flags_of_other_losses(kind)}


def _flags_of_other_losses(loss: Type[Loss]) -> Dict[str, str]:
    """Return a hint for each flag that only other losses have."""
    owners: Dict[str, List[str]] = {}
    for name, kind in LOSSES.items():
        for setting in set(field_table(kind)) - set(field_table(loss)):
            owners.setdefault(flag_name(setting), []).append(name)
    return {flag: f": the loss {loss.name} does not have it; {', '.join(names)} do" for flag, names in owners.items()}
