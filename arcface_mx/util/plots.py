"""Figures of one look, written as PNG files: one type size, which is legible on a phone. They need matplotlib."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Iterator, List

from arcface_mx.util.errors import UserError, printable
from arcface_mx.util.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 4.6  # inches; a phone of 390 pixels shows the type at 11 pixels
SIZE = 10  # points, of all text
MAX_TEXT = 44  # characters that fit above a panel
# Okabe and Ito's colours, which colour-blind people can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d")
SAME, DIFFERENT = COLOURS[0], COLOURS[1]


@contextlib.contextmanager
def drawing(
    path: str, panels: int = 1, height: float = 3.2, columns: int = 1, width: float = WIDTH, **axes: Any
) -> Iterator[List[Axes]]:
    """Yield axes to draw on, and write them as a PNG file when the block ends, whole or not at all.

    Parameters
    ----------
    path : str
        The file.
    panels, columns : int
        Number of axes, and how many of them are side by side.
    height : float
        Of a panel, in inches.
    width : float
        Of all panels, in inches.
    **axes
        Arguments of `Figure.subplots`, such as ``sharex=True``.

    Raises
    ------
    UserError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("plots need matplotlib; run: pip install 'matplotlib>=3.5,<4' (or the extra `plots`)")
    rows = -(-panels // columns)
    with rc_context(_style()):
        figure = Figure(figsize=(width, height * rows), layout="constrained")
        FigureCanvasAgg(figure)
        grid = list(figure.subplots(rows, columns, squeeze=False, **axes).flat)
        for unused in grid[panels:]:
            unused.remove()
        yield grid[:panels]
        with atomic_write(path, "wb") as stream:
            figure.savefig(stream, format="png")


def plot_text(text: str) -> str:
    """Return a name as a title or a legend shows it: on one line, shortened, and without mathematics."""
    text = printable(text)
    text = text if len(text) <= MAX_TEXT else "…" + text[1 - MAX_TEXT :]
    # A legend leaves out names that begin with "_".
    return ("\u200b" + text if text.startswith("_") else text).replace("$", r"\$")


def _style() -> Any:
    from cycler import cycler

    sizes = ("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize")
    return {
        **dict.fromkeys(sizes + ("legend.fontsize", "figure.titlesize"), SIZE),
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=COLOURS),
        "grid.alpha": 0.3,
        "lines.linewidth": 1.6,
        "legend.frameon": False,
        "legend.borderaxespad": 0.2,
        "legend.handlelength": 1.5,
        "figure.dpi": 160,
    }
