"""Tables, plots and pages from run folders.

`collect` and `as_markdown` make the ablation table, `rank_correlations` compares its order with the
paper's, `angle_table` shows angle statistics, `draw_plots` draws plots, and `write_report` writes one
HTML page about a run.
"""

from arcface_mx.report.angle_table import angle_table
from arcface_mx.report.page.build import write_report
from arcface_mx.report.plots.run import draw_plots
from arcface_mx.report.rank_correlation import rank_correlations
from arcface_mx.report.table import accuracy, as_markdown, collect, tar_at

__all__ = [
    "accuracy",
    "angle_table",
    "as_markdown",
    "collect",
    "draw_plots",
    "rank_correlations",
    "tar_at",
    "write_report",
]
