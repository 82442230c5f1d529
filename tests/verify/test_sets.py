"""`verify`: a model on verification sets, as a function and as a command."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from arcface_mx.cli import main
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.bins.write import write_pairs
from arcface_mx.metrics.verification import evaluate
from arcface_mx.model import Embedder, load_model
from arcface_mx.util.errors import UserError
from arcface_mx.verify import sets
from arcface_mx.verify.sets import set_name, verify_set
from arcface_mx.verify.tables import result_table
from tests.conftest import shared_path
from tests.support import nets

SIZE = (32, 32)


@pytest.fixture
def model(tmp_path):
    """(MODEL, symbol, arguments, states) of a saved network."""
    symbol = nets.embedding(SIZE)
    arguments, states = nets.parameters(symbol, SIZE)
    nets.save(tmp_path, symbol, arguments, states)
    return str(tmp_path), symbol, arguments, states


def test_scores_are_those_of_embeddings_added_before_normalising(model, tiny_pairs):
    spec, symbol, arguments, states = model
    result = verify_set(load_model(spec), tiny_pairs, batch_size=7)
    pairs = read_pairs(tiny_pairs)
    images = list(pairs.pixels())
    plain = nets.outputs(symbol, arguments, states, images).astype(np.float64)
    both = plain + nets.outputs(symbol, arguments, states, [image[:, ::-1] for image in images])
    for embeddings, metrics in ((plain, result.none), (both, result.sum)):
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        scores = (unit[pairs.left] * unit[pairs.right]).sum(1)
        assert metrics.auc == pytest.approx(roc_auc_score(pairs.same, scores), abs=1e-9)
        assert metrics.thresholds == pytest.approx(evaluate(scores, pairs.same).thresholds, abs=1e-5)
    assert (result.set, result.pairs, result.images) == ("tiny", 40, pairs.num_images)


def test_each_distinct_image_is_embedded_once(model, tmp_path):
    images = [nets.images(1, SIZE, seed)[0] for seed in range(3)]
    import cv2

    encoded = [cv2.imencode(".png", image)[1].tobytes() for image in images]
    write_pairs(str(tmp_path / "few.bin"), [encoded[k % 3] for k in range(80)], [k % 2 == 0 for k in range(40)])
    seen = []

    class Counting(Embedder):
        def embed(self, images, batch_size=1, flip=False):
            images = list(images)
            seen.append(len(images))
            return super().embed(images, batch_size, flip)

    verify_set(Counting(*model[1:], input_size=SIZE), str(tmp_path / "few.bin"), flip_test=False)
    assert seen == [3]


def test_command_prints_one_table_and_writes_json(model, tiny_pairs, tiny_faces, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert main(["verify", model[0], tiny_pairs, "--baselines", tiny_faces, "--json", str(report)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["method", "set", "pairs", "flip", "accuracy", "%", "TAR@1e-01", "EER", "%", "AUC"]
    assert len(printed) == 1 + 2 * 4 + 1
    assert (
        printed[-1]
        == "TAR@1e-02, 1e-03, 1e-04, 1e-05, 1e-06: not measurable with 20 different pairs (1/FAR are needed)"
    )
    results = json.loads(report.read_text())
    assert [result["method"] for result in results] == [model[0], "raw pixels", "whitened PCA", "PCA + LDA"]
    assert f"{100 * results[0]['none']['accuracy']:.2f} ± {100 * results[0]['none']['std']:.2f}" in printed[1]
    assert results[0]["none"]["tar_at_far"]["1e-02"] is None


def test_both_protocols_are_printed_and_images_are_embedded_once(model, tiny_pairs, tmp_path, capsys, monkeypatch):
    calls = []
    embed_set = sets.embed_set
    monkeypatch.setattr(sets, "embed_set", lambda *arguments: calls.append(1) or embed_set(*arguments))
    path = str(tmp_path / "results.json")
    assert main(["verify", model[0], tiny_pairs, "--protocol", "insightface", "--json", path]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "protocol" in shown[0] and [line.split()[3] for line in shown[1:5]] == ["exact"] * 2 + ["insightface"] * 2
    with open(path) as stream:
        results = json.load(stream)
    assert [result["protocol"] for result in results] == ["exact", "insightface"] and len(calls) == 1
    grid = 2.0 - 2.0 * np.array(results[1]["none"]["thresholds"])
    np.testing.assert_allclose(grid * 100, np.round(grid * 100), atol=1e-9)
    assert main(["verify", model[0], tiny_pairs]) == 0
    assert "protocol" not in capsys.readouterr().out.splitlines()[0]


def test_flip_test_can_be_left_out(model, tiny_pairs, capsys):
    assert main(["verify", model[0], tiny_pairs, "--no-flip-test", "--devices", "cpu(0),cpu(1)", "--folds", "4"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_later_set_that_is_bad_is_refused_before_any_work(model, tiny_pairs, tmp_path, capsys):
    (tmp_path / "bad.bin").write_bytes(b"cos\nsystem\n.")
    assert main(["verify", model[0], tiny_pairs, str(tmp_path / "bad.bin"), "--json", str(tmp_path / "r.json")]) == 2
    captured = capsys.readouterr()
    assert "bad.bin: byte 0: it asks for os.system" in captured.err and captured.out == ""
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--folds", "41"], "40 pairs do not make 41 folds"),
        (["--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["--devices", "gpu(99)"], "there is no gpu(99)"),
        (["--layer", "fc9"], "no layer fc9"),
    ],
)
def test_wrong_use_is_one_line(model, tiny_pairs, arguments, message, capsys):
    assert main(["verify", model[0], tiny_pairs] + arguments) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_undecodable_image_is_named(model, tmp_path, capsys):
    write_pairs(
        str(tmp_path / "bad.bin"), [b"\xff\xd8 %d" % (k + 10) for k in range(40)], [k % 2 == 0 for k in range(20)]
    )
    assert main(["verify", model[0], str(tmp_path / "bad.bin")]) == 2
    assert "bad.bin: image 0 (pair 0): 5 bytes that are no readable image" in capsys.readouterr().err


def test_dead_network_is_named(model, tiny_pairs):
    _, symbol, arguments, states = model
    dead = {key: value * 0 for key, value in arguments.items()}
    with pytest.raises(UserError, match="m on .*tiny.bin: the embedding of image 0 is a zero vector"):
        verify_set(Embedder(symbol, dead, states, input_size=SIZE, name="m"), tiny_pairs)
    broken = {key: value * np.nan for key, value in arguments.items()}
    with pytest.raises(UserError, match="the embedding of image 0 is not finite"):
        verify_set(Embedder(symbol, broken, states, input_size=SIZE), tiny_pairs)


def test_a_level_that_one_set_measures_is_shown_for_all(model, tiny_pairs, tmp_path):
    """20 different pairs measure FAR 1e-1 alone, 200 also 1e-2."""
    pairs = read_pairs(tiny_pairs)
    images = list(pairs.images())
    listed = [images[k % len(images)] for k in range(800)]
    write_pairs(str(tmp_path / "large.bin"), listed, [k % 2 == 0 for k in range(400)])
    embedder = load_model(model[0])
    small, large = verify_set(embedder, tiny_pairs), verify_set(embedder, str(tmp_path / "large.bin"))
    assert "TAR@1e-02" not in result_table([small]).splitlines()[0]
    table = result_table([small, large]).splitlines()
    assert "TAR@1e-02" in table[0] and table[1].split()[8] == "-" and table[3].split()[8] != "-"
    with pytest.raises(UserError, match="no results"):
        result_table([])


@pytest.mark.skipif(os.environ.get("ARCFACE_SLOW") != "1", reason="embeds 15,402 images, minutes: set ARCFACE_SLOW=1")
def test_published_model_on_lfw():
    """The README of the model says 99.07 % without and 99.13 % with flip test."""
    model = shared_path("zoo/mobileface_v2-symbol.json")[: -len("-symbol.json")] + ",0"
    result = verify_set(load_model(model), shared_path("faces/lfw/lfw.bin"))
    assert result.none.accuracy == pytest.approx(0.9907, abs=0.001)
    assert result.sum.accuracy == pytest.approx(0.9913, abs=0.001)


@pytest.mark.parametrize("path, name", [("a/lfw.bin", "lfw"), ("a/faces.v2/", "faces.v2"), ("lfw.old.bin", "lfw.old")])
def test_the_name_of_a_set_keeps_its_dots(path, name):
    assert set_name(path) == name


def test_folds_and_baselines_are_checked_before_the_model_is_opened(tmp_path, capsys):
    pairs = str(tmp_path / "pairs.bin")
    write_pairs(
        pairs, [cv2.imencode(".png", np.full((32, 32, 3), n, np.uint8))[1].tobytes() for n in range(8)], [1, 0] * 2
    )
    assert main(["verify", "no-model", pairs, "--folds", "5"]) == 2
    assert "4 pairs do not make 5 folds" in capsys.readouterr().err
    assert main(["verify", "no-model", pairs, "--folds", "2", "--baselines", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
