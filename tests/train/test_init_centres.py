"""`init_centres` mean: the classifier starts where the model of `init` puts the people."""

from __future__ import annotations

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.model import load_model
from arcface_mx.train import checkpoint, init_centres
from arcface_mx.train.run import train
from tests.support.training import TINY


@pytest.fixture(scope="module")
def first(tiny_faces, tmp_path_factory):
    run = str(tmp_path_factory.mktemp("mean_centres") / "first")
    train(from_flat(dict(TINY, data=tiny_faces, run=run, steps=5, lr_drops=(4,))))
    return run


def started(first, faces, run, **values):
    still = dict(TINY, data=faces, run=run, init=first, init_centres="mean", steps=1, lr_drops=(1,), lr=0.0)
    train(from_flat(dict(still, **values)))
    return checkpoint.latest(run).arg_params["fc7_weight"].asnumpy()


def expected(first, faces):
    index, model = RecordIndex.open(faces), load_model(first)
    embeddings = np.stack([model.embed([image])[0] for _, _, image in index.images()]).astype(np.float64)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    means = np.stack([embeddings[index.labels == label].mean(axis=0) for label in range(index.num_classes)])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


@pytest.mark.parametrize("block", [3, 4096])
def test_each_centre_is_the_persons_mean_embedding(first, tiny_faces, tmp_path, monkeypatch, block):
    monkeypatch.setattr(init_centres, "BLOCK", block)
    centres = started(first, tiny_faces, str(tmp_path / "run"))
    np.testing.assert_allclose(centres, expected(first, tiny_faces), atol=1e-5)


def test_all_weight_splits_alike(first, tiny_faces, tmp_path):
    whole = started(first, tiny_faces, str(tmp_path / "one"))
    parts = started(first, tiny_faces, str(tmp_path / "two"), devices="cpu(0),cpu(1)", parallel="centres")
    np.testing.assert_allclose(parts, whole, atol=1e-6)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"init": ""}, "--init-centres mean needs --init"),
        ({"loss": "triplet", "images_per_identity": 2}, "loss triplet does not have one centre a class"),
        ({"loss": "sub_centre"}, "loss sub_centre does not have one centre a class"),
    ],
)
def test_what_it_cannot_do_is_named(first, tiny_faces, tmp_path, capsys, values, message):
    flags = dict(TINY, data=tiny_faces, run=str(tmp_path / "run"), init=first, init_centres="mean")
    flags.update(values)
    if "loss" in values and values["loss"] == "triplet":
        del flags["scale"]
    words = []
    for key, value in flags.items():
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        words += (
            ["--" + key.replace("_", "-"), str(value)]
            if not isinstance(value, bool)
            else [("--" if value else "--no-") + key.replace("_", "-")]
        )
    assert main(["train"] + words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
