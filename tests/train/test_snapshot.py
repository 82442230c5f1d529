"""Any checkpoint of a run is a model: the last step, the best one, and each that was kept."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.model.load import load_model
from arcface_mx.train import checkpoint, loop
from arcface_mx.train.preflight import checkpoint_room
from arcface_mx.train.run import train
from arcface_mx.train.snapshot import find_step
from arcface_mx.util.errors import UserError
from tests.conftest import tiny_image
from tests.support.training import events, final, tiny


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_faces, tiny_pairs):
    """A run of nine steps whose third verified best, and a run that ends after three steps."""
    folder = tmp_path_factory.mktemp("snapshots")
    scores = iter([0.99, 0.5])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "mean_accuracy", lambda results: next(scores))
        run = tiny(
            folder, tiny_faces, steps=9, eval=(tiny_pairs,), eval_every=3, checkpoint_every=9, keep_checkpoints=1
        )
        train(run)
    short = tiny(folder, tiny_faces, "short", steps=3)
    train(short)
    return run, short


@pytest.mark.slow
def test_the_best_checkpoint_stays_beside_the_last(runs):
    assert checkpoint.steps(runs[0].run.run) == [9, 3]
    with open(os.path.join(runs[0].run.run, "metrics.json"), encoding="utf-8") as stream:
        metrics = json.load(stream)
    assert metrics["step"] == 9 and metrics["best_of_run"] == {"step": 3, "mean_accuracy": 0.99}
    assert metrics["mean_accuracy"] == events(runs[0], "verification")[-1]["none"]["accuracy"]


@pytest.mark.slow
def test_the_last_step_may_be_the_best(tmp_path, tiny_faces, tiny_pairs, monkeypatch):
    monkeypatch.setattr(loop, "mean_accuracy", lambda results: -0.5)
    metrics = train(tiny(tmp_path, tiny_faces, steps=2, eval=(tiny_pairs,), eval_every=1))
    assert metrics["best_of_run"] == {"step": 2, "mean_accuracy": metrics["mean_accuracy"]}
    assert find_step(str(tmp_path / "run"), "best") == 2


@pytest.mark.slow
@pytest.mark.parametrize("step", ["best", "3"])
def test_an_exported_step_has_that_steps_bits(runs, tmp_path, step):
    run, short = runs
    assert main(["export", run.run.run, "--step", step, "--out", str(tmp_path / "out")]) == 0
    exported, expected = load_model(str(tmp_path / "out")), final(short)
    for group, arrays in zip(exported.params, (expected.arg_params, expected.aux_params)):
        assert group
        for name, value in group.items():
            same = arrays[name].asnumpy().reshape(value.shape)  # PReLU's slopes have another shape in training
            np.testing.assert_array_equal(value.asnumpy(), same, err_msg=name)
    card = (tmp_path / "out" / "model-card.md").read_text(encoding="utf-8")
    accuracy = events(run, "verification")[0]["none"]["accuracy"]
    assert f"| {100 * accuracy:.2f} ± " in card and "step 3" in card


@pytest.mark.slow
def test_a_step_is_verified_and_embedded_as_its_own_model(runs, tiny_pairs, tmp_path, capsys):
    import cv2

    run, short = runs[0].run.run, runs[1].run.run
    for flags, place in ((["--step", "best"], 0), ([], -1), (["--step", "last"], -1)):
        out = str(tmp_path / "result.json")
        assert main(["verify", run, tiny_pairs, *flags, "--json", out]) == 0
        with open(out, encoding="utf-8") as stream:
            assert json.load(stream)[0]["none"] == events(runs[0], "verification")[place]["none"]
    shown = capsys.readouterr().out
    assert "step 3: the best step is chosen on the run's verification sets" in shown
    image = cv2.imdecode(np.frombuffer(tiny_image(1, 1), np.uint8), 1)
    cv2.imwrite(str(tmp_path / "image.png"), image)
    vectors = []
    for name, model, flags in (("a", run, ["--step", "3"]), ("b", short, []), ("c", run, [])):
        assert main(["embed", model, str(tmp_path / "image.png"), str(tmp_path / f"{name}.npz"), *flags]) == 0
        vectors.append(np.load(tmp_path / f"{name}.npz")["vectors"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3


@pytest.mark.slow
def test_the_report_of_a_step_shows_that_step_and_names_the_best(runs, capsys):
    pytest.importorskip("matplotlib")
    run = runs[0].run.run
    assert main(["report", run, "--step", "best"]) == 0
    with open(os.path.join(run, "report.html"), encoding="utf-8") as stream:
        page = stream.read()
    result = events(runs[0], "verification")[0]["none"]
    assert "arcface-mx run, step 3, commit" in page
    assert f"<td>{100 * result['accuracy']:.2f} ± {100 * result['std']:.2f}</td>" in page
    assert "Best step of the run: 3, with a mean accuracy of 99.00 %" in page and "Accuracy during training" in page


@pytest.mark.slow
def test_the_table_shows_the_last_step_and_marks_the_best(runs, capsys):
    assert main(["table", runs[0].run.run, runs[1].run.run]) == 0
    shown = capsys.readouterr().out
    accuracy = events(runs[0], "verification")[-1]["none"]["accuracy"]
    assert f"| {100 * accuracy:.2f} |" in shown
    assert f"best step of {runs[0].run.run}: 3, mean accuracy 99.00 %, chosen on the test sets" in shown
    assert shown.count("best step") == 1 and "The table shows the last step" in shown


@pytest.mark.slow
def test_a_step_that_does_not_exist_is_one_line_with_the_nearest(runs, tmp_path, tiny_faces, capsys):
    run, short = runs[0].run.run, runs[1].run.run
    for model, step, words in (
        (run, "4", "there is no checkpoint of step 4; the nearest is 3."),
        (run, "bst", "must be a number, best or last, got bst; did you mean best?"),
        (short, "best", "the run was not verified during training (--eval-every)"),
        (tiny_faces, "last", "config.json: no such file"),
    ):
        for command in (["export", "--out", str(tmp_path / "no")], ["report"]):
            assert main([command[0], model, "--step", step, *command[1:]]) == 2
            message = capsys.readouterr().err
            assert words.replace("--eval-every", "eval_every") in message and message.count("\n") == 1
    assert not (tmp_path / "no").exists()


def test_a_step_is_not_exported_over_the_last_one(tmp_path, capsys):
    assert main(["export", str(tmp_path), "--step", "best"]) == 2
    assert "--out is missing: name a folder for step best" in capsys.readouterr().err


def test_the_best_checkpoint_needs_room(tmp_path):
    from arcface_mx.config import OptimizerConfig, RunConfig
    from arcface_mx.train.schedule import Schedule

    schedule = Schedule.of(OptimizerConfig(steps=1000, lr_drops=()), 512)
    rooms = [checkpoint_room(RunConfig(checkpoint_every=10, eval_every=every), schedule, 100) for every in (0, 100)]
    assert rooms[1] == rooms[0] + 200


def test_an_unknown_engine_of_a_step_is_refused(tmp_path, tiny_faces):
    from arcface_mx.train.snapshot import load_snapshot

    with pytest.raises(UserError, match="int8 is a file beside a model"):
        load_snapshot(str(tmp_path), "last", engine="int8")
