"""The commands of the tutorial run from first to last with few steps, and each block shows its output."""

from __future__ import annotations

import pytest

from arcface_mx.cli import main
from tests.support.tutorial import BLOCK, PAGE, blocks, commands

SHORT = ["--steps", "2", "--lr-drops", "1"]  # too few to learn, but enough to give every command its input


@pytest.mark.slow
def test_every_command_runs(tmp_path, monkeypatch, capsys):
    for package in ("onnxruntime", "matplotlib"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    for script in blocks():
        for call in commands(script, str(tmp_path)):
            assert main(call + (SHORT if call[0] == "train" else [])) == 0, call
    printed = capsys.readouterr().out
    for text in (
        "300 of 300 images aligned",
        "10 identities held out",
        "PCA + LDA",
        "report.html",
        "4500 different pairs",
        "cosine ",
        "40 images of 5 identities",
        "ONNX Runtime",
        "weights of runs/own",
    ):
        assert text in printed, text


def test_every_block_shows_its_output():
    with open(PAGE, encoding="utf-8") as stream:
        matches = list(BLOCK.finditer(stream.read()))
    assert len(matches) >= 10
    for block in matches:
        assert block.group(2) and block.group(2).strip(), block.group(1)
