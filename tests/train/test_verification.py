"""Verification during training: it is printed, recorded, drawn and sent to TensorBoard."""

from __future__ import annotations

import contextlib
import re
import shutil

import pytest

from arcface_mx.report.plots.history import draw_training_curves
from arcface_mx.train import log as module
from arcface_mx.train.log import RunLog
from arcface_mx.train.run import train
from tests.support.training import events, tiny
from tests.train.test_tensorboard import scalars

SETS = ("one", "two")


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_faces, tiny_pairs):
    """Nine steps, verified on two sets after each third step; the run's configuration and what it printed."""
    folder = tmp_path_factory.mktemp("verified")
    paths = tuple(str(shutil.copy(tiny_pairs, folder / f"{name}.bin")) for name in SETS)
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunLog, "say", lambda self, text, level=0: lines.append(text))
        config = tiny(folder, tiny_faces, steps=9, eval=paths, eval_every=3, log_every=3, tensorboard=True)
        train(config)
    return config, lines


@pytest.mark.slow
def test_every_third_of_nine_steps_gives_a_line_for_each_set(run):
    verified = events(run[0], "verification")
    expected = [(step, name) for step in (3, 6, 9) for name in SETS]
    assert [(event["step"], event["set"]) for event in verified] == expected
    assert all(0.0 <= event["none"]["accuracy"] <= 1.0 and event["pairs"] == 40 for event in verified)


@pytest.mark.slow
def test_what_is_recorded_is_printed(run):
    config, lines = run
    for event in events(config, "verification")[:4]:  # the table at the end shows the last step
        accuracy = f"{100 * event['none']['accuracy']:.2f} ± "
        assert any(line.startswith(f"step {event['step']}/9  {event['set']}: accuracy {accuracy}") for line in lines)
    assert any(line.startswith("method") and "one" in line and "two" in line for line in lines)


@pytest.mark.slow
def test_tensorboard_shows_it(run):
    pytest.importorskip("tensorboardX")
    found = scalars(run[0].run.run)
    for event in events(run[0], "verification"):
        for flip in ("none", "sum"):
            value = found[f"verification/{event['set']}/accuracy_{flip}", event["step"]]
            assert value == pytest.approx(event[flip]["accuracy"], rel=1e-6)


@pytest.mark.slow
def test_the_plot_has_a_panel_with_a_line_for_each_set(run, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    shown = []

    @contextlib.contextmanager
    def drawing(path, count, *sizes, **named):
        from matplotlib.figure import Figure

        shown.extend(Figure().subplots(count))
        yield shown

    monkeypatch.setattr("arcface_mx.report.plots.history.drawing", drawing)
    draw_training_curves([("this run", run[0].run.run)], str(tmp_path / "training.png"))
    axis = shown[-1]
    assert axis.get_title() == "verification accuracy, %"
    for line, name in zip(axis.lines, SETS):
        points = [e for e in events(run[0], "verification") if e["set"] == name]
        assert line.get_label() == name and list(line.get_xdata()) == [3, 6, 9]
        assert list(line.get_ydata()) == pytest.approx([100 * event["none"]["accuracy"] for event in points])


@pytest.mark.slow
def test_every_progress_line_has_the_time_left(run):
    progress = [line for line in run[1] if re.match(r"step \d+/9  epoch", line)]
    assert len(progress) == 3 and all(re.search(r"  \d+ \w+ left$", line) for line in progress)
    assert progress[-1].endswith("  0 s left")


def test_time_left_follows_the_rate_of_the_steps_after_the_first(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "arcface_mx")
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    log = RunLog(str(tmp_path), 1000, 0)
    for seconds in [300.0] + [4.0] * 9:
        now[0] += seconds
        log.step()
    shown = caplog.messages
    assert shown[0] == "step 1/1000  3.5 days left"  # the run was silent for five minutes
    assert shown[-1] == "the remaining 990 steps will take about 66 min" and log.time_left() == "66 min"
    log.close()
