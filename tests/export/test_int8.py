"""The int8 form is the same on every processor; one far from the network is not written."""

from __future__ import annotations

import pytest

from arcface_mx.cli import main
from arcface_mx.export import export
from arcface_mx.model.to_onnx import to_onnx
from tests.support import nets

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime.quantization")
SIZE = (32, 32)


def test_a_form_far_from_the_network_is_not_written(tiny_pairs, tmp_path, monkeypatch, capsys):
    model = nets.save(tmp_path, *nets.backbone("iresnet18")) + ",0"
    monkeypatch.setattr(
        export, "quantise", lambda data, images: to_onnx(*nets.backbone("mobilefacenet"), "data", SIZE, {})
    )
    assert main(["export", model, "--out", str(tmp_path / "out"), "--int8", "--images", tiny_pairs]) == 2
    assert "int8 model: its embeddings have a mean cosine of" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
