"""ROC and DET curves of verification sets with bands of 95 % intervals, as a picture."""

from __future__ import annotations

from typing import Dict

import numpy as np

from arcface_mx.metrics.bands import bands
from arcface_mx.metrics.identity_bootstrap import PairIdentities
from arcface_mx.util.plots import drawing, plot_text
from arcface_mx.verify.scores import Key, Scored

POINTS = 60


def draw_curves(path: str, scored: Dict[Key, Scored], identities: Dict[str, PairIdentities]) -> None:
    """Write a PNG file with ROC above and DET below; `identities` by name of the set."""
    with drawing(path, 2) as (roc, det):
        for (name, flip), (scores, same) in scored.items():
            lowest = 1.0001 / np.count_nonzero(~same)
            far, tar = bands(scores, same, identities[name], np.geomspace(lowest, 1.0, POINTS).tolist())
            for axis, curve in ((roc, tar), (det, 1 - tar)):
                (line,) = axis.plot(far, curve[:, 0], label=plot_text(f"{name}, flip {flip}"))
                axis.fill_between(far, curve[:, 1], curve[:, 2], color=line.get_color(), alpha=0.2, linewidth=0)
        roc.set(xscale="log", xlabel="FAR", ylabel="TAR", title="ROC with 95 % intervals")
        det.set(xscale="log", xlabel="FMR", ylabel="FNMR", title="DET with 95 % intervals")
        det.set_yscale("log", nonpositive="clip")
        roc.legend()
