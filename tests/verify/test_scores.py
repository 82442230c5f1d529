"""Score files, intervals, errors at a threshold fixed elsewhere, and the command `compare`."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.metrics.estimates import estimates, rates_at
from arcface_mx.metrics.similarity import pair_scores
from arcface_mx.model import load_model
from arcface_mx.util.errors import UserError
from arcface_mx.verify.calibration_file import calibration_path, read_calibration
from arcface_mx.verify.scores import HEADER, Scored, pair_identities, read_scores, write_scores
from tests.support import nets

SIZE = (32, 32)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models with different parameters."""
    folders = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp("model")
        symbol = nets.embedding(SIZE)
        nets.save(folder, symbol, *nets.parameters(symbol, SIZE, seed))
        folders.append(str(folder))
    return folders


def expected_scores(model, pairs, flip):
    embedder = load_model(model)
    plain, mirrored = embedder.embed_with_flip(pairs.pixels())
    return pair_scores(plain + mirrored if flip == "sum" else plain, pairs.left, pairs.right)


def test_verify_writes_scores_and_intervals(models, tiny_pairs, tmp_path, capsys):
    table, report = tmp_path / "scores.csv", tmp_path / "r.json"
    flags = ["--scores", str(table), "--intervals", "--json", str(report), "--folds", "4"]
    assert main(["verify", models[0], tiny_pairs, *flags]) == 0
    printed = capsys.readouterr().out
    pairs = read_pairs(tiny_pairs)
    found = read_scores(str(table))
    assert list(found) == [("tiny", "none"), ("tiny", "sum")]
    identities = pair_identities(pairs)
    for (_, flip), scored in found.items():
        np.testing.assert_allclose(scored.scores, expected_scores(models[0], pairs, flip), atol=1e-6)
        assert scored.same.tolist() == pairs.same.tolist()
    rates = estimates(*found["tiny", "sum"], identities, 4)
    saved = json.loads(report.read_text())
    assert saved["intervals"][1]["EER"] == pytest.approx(rates["EER"]._asdict())
    assert len(saved["results"]) == 1 and "scores" not in saved["results"][0]
    accuracy = rates["accuracy"]
    numbers = rf"{100 * accuracy.value:.3f} +{100 * accuracy.low:.3f} to {100 * accuracy.high:.3f}"
    assert re.search(rf"tiny +sum +accuracy +{numbers}", printed)
    assert re.search(r"FNMR@FMR=1e-01", printed)


def test_without_flags_verify_writes_the_report_as_before(models, tiny_pairs, tmp_path):
    assert main(["verify", models[0], tiny_pairs, "--folds", "4", "--json", str(tmp_path / "r.json")]) == 0
    assert isinstance(json.loads((tmp_path / "r.json").read_text()), list)


def test_errors_at_a_calibration_by_group(models, tiny_pairs, tmp_path, capsys):
    calibration = str(tmp_path / "c.json")
    assert main(["calibrate", models[0], tiny_pairs, "--out", calibration]) == 0
    pairs = read_pairs(tiny_pairs)
    groups = ["x" if pair < 10 else "y" for pair in range(len(pairs))]
    (tmp_path / "groups.txt").write_text("\n".join(groups) + "\n")
    flags = ["--at", calibration, "--far", "0.1", "--groups", str(tmp_path / "groups.txt"), "--folds", "4"]
    assert main(["verify", models[0], tiny_pairs, *flags, "--json", str(tmp_path / "r.json")]) == 0
    assert "FNMR %" in capsys.readouterr().out
    rows = json.loads((tmp_path / "r.json").read_text())["at"]
    assert [(row["group"], row["flip"]) for row in rows[:3]] == [("all", "none"), ("x", "none"), ("y", "none")]
    threshold = read_calibration(calibration, models[0]).for_flip("none").threshold(0.1)
    scores = expected_scores(models[0], pairs, "none")
    part = np.asarray(groups) == "y"
    fmr, fnmr = rates_at(scores[part], pairs.same[part], pair_identities(pairs).take(part), threshold)
    assert rows[2]["fmr"] == pytest.approx(fmr._asdict()) and rows[2]["fnmr"] == pytest.approx(fnmr._asdict())
    assert rows[2]["threshold"] == threshold and rows[0]["fmr"]["value"] <= 0.1
    assert main(["verify", models[0], tiny_pairs, "--at", calibration, "--far", "1e-9"]) == 2
    assert "is not measurable with 20 different pairs" in capsys.readouterr().err


def test_compare_takes_models_and_score_files(models, tiny_pairs, tmp_path, capsys):
    outputs = []
    for number, model in enumerate(models):
        assert main(["verify", model, tiny_pairs, "--scores", str(tmp_path / f"{number}.csv"), "--folds", "4"]) == 0
    files = [str(tmp_path / "0.csv"), str(tmp_path / "1.csv")]
    for first, second in (models, files):
        report = tmp_path / "c.json"
        assert main(["compare", first, second, tiny_pairs, "--folds", "4", "--json", str(report)]) == 0
        outputs.append(json.loads(report.read_text())["sets"])
    assert outputs[0] == outputs[1]
    none = outputs[0][0]
    assert (
        none["flip"] == "none"
        and none["metrics"]["best accuracy"]["first"] != none["metrics"]["best accuracy"]["second"]
    )
    assert none["metrics"]["EER"]["low"] <= none["metrics"]["EER"]["first"] - none["metrics"]["EER"]["second"]
    printed = capsys.readouterr().out
    assert "beyond noise" in printed and "McNemar, flip sum: only A decides" in printed
    assert main(["compare", files[0], files[0], tiny_pairs, "--folds", "4", "--json", str(report)]) == 0
    same = json.loads(report.read_text())["sets"][0]
    assert same["metrics"]["best accuracy"]["low"] == same["metrics"]["best accuracy"]["high"] == 0
    assert not same["metrics"]["best accuracy"]["beyond_noise"] and same["mcnemar"]["p_value"] == 1


def test_identities_come_from_links_or_from_a_list(tiny_pairs, tmp_path):
    pairs = read_pairs(tiny_pairs)
    linked = pair_identities(pairs)
    assert ((linked.first == linked.second) == pairs.same).all()
    names = [f"a{k} a{k}" if same else f"a{k} b{k}" for k, same in enumerate(pairs.same)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    listed = pair_identities(pairs, str(tmp_path / "names.txt"))
    assert len(np.unique(np.concatenate(listed))) == 40 + 20
    names[3] = "a b"  # pair 3 is a same pair
    (tmp_path / "names.txt").write_text("\n".join(names))
    with pytest.raises(UserError, match="names.txt: line 4 is 'a b', but .*tiny.bin says that the pair is same"):
        pair_identities(pairs, str(tmp_path / "names.txt"))


def test_curves_are_drawn(models, tiny_pairs, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "curves.png"
    assert main(["verify", models[0], tiny_pairs, "--folds", "4", "--curves", str(path)]) == 0
    assert path.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "is not a score file"),
        ("a,b\n1,2\n", "is not a score file"),
        ("set,flip,pair,score,same\n", "is not a score file"),
        ("set,flip,pair,score,same\nlfw,none,0,0.5\n", "line 2 is 'lfw,none,0,0.5'"),
        ("set,flip,pair,score,same\nlfw,none,0,x,1\n", "line 2 is"),
        ("set,flip,pair,score,same\nlfw,none,0,nan,1\n", "line 2: the score must be a finite number"),
        ("set,flip,pair,score,same\nlfw,none,0,0.5,2\n", "line 2: the score must be"),
        ("set,flip,pair,score,same\nlfw,none,0,.5,1\nlfw,none,2,.5,1\n", "line 3: pair 1 of set lfw is missing"),
        ("set,flip,pair,score,same\nlfw,none,0,.5,1\nlfw,none,0,.5,1\n", "line 3: pair 0 of set lfw is listed again"),
    ],
)
def test_bad_score_files_are_refused(tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(UserError, match=f"s.csv: {message}"):
        read_scores(str(tmp_path / "s.csv"))


def test_scores_are_kept_to_the_last_bit(tmp_path):
    scores = np.random.RandomState(0).randn(50)
    key = ('a "set", with comma', "sum")
    write_scores(str(tmp_path / "s.csv"), {key: Scored(scores, scores > 0)})
    assert (read_scores(str(tmp_path / "s.csv"))[key].scores == scores).all()
    assert (tmp_path / "s.csv").read_text().startswith(",".join(HEADER))


def test_bad_flags_are_refused_before_the_model_runs(models, tiny_pairs, tmp_path, capsys):
    (tmp_path / "short.txt").write_text("x\n")
    write_scores(str(tmp_path / "other.csv"), {("lfw", "none"): Scored(np.zeros(2), np.array([True, False]))})
    calibration = calibration_path(models[0])
    cases = [
        (["verify", models[0], tiny_pairs, tiny_pairs, "--intervals"], "two sets have the name tiny"),
        (["verify", models[0], tiny_pairs, "--groups", str(tmp_path / "short.txt")], "--groups needs --at"),
        (["verify", models[0], tiny_pairs, tiny_pairs, "--identities", "x"], "--identities is a list for one set"),
        (
            ["verify", models[0], tiny_pairs, "--intervals", "--identities", str(tmp_path / "short.txt")],
            "line 1 is 'x'",
        ),
        (["verify", models[0], tiny_pairs, "--at", calibration], "no such file; run: arcface-mx calibrate"),
        (["compare", *[str(tmp_path / "other.csv")] * 2, tiny_pairs], "tiny: there are no scores of this set"),
    ]
    for command, message in cases:
        assert main(command) == 2
        error = capsys.readouterr().err.splitlines()
        assert len(error) == 1 and message in error[0], error
