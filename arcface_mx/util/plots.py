"""Figures with panels side by side, written as PNG files. This module needs matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Tuple

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_figure(panels: int = 1, width: float = 5.0, height: float = 4.0) -> Tuple[Figure, List[Axes]]:
    """Make a figure of `panels` axes side by side, each `width` × `height` inches.

    It does not touch pyplot's global state. Raises UserError if matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("plots need matplotlib; run: pip install 'matplotlib>=3.5,<4' (or the extra `plots`)")
    figure = Figure(figsize=(width * panels, height))
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def save(figure: Figure, path: str) -> None:
    """Write the figure as a PNG file, whole or not at all."""
    with atomic_write(path, "wb") as stream:
        figure.savefig(stream, format="png", dpi=110, bbox_inches="tight")
