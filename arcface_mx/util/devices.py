"""Device lists: "cpu", "cpu(0),cpu(1)", "gpu(0),gpu(1)" → MXNet contexts that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, List, Tuple

from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    import mxnet as mx


def parse_devices(text: str) -> List[mx.Context]:
    """Contexts for a device list.

    Raises UserError where the list is malformed, names a device twice or one that is not there.
    """
    import mxnet as mx

    names = device_names(text)
    contexts = []
    for kind, number in names:
        if kind == "gpu":
            there = mx.context.num_gpus()
            if number >= there:
                raise UserError(
                    f"--devices {text}: there is no gpu({number}); MXNet sees {there} "
                    f"GPU{('' if there == 1 else 's')} here. {_gpu_remedy(mx, there)}"
                )
        contexts.append(mx.Context(kind, number))
    return contexts


def device_names(text: str) -> List[Tuple[str, int]]:
    """(kind, number) of each device of a list, there or not; raises UserError where it makes no sense."""
    names = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(cpu|gpu)(?:\((\d+)\)|(\d+))?\s*", part)
        if not match:
            raise UserError(f"--devices {text}: cannot read {part!r}; write for example cpu, gpu(0) or gpu(0),gpu(1)")
        names.append((match.group(1), int(match.group(2) or match.group(3) or 0)))
    if len(set(names)) != len(names):
        raise UserError(f"--devices {text}: a device is named twice")
    if len({kind for kind, _ in names}) > 1:
        raise UserError(f"--devices {text}: every device gets an equal part of a batch; name devices of one kind")
    return names


def _gpu_remedy(mx: object, there: int) -> str:
    features = mx.runtime.Features()  # type: ignore[attr-defined]
    if not features.is_enabled("CUDA"):
        return "The installed mxnet is a CPU build: install mxnet-cu117 or another GPU build, or use --devices cpu."
    return "Use a lower number, or --devices cpu."
