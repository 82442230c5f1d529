"""README and tutorial run from first to last in one folder, with few steps, and each block shows its output."""

from __future__ import annotations

import os
import pathlib
import re

import numpy as np
import pytest

from arcface_mx.cli import main
from tests.support.tutorial import BLOCK, PAGE, ROOT, blocks, commands

SHORT = ["--steps", "2", "--lr-drops", "1"]  # too few to learn, but enough to give every command its input


def run(script, folder):
    """Run the commands of a block. Lines of the shell are run too, before the commands."""
    for call in commands(script, str(folder)):
        assert main(call + (SHORT if call[0] == "train" else [])) == 0, call


def readme():
    """The blocks of README that need no clone: ("sh" or "python", text)."""
    text = pathlib.Path(ROOT, "README.md").read_text(encoding="utf-8")
    for language, block in re.findall(r"```(sh|python)\n(.*?)```", text, re.S):
        if language == "python" or block.startswith("arcface-mx "):
            yield language, block


@pytest.mark.slow
def test_every_command_runs(tmp_path, monkeypatch, capsys):
    for package in ("onnxruntime", "matplotlib"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names = {}
    for language, block in readme():
        exec(block, names) if language == "python" else run(block, tmp_path)
    assert names["model"].embedding_size == 128 and np.isfinite([names["a"], names["b"]]).all()
    assert names["face"].embedding.shape == (128,)
    printed = capsys.readouterr().out
    assert "model/model-card.md" in printed and "PCA + LDA" in printed and "\ncosine " in printed

    for script in blocks():
        run(script, tmp_path)
        if script == blocks()[0]:  # names of people have spaces
            for name in os.listdir("photos"):
                os.rename(os.path.join("photos", name), os.path.join("photos", f"Rose {name}"))
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
    assert len(os.listdir("others")) == 10 and len(os.listdir("new")) == 10


def test_every_block_shows_its_output():
    with open(PAGE, encoding="utf-8") as stream:
        matches = list(BLOCK.finditer(stream.read()))
    assert len(matches) >= 10
    for block in matches:
        assert block.group(2) and block.group(2).strip(), block.group(1)


def test_readme_and_tutorial_name_their_commands():
    assert sum(block.count("\narcface-mx ") + 1 for language, block in readme() if language == "sh") >= 8
    assert [language for language, _ in readme()].count("python") == 1
