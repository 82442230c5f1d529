"""The paper's angles stand beside the statistics that the paper measured, and nowhere else."""

from __future__ import annotations

from arcface_mx.metrics.angles import CentreAngles, Spread
from arcface_mx.report.angle_table import angle_table
from arcface_mx.report.angles import RunAngles
from arcface_mx.report.budgets import Budget, recipe_values
from arcface_mx.report.paper import default_path, read_rows
from tests.report.test_table import write_run

ROWS = {row.recipe: row for row in read_rows(default_path())}


def statistics(run):
    spread = Spread(**{name: 30.0 for name in Spread.__dataclass_fields__})
    centres = CentreAngles(**{name: 20.0 for name in CentreAngles.__dataclass_fields__})
    return RunAngles(run, centres, spread, {"lfw": spread, "rendered_lfw": spread, "orl_all": spread})


def test_the_papers_lfw_columns_stand_beside_lfw_only(tmp_path):
    run = write_run(str(tmp_path / "a"), 0.9, **recipe_values(ROWS["norm_softmax.sh"], Budget("paper")))
    lines = angle_table([statistics(run)]).splitlines()
    cells = {line.split("|")[1].strip(): line.split("|")[3].strip() for line in lines if line.startswith("|")}
    assert cells["Intra1"] == "50.50" and cells["Intra2, lfw"] == "33.97" and cells["Inter2, lfw"] == "65.60"
    for name in ("rendered_lfw", "orl_all"):
        assert cells[f"Intra2, {name}"] == "-" and cells[f"Inter2, {name}"] == "-"
    assert lines[-1].startswith("|")


def test_runs_with_other_settings_are_named_below(tmp_path):
    run = write_run(str(tmp_path / "a"), 0.9, **recipe_values(ROWS["norm_softmax.sh"], Budget("laptop", 1400)))
    last = angle_table([statistics(run)]).splitlines()[-1]
    assert last == "Norm-Softmax (NS): small network or other settings than the paper's (laptop, 1400 steps)"
