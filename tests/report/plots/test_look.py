"""All plots have one type size, name their run, and share axes where they are compared."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from arcface_mx.report.paper import default_path, read_rows
from arcface_mx.report.plots import curves, history, pairs
from arcface_mx.report.plots.ablation import draw_table
from arcface_mx.report.plots.plane import Plane, draw_planes
from arcface_mx.report.scores import ScoredSet
from arcface_mx.report.table import TableRow
from arcface_mx.util.plots import MAX_TEXT, SIZE, WIDTH, plot_text

pytest.importorskip("matplotlib")
PHONE = 358  # pixels of a page on a phone of 390, without its margins


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were written."""
    from matplotlib.figure import Figure

    figures, write = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: figures.append(self) or write(self, *a, **k))
    return figures


@pytest.fixture
def run(tmp_path):
    """The log of a run that is named with a dollar and an underscore."""
    lines = []
    for step in (10, 20, 30):
        histogram = np.bincount(np.random.RandomState(step).randint(0, 90, 300), minlength=90).tolist()
        event = {"event": "step", "step": step, "loss": 9 / step, "lr": 1 / step, "accuracy": 0.1, "target_angle": 50.0}
        lines.append(json.dumps(dict(event, target_angle_histogram=histogram)))
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    return "_run$1$", str(tmp_path)


def scored(model, name, spread):
    random = np.random.RandomState(0)
    same = np.arange(400) % 2 == 0
    scores = np.clip(random.normal(np.where(same, 0.6, 0.0), spread), -1, 1)
    return ScoredSet(model, name, SimpleNamespace(same=same), np.zeros((1, 1)), scores)


def draw_all(run, folder):
    sets = [scored("first", "lfw", 0.3), scored("first", "cfp", 0.1)]
    curves.draw_target_logits(str(folder / "a.png"))
    curves.draw_decision_margins(str(folder / "b.png"))
    history.draw_training_curves([run], str(folder / "c.png"))
    assert history.draw_angle_histograms([run, run], str(folder / "d.png"))
    pairs.draw_pair_angles(sets, str(folder / "e.png"))
    pairs.draw_roc(sets, str(folder / "f.png"))
    pairs.draw_det(sets, str(folder / "g.png"))
    labels = np.arange(20) % 4
    planes = [Plane(name, np.random.RandomState(1).normal(size=(20, 2)), labels, np.eye(2)) for name in "ab"]
    draw_planes(planes, str(folder / "h.png"))
    rows = [TableRow(row.name, 2, {"lfw": [70.0, 72.0], "cfp": [60.0]}, row) for row in read_rows(default_path())]
    draw_table(rows, str(folder / "i.png"), "Accuracy in %")


def texts(figure):
    from matplotlib.text import Text

    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


@pytest.mark.slow
def test_type_has_one_size_that_a_phone_shows_legibly(run, tmp_path, drawn):
    draw_all(run, tmp_path)
    assert len(drawn) == 9
    for figure in drawn:
        assert figure.get_size_inches()[0] == WIDTH
        # Matplotlib draws exponents smaller, inside of a text; no text of ours has another size.
        assert {text.get_fontsize() for text in texts(figure)} == {SIZE}
    assert SIZE / 72 * PHONE / WIDTH > 10.5  # pixels


def shown(figure):
    return [text.get_text() for text in texts(figure)]


def test_titles_name_the_run_and_its_name_is_no_formula(run, tmp_path, drawn):
    history.draw_training_curves([run], str(tmp_path / "a.png"))
    history.draw_training_curves([run, ("other", run[1])], str(tmp_path / "b.png"))
    history.draw_angle_histograms([run], str(tmp_path / "c.png"))
    name = plot_text("_run$1$")
    assert name.endswith(r"_run\$1\$") and not name.startswith("_")
    assert f"{name}: loss" in shown(drawn[0])
    assert [text.get_text() for text in drawn[1].axes[0].get_legend().get_texts()] == [name, "other"]
    assert drawn[2].axes[0].get_title(loc="left") == name
    assert len(plot_text("x" * 300)) == MAX_TEXT and plot_text("a\nb\udce9") == "a\\nb\\udce9"


def test_panels_that_are_compared_have_equal_axes(run, tmp_path, drawn):
    pairs.draw_pair_angles([scored("m", "lfw", 0.3), scored("m", "cfp", 0.05)], str(tmp_path / "a.png"))
    history.draw_angle_histograms([run, run], str(tmp_path / "b.png"))
    curves.draw_decision_margins(str(tmp_path / "c.png"))
    for figure in drawn:
        assert len({(axis.get_xlim(), axis.get_ylim()) for axis in figure.axes}) == 1
        assert len(figure.axes) > 1


def test_a_margin_has_one_colour_in_both_panels(tmp_path, drawn):
    curves.draw_target_logits(str(tmp_path / "a.png"))
    colours = {}
    for axis in drawn[0].axes:
        for line in axis.get_lines():
            colours.setdefault(line.get_label().split(" ")[0], set()).add(line.get_color())
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == len(colours) == 7


def test_two_scales_of_a_panel_are_told_apart(tmp_path, drawn):
    row = next(row for row in read_rows(default_path()) if row.name == "ArcFace (0.5)")
    draw_table([TableRow(row.name, 1, {"lfw": [70.0]}, row)], str(tmp_path / "a.png"), "Accuracy in %")
    assert {"lfw", "● measured, % (lower scale)", "× paper: LFW, % (upper scale)"} <= set(shown(drawn[0]))
