"""The commands `angles` and `plots` on short runs: what they print, draw and refuse."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.report.plots.history import angle_histograms, read_steps
from arcface_mx.train.checkpoint import latest


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_faces, tiny_pairs):
    """Softmax and ArcFace on a 2-d embedding, twelve steps each."""
    folder = tmp_path_factory.mktemp("runs")
    folders = []
    for name, flags in (("softmax", ["--loss", "softmax"]), ("arcface", ["--m", "0.5", "--scale", "8"])):
        folders.append(str(folder / name))
        common = (
            f"--data {tiny_faces} --eval {tiny_pairs} --network iresnet18 --width 0.1 --embedding-size 2 --dropout 0"
        )
        common += (
            f" --image-size 32 --batch-size 10 --lr 0.05 --steps 12 --lr-drops 10 --log-every 4 --run {folders[-1]}"
        )
        assert main(["train", *common.split(), *flags]) == 0
    return folders


@pytest.mark.slow
def test_histograms_count_every_training_sample(runs):
    histograms = angle_histograms(runs[0])
    assert [name.split(",")[0] for name, _ in histograms] == ["start", "middle", "end"]
    assert all(counts.sum() == 40 and len(counts) == 90 for _, counts in histograms)
    for event in read_steps(runs[0]):
        middles = np.arange(1.0, 180.0, 2.0)
        mean = np.average(middles, weights=event["target_angle_histogram"])
        assert abs(mean - event["target_angle"]) <= 1.0


@pytest.mark.slow
def test_every_plot_is_drawn(runs, capsys, tmp_path):
    out = str(tmp_path / "plots")
    assert main(["plots", *runs, "--out", out]) == 0
    printed = capsys.readouterr().out.split()
    names = {
        "target_logits",
        "decision_margins",
        "training",
        "angles_in_training",
        "pair_angles",
        "roc",
        "det",
        "plane",
    }
    assert {os.path.basename(path) for path in printed} == {name + ".png" for name in names}
    for path in printed:
        plot = cv2.imread(path)
        assert plot.shape[0] > 200 and len(np.unique(plot)) > 20


def test_angles_of_a_run(runs, capsys, tmp_path, tiny_faces, tiny_pairs):
    out = str(tmp_path / "angles.json")
    assert main(["angles", runs[1], "--test", tiny_pairs, "--test", tiny_faces, "--json", out]) == 0
    shown = capsys.readouterr().out
    assert "ArcFace (0.5) | (paper)" in shown and "14.29" in shown and "Intra2, tiny" in shown
    with open(out) as stream:
        (angles,) = json.load(stream)
    train = angles["tests"][os.path.basename(tiny_faces)]
    assert train == angles["train"]  # the same images, named as a test set
    weight = latest(runs[1]).arg_params["fc7_weight"].asnumpy()
    unit = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    cosines = unit @ unit.T - 2 * np.eye(len(unit))
    assert angles["centres"]["inter"] == pytest.approx(np.degrees(np.arccos(cosines.max(axis=1))).mean(), abs=1e-3)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["angles", "/nowhere"], "is /nowhere a run folder?"),
        (["plots", "/nowhere"], "is /nowhere a run folder?"),
    ],
)
def test_a_folder_that_is_no_run_is_named(arguments, words, capsys):
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_only_the_last_line_of_the_log_may_be_cut_off(runs, tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"event": "step", "step": 1, "loss": 2.0, "lr": 0.1}\n{"event": "st')
    assert [event["step"] for event in read_steps(str(tmp_path))] == [1]
    log.write_text('{"event": "st\n{"event": "step", "step": 1}\n')
    with pytest.raises(Exception, match="line 1 is not JSON"):
        read_steps(str(tmp_path))
