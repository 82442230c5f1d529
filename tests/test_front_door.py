"""`import arcface_mx as am`: load, train, verify and Faces, imported when they are first used."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
import typing

import numpy as np
import pytest

import arcface_mx as am
from arcface_mx.data.images import decode_rgb
from arcface_mx.util.errors import UserError
from tests.conftest import tiny_image

SMALL = dict(network="iresnet18", width=0.07, embedding_size=8, dropout=0.0, image_size=32, batch_size=8, scale=8.0)
# What the summaries of these functions hold is described by the files that they write or read.
WITH_JSON = {"write_cleaned", "pack_images", "unpack_images", "accuracy"}


@pytest.fixture(scope="module")
def run(tiny_faces, tiny_pairs, tmp_path_factory):
    """A finished run of four steps: its folder, its result, and what the callback was told."""
    folder, reports = str(tmp_path_factory.mktemp("runs") / "am"), []
    result = am.train(tiny_faces, folder, on_step=reports.append, eval=tiny_pairs, steps=4, lr_drops=[3], **SMALL)
    return folder, result, reports


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, arcface_mx as am; dir(am); print({'mxnet', 'cv2', 'sklearn', 'tqdm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_train_reports_each_step_and_returns_the_accuracy(run):
    folder, result, reports = run
    assert [(report.step, report.steps) for report in reports] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [report.lr for report in reports] == pytest.approx([0.1, 0.1, 0.1, 0.01])
    assert all(report.loss > 0 for report in reports) and len({report.loss for report in reports}) == 4
    assert (result.run, result.step, result.skipped_steps) == (folder, 4, 0)
    assert result.accuracy == {"tiny": result.mean_accuracy} and 0 < result.mean_accuracy <= 1


def test_an_exception_of_the_callback_ends_the_run(tiny_faces, tmp_path):
    def stop(report):
        raise RuntimeError(f"stopped at {report.step}")

    with pytest.raises(RuntimeError, match="stopped at 1"):
        am.train(tiny_faces, str(tmp_path / "run"), on_step=stop, steps=4, lr_drops=3, **SMALL)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"stepz": 4}, "stepz: the loss arcface and the trainer have no such setting; did you mean steps"),
        ({"steps": "4"}, "`steps` is '4'"),
        ({"loss": "archface"}, "`loss` must be one of"),
        ({"preset": "tiny"}, "`preset` must be one of"),
    ],
)
def test_train_names_a_wrong_setting(settings, message, tmp_path):
    with pytest.raises(UserError) as error:
        am.train("faces", str(tmp_path / "run"), **settings)
    assert message in str(error.value)


def test_load_embeds_arrays_bytes_and_files(run, tmp_path):
    model, encoded = am.load(run[0]), tiny_image(1, 1)
    path = tmp_path / "a.png"
    path.write_bytes(encoded)
    vectors = model.embed([decode_rgb(encoded), encoded, str(path), path])
    assert vectors.shape == (4, 8) and np.abs(vectors - vectors[0]).max() == 0
    with pytest.raises(UserError, match="b.png: cannot be read: No such file"):
        model.embed([str(tmp_path / "b.png")])


def test_verify_takes_a_set_or_pairs_of_images(run, tiny_pairs):
    from arcface_mx.data.bins.read import read_pairs

    pairs = read_pairs(tiny_pairs)
    images = list(pairs.pixels())
    listed = [(images[a], images[b], same) for a, b, same in zip(pairs.left, pairs.right, pairs.same)]
    by_name, by_images = am.verify(run[0], tiny_pairs), am.verify(am.load(run[0]), listed)
    assert by_images.none == by_name.none and by_images.sum == by_name.sum
    assert by_name.none.accuracy == run[1].accuracy["tiny"]
    with pytest.raises(UserError, match="`pairs` is empty"):
        am.verify(run[0], [])


def test_faces_are_found_aligned_and_embedded(run):
    import cv2

    from arcface_mx.data.orl.orl import load_faces

    faces = [np.kron(identity[0][..., None], np.ones((2, 2, 3), np.uint8)) for identity in load_faces()[:2]]
    picture = np.hstack(faces)  # two people side by side
    model = am.load(run[0])
    analysis = am.Faces(model)
    found = sorted(analysis.get(picture), key=lambda face: face.box[0])
    assert len(found) == 2 and all(face.score > 0.9 for face in found)
    half = picture.shape[1] / 2
    for face, (left, right) in zip(found, ((0, half), (half, 2 * half))):
        x, y = face.landmarks.T
        assert left < face.box[0] < x.min() and x.max() < face.box[2] < right
        assert y[:2].max() < y[2] < y[3:].min()  # eyes above the nose above the mouth
        np.testing.assert_array_equal(face.embedding, model.embed([face.crop])[0])
    encoded = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(analysis.get(encoded)[0].box, analysis.get(picture)[0].box)
    assert analysis.get(np.zeros((80, 80, 3), np.uint8)) == []
    for wrong in ("nowhere.jpg", b"text", np.zeros((8, 8))):
        with pytest.raises(UserError):
            analysis.get(wrong)


def test_packages_that_are_functions_stay_packages():
    import arcface_mx.train.run
    from arcface_mx.verify import verify_set

    assert callable(am.train) and callable(verify_set) and arcface_mx.train.run is am.train.run
    assert list(inspect.signature(am.train).parameters)[:2] == ["data", "run"]
    assert not hasattr(am, "nothing") and set(am.__all__) <= set(dir(am))


def public_signatures():
    """(name, annotations) of what the packages list in `__all__`, with the methods of classes."""
    packages = [found.name for found in pkgutil.walk_packages(am.__path__, "arcface_mx.") if found.ispkg]
    for package in ["arcface_mx", *packages]:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isclass(value):
                yield f"{package}.{name}", getattr(value, "__annotations__", {})
                for key, method in vars(value).items():
                    if inspect.isfunction(method) and (key == "__init__" or not key.startswith("_")):
                        yield f"{package}.{name}.{key}", method.__annotations__
            elif callable(value) and name not in WITH_JSON:
                yield f"{package}.{name}", getattr(value, "__wrapped__", value).__annotations__


@pytest.mark.slow
def test_public_signatures_are_typed_without_any():
    checked = dict(public_signatures())
    assert {"arcface_mx.load", "arcface_mx.train", "arcface_mx.Faces.get", "arcface_mx.model.Embedder.embed"} <= {
        *checked
    }
    untyped = [name for name, hints in checked.items() if typing.Any in hints.values() or "Any" in str(hints)]
    assert not untyped
