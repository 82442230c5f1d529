"""The int8 form is the same on every processor; one far from the network is not written."""

from __future__ import annotations

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.export import export
from arcface_mx.export.int8 import quantise
from arcface_mx.model.embedder import to_batch
from arcface_mx.model.to_onnx import to_onnx
from tests.support import nets

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime.quantization")
SIZE = (32, 32)


@pytest.mark.parametrize("name, depthwise", [("iresnet18", 0), ("mobilefacenet", 127)])
def test_no_processor_saturates_the_sums_of_the_int8_form(name, depthwise):
    """Without VNNI, x86-64 adds two products in 16 bits: 2 × 255 × 64 fits, × 127 does not."""
    images = to_batch(nets.images(8, SIZE))
    graph = onnx.load_from_string(quantise(to_onnx(*nets.backbone(name), "data", SIZE, {}), images)).graph
    arrays = {array.name: onnx.numpy_helper.to_array(array) for array in graph.initializer}
    sources = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    largest = {"dense": 0, "depthwise": 0}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            weight = arrays[sources[node.input[1]]]
            assert weight.dtype == np.int8
            grouped = any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
            kind = "depthwise" if grouped else "dense"
            largest[kind] = max(largest[kind], int(np.abs(weight.astype(int)).max()))
    assert largest == {"dense": 64, "depthwise": depthwise}


def test_a_form_far_from_the_network_is_not_written(tiny_pairs, tmp_path, monkeypatch, capsys):
    model = nets.save(tmp_path, *nets.backbone("iresnet18")) + ",0"
    monkeypatch.setattr(
        export, "quantise", lambda data, images: to_onnx(*nets.backbone("mobilefacenet"), "data", SIZE, {})
    )
    assert main(["export", model, "--out", str(tmp_path / "out"), "--int8", "--images", tiny_pairs]) == 2
    assert "int8 model: its embeddings have a mean cosine of" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
