"""A detector of the user's own: an ONNX file in the form that OpenCV's FaceDetectorYN reads."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.align.folder import align_folder
from arcface_mx.data.align.image import AlignOptions
from arcface_mx.data.align.transform import REFERENCE
from arcface_mx.data.align.yunet import MAX_SIDE, YuNet
from arcface_mx.util.errors import UserError

onnx = pytest.importorskip("onnx")
CELL = 8  # the finest of the three grids of the network


def detector_file(path, points):
    """A network that sees a face around each white cell of 8×8 pixels: five points, in cells from its corner."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, outputs = [], [], []
    for stride in (8, 16, 32):
        values = {
            "cls": [0.0],
            "obj": [0.0],
            "bbox": [0.5, 0.5, np.log(4), np.log(4)],
            "kps": np.ravel(points).tolist(),
        }
        for name, bias in values.items():
            weight = np.zeros((len(bias), 3, stride, stride), np.float32)
            if name in ("cls", "obj") and stride == CELL:
                weight[:] = 1 / (3 * CELL * CELL * 255)  # the mean of the cell, 1 if it is white
            this = f"{name}_{stride}"
            constants += [numpy_helper.from_array(weight, this + "_w")]
            constants += [numpy_helper.from_array(np.asarray(bias, np.float32), this + "_b")]
            constants += [numpy_helper.from_array(np.asarray([1, -1, len(bias)], np.int64), this + "_s")]
            size = dict(kernel_shape=[stride] * 2, strides=[stride] * 2)
            nodes.append(helper.make_node("Conv", ["input", this + "_w", this + "_b"], [this + "_c"], **size))
            nodes.append(helper.make_node("Transpose", [this + "_c"], [this + "_t"], perm=[0, 2, 3, 1]))
            nodes.append(helper.make_node("Reshape", [this + "_t", this + "_s"], [this]))
            outputs.append(helper.make_tensor_value_info(this, TensorProto.FLOAT, [1, None, len(bias)]))
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 64, 64])
    graph = helper.make_graph(nodes, "detector", [image], outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)]), str(path))
    return str(path)


@pytest.fixture
def files(tmp_path):
    """The file of a detector, its points in pixels around the white cell's corner, and a folder with an image."""
    points = (REFERENCE - [56, 56]) / 8
    (tmp_path / "images").mkdir()
    picture = np.zeros((160, 192, 3), np.uint8)
    picture[64:72, 96:104] = 255
    cv2.imwrite(str(tmp_path / "images" / "a.png"), picture)
    return detector_file(tmp_path / "own.onnx", points), points * CELL, tmp_path


def test_points_and_box_are_those_of_the_network(files):
    path, points, _ = files
    picture = np.zeros((160, 192, 3), np.uint8)
    picture[64:72, 96:104] = 255
    faces, uncertain = YuNet(path).find(picture)
    assert not uncertain and faces.scores == pytest.approx([1.0], abs=1e-4)
    np.testing.assert_allclose(faces.landmarks, [points + [96, 64]], atol=1e-3)
    np.testing.assert_allclose(faces.boxes, [[84, 52, 116, 84]], atol=1e-3)
    assert YuNet(path).find((picture * 0.55).astype(np.uint8))[1]  # a score between the two thresholds
    assert not len(YuNet(path, min_face=40)(picture).scores)


def test_a_large_image_is_shrunk_and_its_points_are_not(files):
    path, points, _ = files
    picture = np.zeros((2 * MAX_SIDE, 1000, 3), np.uint8)
    picture[128:144, 192:208] = 255
    faces, _ = YuNet(path).find(picture)
    np.testing.assert_allclose(faces.landmarks, [2 * (points + [96, 64])], atol=0.01)


def test_align_uses_the_detector(files, capsys):
    path, points, folder = files
    images, out = str(folder / "images"), str(folder / "out")
    assert main(["data", "align", images, out, "--detector", path, "--workers", "1"]) == 0
    assert "1 of 1 images aligned, residual 0.0 pixels" in capsys.readouterr().out
    with open(folder / "out" / "align.csv", encoding="utf-8") as table:
        row = table.read().splitlines()[1].split(",")
    np.testing.assert_allclose(np.asarray(row[4:14], float), (points + [96, 64]).ravel(), atol=0.01)


def test_a_detector_with_another_order_of_points_is_refused(files):
    _, points, folder = files
    mirrored = detector_file(folder / "mirrored.onnx", points[[1, 0, 2, 4, 3]] / CELL)
    with pytest.raises(UserError, match="mirrored.onnx: the landmarks do not fit faces.*order looks like mirrored"):
        align_folder(str(folder / "images"), str(folder / "out"), AlignOptions(detector=mirrored))


def test_other_files_are_refused(files):
    _, _, folder = files
    (folder / "text.onnx").write_bytes(b"no network")
    weight = onnx.numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), "w")
    node = onnx.helper.make_node("Conv", ["input", "w"], ["y"], kernel_shape=[1, 1])
    kinds = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, c, 64, 64])
        for n, c in (("input", 3), ("y", 1))
    ]
    graph = onnx.helper.make_graph([node], "other", kinds[:1], kinds[1:], [weight])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)]), str(folder / "other.onnx")
    )
    for name, message in (("none", "no such file"), ("text", "is no face detector"), ("other", "is no face detector")):
        with pytest.raises(UserError, match=message):
            YuNet(str(folder / f"{name}.onnx"))
