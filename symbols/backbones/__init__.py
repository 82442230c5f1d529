"""Backbones by name: the table that command lines and recipes use."""

from __future__ import annotations

import difflib
from typing import List, Optional, Sequence

from mxnet.symbol import Symbol

from arcface_mx.symbols.backbones.gluoncv_zoo import model_zoo, model_zoo_names
from arcface_mx.symbols.backbones.iresnet import UNITS, iresnet
from arcface_mx.symbols.backbones.mobilefacenet import mobilefacenet

ZOO = "gluoncv:"


def backbone_names() -> List[str]:
    """All names `backbone` takes. Imports GluonCV."""
    own = [f"iresnet{layers}" for layers in sorted(UNITS)] + ["mobilefacenet"]
    return own + [ZOO + name for name in model_zoo_names()]


def backbone(
    name: str,
    data: Symbol,
    *,
    embedding_size: int = 512,
    input_size: int = 112,
    width: float = 1.0,
    units: Optional[Sequence[int]] = None,
    dropout: Optional[float] = None,
    fast_prelu: bool = False,
    frozen_batchnorm: bool = False,
) -> Symbol:
    """Embedding (N, embedding_size), node "fc1", of `data` (N, 3, input_size, input_size), pixels 0–255.

    name    "iresnet18", "iresnet34", "iresnet50", "iresnet100", "mobilefacenet", or "gluoncv:" and
            a classification network of GluonCV's zoo, as in "gluoncv:resnet18_v1b".
    width   multiplies channels; networks of the zoo have 1 only. `units`: IR-ResNet's own, in the
            place of the name's. dropout None is the network's: 0.4, MobileFaceNet 0. fast_prelu
            changes nothing in a network without PReLU.
    Raises ValueError for an unknown name, with the nearest ones, and for a value that does not fit.
    """
    if units is not None and not name.startswith("iresnet"):
        raise ValueError(f"units belongs to iresnet; {name} has its own")
    if name in [f"iresnet{layers}" for layers in UNITS]:
        return iresnet(
            data,
            int(name[len("iresnet") :]),
            embedding_size,
            width=width,
            units=units,
            input_size=input_size,
            dropout=0.4 if dropout is None else dropout,
            fast_prelu=fast_prelu,
            frozen_batchnorm=frozen_batchnorm,
        )
    if name == "mobilefacenet":
        return mobilefacenet(
            data,
            embedding_size,
            width=width,
            input_size=input_size,
            dropout=0.0 if dropout is None else dropout,
            fast_prelu=fast_prelu,
            frozen_batchnorm=frozen_batchnorm,
        )
    names = backbone_names()
    if name not in names:
        near = difflib.get_close_matches(name, names + [zoo[len(ZOO) :] for zoo in names], n=3, cutoff=0.5)
        near = [ZOO + found if found not in names else found for found in near]
        raise ValueError(f"backbone {name!r} is unknown; nearest: {', '.join(near or names[:5])}")
    if width != 1.0:
        raise ValueError(f"width is {width!r}; {name} has width 1 only")
    return model_zoo(
        name[len(ZOO) :],
        data,
        embedding_size,
        input_size=input_size,
        dropout=0.4 if dropout is None else dropout,
        frozen_batchnorm=frozen_batchnorm,
    )
