"""Backbones by name, for command lines and recipes."""

from __future__ import annotations

import difflib
from typing import Any, Dict, List, Optional, Sequence

from mxnet.symbol import Symbol

from arcface_mx.symbols.backbones.gluoncv_zoo import model_zoo, model_zoo_names
from arcface_mx.symbols.backbones.iresnet import UNITS, iresnet
from arcface_mx.symbols.backbones.mobilefacenet import UNITS as UNITS_OF_MOBILEFACENET
from arcface_mx.symbols.backbones.mobilefacenet import mobilefacenet

ZOO = "gluoncv:"
IRESNETS = {f"iresnet{layers}": layers for layers in sorted(UNITS)}


def backbone_names() -> List[str]:
    """List the names that `backbone` takes. This imports GluonCV.

    Returns
    -------
    list of str
        Names; those of GluonCV's model zoo start with "gluoncv:".
    """
    return [*IRESNETS, "mobilefacenet"] + [ZOO + name for name in model_zoo_names()]


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
    """Build a backbone by its name.

    Parameters
    ----------
    name : str
        "iresnet18", "iresnet34", "iresnet50", "iresnet100", "mobilefacenet", or "gluoncv:" and a
        classification network of GluonCV's model zoo, as in "gluoncv:resnet18_v1b".
    data : Symbol of shape (N, 3, input_size, input_size)
        RGB pixels from 0 to 255.
    embedding_size : int, default=512
        Width d of the embedding.
    input_size : int, default=112
        Height and width of the images.
    width : float, default=1.0
        Factor of the numbers of channels. Networks of the zoo have width 1 only.
    units : sequence of int, optional
        Residual units in each stage, for IR-ResNet and MobileFaceNet; by default those of the name.
    dropout : float, optional
        Share of the last features dropped in training. By default 0 for MobileFaceNet and 0.4 for
        all others.
    fast_prelu : bool, default=False
        Use the form of PReLU that trains faster on a CPU (see `prelu`).
    frozen_batchnorm : bool, default=False
        Use BatchNorm's moving statistics in training too, for fine-tuning.

    Returns
    -------
    Symbol of shape (N, embedding_size)
        The embedding, node "fc1".

    Raises
    ------
    ValueError
        If the name is unknown, with the nearest names, or if another argument is out of range.
    """
    if units is not None and name not in (*IRESNETS, "mobilefacenet"):
        raise ValueError(f"`units` belongs to iresnet and mobilefacenet; {name} does not take it")
    settings: Dict[str, Any] = {"input_size": input_size, "frozen_batchnorm": frozen_batchnorm}
    if dropout is not None:
        settings["dropout"] = dropout
    if name in IRESNETS:
        return iresnet(
            data, IRESNETS[name], embedding_size, width=width, units=units, fast_prelu=fast_prelu, **settings
        )
    if name == "mobilefacenet":
        settings["units"] = UNITS_OF_MOBILEFACENET if units is None else units
        return mobilefacenet(data, embedding_size, width=width, fast_prelu=fast_prelu, **settings)
    names = backbone_names()
    if name not in names:
        raise ValueError(f"backbone {name!r} is unknown; the nearest are {', '.join(_nearest(name, names))}")
    if width != 1.0:
        raise ValueError(f"`width` must be 1 for {name}, got {width!r}")
    return model_zoo(name[len(ZOO) :], data, embedding_size, **settings)


def _nearest(name: str, names: Sequence[str]) -> Sequence[str]:
    """The names most like `name`, which may lack the prefix of the zoo."""
    near = difflib.get_close_matches(name, [*names, *(known[len(ZOO) :] for known in names)], n=3, cutoff=0.5)
    return [match if match in names else ZOO + match for match in near] or names[:5]
