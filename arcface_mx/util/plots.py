"""What all figures share: the file backend, panels in a row, a whole PNG or none."""

from __future__ import annotations

from typing import Any, List, Tuple

from arcface_mx.util.errors import UserError


def new_figure(panels: int = 1, width: float = 5.0, height: float = 4.0) -> Tuple[Any, List[Any]]:
    """(figure, axes): `panels` side by side, each width × height inches.

    Raises UserError, naming the command that installs it, where matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("figures need matplotlib: pip install 'matplotlib>=3.5,<4' (the extra `plots`)")
    figure = Figure(figsize=(width * panels, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    return figure, list(axes)


def save(figure: Any, path: str) -> None:
    """Write the figure as a PNG, whole or not at all."""
    from arcface_mx.util.files import atomic_write

    with atomic_write(path, "wb") as stream:
        figure.savefig(stream, format="png", dpi=110, bbox_inches="tight")
