"""The scores in a run's folder: what training writes is read again, and damaged files are named."""

from __future__ import annotations

import os

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat
from arcface_mx.train.folder import read_metrics
from arcface_mx.train.run import train
from arcface_mx.util.errors import UserError
from arcface_mx.verify.run_scores import RUN_SCORES, read_run_scores
from arcface_mx.verify.scores import read_scores
from tests.support.training import TINY


def test_a_run_keeps_the_scores_of_its_sets(tmp_path, tiny_faces, tiny_pairs):
    run, csv = str(tmp_path / "run"), str(tmp_path / "scores.csv")
    assert read_run_scores(run) == {}
    train(from_flat(dict(TINY, data=tiny_faces, eval=(tiny_pairs,), run=run, steps=2, lr_drops=(1,))))
    assert main(["verify", run, tiny_pairs, "--scores", csv]) == 0
    expected, found = read_scores(csv), read_run_scores(run)
    (name,) = read_metrics(run)["sets"]
    assert set(found) == {(name, "none"), (name, "sum")}
    for key, (scored, identities) in found.items():
        np.testing.assert_allclose(scored.scores, expected[key].scores, atol=5e-4)
        np.testing.assert_array_equal(scored.same, expected[key].same)
        np.testing.assert_array_equal(identities.first == identities.second, scored.same)


def arrays(**changes):
    whole = {
        "lfw/none": np.array([0.9, 0.1], np.float16),
        "lfw/same": np.array([True, False]),
        "lfw/first": np.array([0, 0], np.uint16),
        "lfw/second": np.array([0, 1], np.uint16),
    }
    return {**whole, **{name.replace("_", "/"): value for name, value in changes.items()}}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"lfw_none": np.array([0.9, np.nan], np.float16)}, "not finite"),
        ({"lfw_none": np.array(["a", "b"])}, "has the type <U1"),
        ({"lfw_none": np.array([[0.9, 0.1]], np.float16)}, r"shape \(1, 2\)"),
        ({"lfw_none": np.array([0.9], np.float16)}, "different lengths"),
        ({"lfw_first": np.array([0, 1], np.uint16)}, "do not fit its pairs"),
        ({"lfw_first": np.array([-1, 0], np.int16)}, "has the type int16"),
        ({"lfw_other": np.array([1])}, "lfw/other"),
    ],
)
def test_a_damaged_file_is_named(changes, message, tmp_path):
    path = str(tmp_path / RUN_SCORES)
    np.savez(path, **arrays())
    assert set(read_run_scores(str(tmp_path))) == {("lfw", "none")}
    np.savez(path, **arrays(**changes))
    with pytest.raises(UserError, match=message) as raised:
        read_run_scores(str(tmp_path))
    assert str(raised.value).startswith(path)


def test_no_byte_of_a_file_raises_another_error(tmp_path):
    path = str(tmp_path / RUN_SCORES)
    np.savez(path, **arrays())
    with open(path, "rb") as stream:
        whole = stream.read()
    for place in range(len(whole)):
        for content in (whole[:place], whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]):
            with open(path, "wb") as stream:
                stream.write(content)
            try:
                read_run_scores(str(tmp_path))
            except UserError as error:
                assert str(error).startswith(path) and "\n" not in str(error)


def test_a_compressed_file_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(os.path.join(tmp_path, RUN_SCORES), **arrays(lfw_none=np.zeros(1 << 24, np.float16)))
    with pytest.raises(UserError, match="lfw/none is compressed"):
        read_run_scores(str(tmp_path))
