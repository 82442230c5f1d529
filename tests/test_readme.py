"""Every `arcface-mx` command of the README runs, in the README's order, with few steps."""

from __future__ import annotations

import os
import re
import shlex

import pytest

from arcface_mx.cli import main

README = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "README.md")
SHORT = ["--steps", "2", "--lr-drops", "1"]


def blocks():
    with open(README, encoding="utf-8") as stream:
        return re.findall(r"```sh\n(.*?)```", stream.read(), re.S)


def commands(block):
    return [line for line in block.splitlines() if line.startswith("arcface-mx ")]


@pytest.fixture
def photos(tmp_path):
    """`photos/`: 14 people × 3 ORL photos, three times as large, as a camera would give them."""
    import cv2

    from arcface_mx.data.orl import load_faces

    for person, own in enumerate(load_faces(aligned=False)[:14]):
        folder = tmp_path / "photos" / ("person%02d" % person)
        folder.mkdir(parents=True)
        for number, photo in enumerate(own[:3]):
            large = cv2.resize(photo, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / ("%d.jpg" % number)), large)


@pytest.mark.parametrize("block", [block for block in blocks() if commands(block)], ids=lambda block: commands(block)[0][11:21])
def test_commands_run_in_order(block, tmp_path, photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in commands(block):
        words = shlex.split(line)[1:]
        code = main(words + (SHORT if words[0] == "train" else []))
        may_find = words[:2] == ["data", "align"] or words[0] == "doctor"  # a small face; a card too new
        assert code in ((0, 1) if may_find else (0,)), line


def test_scripts_of_the_readme_exist():
    with open(README, encoding="utf-8") as stream:
        text = stream.read()
    root = os.path.dirname(README)
    for name in re.findall(r"(?:recipes|tests)/[\w.]+\.sh", text) + re.findall(r"\]\(([^)#:]+)\)", text):
        assert os.path.exists(os.path.join(root, name)), name
