"""Fine-tuning is verified before and after, says which is better, and ends with 1 if the accuracy fell."""

from __future__ import annotations

import json
import os

import pytest

from arcface_mx.cli import main
from arcface_mx.train import fine_tuning, run
from arcface_mx.train.fine_tuning import fell, verdict
from arcface_mx.train.run import train
from arcface_mx.train.snapshot import load_snapshot
from arcface_mx.verify.sets import verify_set
from tests.conftest import shared_path
from tests.support.training import events, interrupt_after, tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_faces):
    config = tiny(tmp_path_factory.mktemp("model"), tiny_faces, steps=4)
    train(config)
    return config.run.run


def metrics_of(folder):
    with open(os.path.join(folder, "metrics.json"), encoding="utf-8") as stream:
        return json.load(stream)


def fine_tune(model, faces, pairs, folder, *flags):
    words = ["--data", faces, "--eval", pairs, "--init", model, "--run", folder, "--batch-size", "8", "--steps", "3"]
    return main(["train", *words, *flags])


def test_the_verdict_has_both_figures_and_advice_where_it_fell():
    assert verdict(0.9944, 0.9961).startswith("fine-tuning: before 99.44, after 99.61")
    text = verdict(0.9944, 0.5044)
    assert "lowered the accuracy: before 99.44, after 50.44" in text and "Keep the model of `init`" in text
    assert fell({"mean_accuracy_before": 0.9, "mean_accuracy": 0.8})
    assert not fell({"mean_accuracy_before": 0.9, "mean_accuracy": 0.9}) and not fell({"mean_accuracy": 0.8})


@pytest.mark.slow
def test_before_is_the_model_and_after_is_the_last_step(model, tiny_faces, tiny_pairs, tmp_path, capsys):
    folder = str(tmp_path / "run")
    code = fine_tune(model, tiny_faces, tiny_pairs, folder)
    metrics = metrics_of(folder)
    before = verify_set(load_snapshot(model), tiny_pairs).none.accuracy
    assert metrics["mean_accuracy_before"] == pytest.approx(before) and code == int(fell(metrics))
    assert f"before {100 * before:.2f}, after {100 * metrics['mean_accuracy']:.2f}" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("change, code", [(-0.1, 1), (0.0, 0), (0.1, 0)])
def test_the_exit_code_is_1_if_the_accuracy_fell(change, code, model, tiny_faces, tiny_pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(fine_tuning, "mean_accuracy", lambda results: 0.5)
    monkeypatch.setattr(run, "mean_accuracy", lambda results: 0.5 + change)
    folder = str(tmp_path / "run")
    assert fine_tune(model, tiny_faces, tiny_pairs, folder) == code
    assert fine_tune(model, tiny_faces, tiny_pairs, folder) == code  # the finished run says it again


@pytest.mark.slow
def test_an_interrupted_run_still_knows_the_accuracy_before(model, tiny_faces, tiny_pairs, tmp_path, monkeypatch):
    whole, broken = (
        tiny(tmp_path, tiny_faces, name, steps=3, eval=(tiny_pairs,), init=model) for name in ("whole", "broken")
    )
    train(whole)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(broken)
    train(broken)
    accuracies = [metrics_of(config.run.run)["mean_accuracy_before"] for config in (whole, broken)]
    assert accuracies[0] == accuracies[1]
    assert [event["step"] for event in events(broken, "verification")] == [0, 3]


@pytest.mark.slow
def test_layers_that_are_created_anew_have_no_accuracy_before(model, tiny_faces, tiny_pairs, tmp_path):
    from arcface_mx.model.load import locate
    from arcface_mx.util.params import read_arrays, write_arrays

    symbol, params = locate(model)
    arrays = {name: value for name, value in read_arrays(params).arrays.items() if name != "arg:conv0_weight"}
    with open(symbol, "rb") as source, open(tmp_path / "part-symbol.json", "wb") as target:
        target.write(source.read())
    with open(tmp_path / "part-0000.params", "wb") as target:
        write_arrays(target, arrays)
    config = tiny(tmp_path, tiny_faces, steps=1, eval=(tiny_pairs,), init=f"{tmp_path / 'part'},0")
    assert "mean_accuracy_before" not in train(config)


@pytest.mark.slow
@pytest.mark.parametrize("flags, ruined", [((), False), (("--lr-mult", "^(?!fc7)=1"), True)])
def test_the_safe_defaults_do_not_ruin_a_published_model(flags, ruined, tmp_path, capsys):
    """The control trains the network at the rate of the class centres."""
    zoo = shared_path("zoo/mobileface_v2-0000.params")[: -len("-0000.params")] + ",0"
    assert main(["data", "orl", str(tmp_path / "orl")]) == 0
    fold, folder = str(tmp_path / "orl" / "fold1"), str(tmp_path / "run")
    words = ["--data", fold, "--eval", os.path.join(fold, "orl.bin"), "--init", zoo, "--run", folder]
    code = main(["train", *words, "--batch-size", "16", "--steps", "8", *flags])
    metrics = metrics_of(folder)
    assert metrics["mean_accuracy_before"] > 0.99
    assert (metrics["mean_accuracy"] < 0.6) == ruined and (metrics["mean_accuracy"] > 0.99) != ruined
    shown = capsys.readouterr().out
    assert code == int(fell(metrics)) and f"after {100 * metrics['mean_accuracy']:.2f}" in shown
    assert ("Keep the model of" in shown) == fell(metrics)
