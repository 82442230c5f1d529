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

    from arcface_mx.data.orl.orl import load_faces

    for person, own in enumerate(load_faces(aligned=False)[:14]):
        folder = tmp_path / "photos" / (f"person{person:02d}")
        folder.mkdir(parents=True)
        for number, photo in enumerate(own[:3]):
            large = cv2.resize(photo, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / (f"{number}.jpg")), large)


@pytest.fixture
def others(tmp_path):
    """`others/`: aligned crops of 20 people who are not in `photos/`, five each."""
    import cv2

    from arcface_mx.data.orl.orl import load_faces

    for person, own in enumerate(load_faces()[14:34]):
        (tmp_path / "others" / (f"other{person:02d}")).mkdir(parents=True)
        for number, photo in enumerate(own[:5]):
            cv2.imwrite(str(tmp_path / "others" / (f"other{person:02d}") / (f"{number}.png")), photo)


@pytest.mark.parametrize(
    "block", [block for block in blocks() if commands(block)], ids=lambda block: commands(block)[0][11:21]
)
def test_commands_run_in_order(block, tmp_path, photos, others, monkeypatch):
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


def python_block(word):
    with open(README, encoding="utf-8") as stream:
        return next(block for block in re.findall(r"```python\n(.*?)```", stream.read(), re.S) if word in block)


def test_python_examples_run(tmp_path, monkeypatch, capsys):
    """Train from arrays of photos, then load and embed, as the README shows it."""
    import cv2
    import numpy as np

    from arcface_mx.data.orl.orl import load_faces

    monkeypatch.chdir(tmp_path)
    crops = [cv2.cvtColor(crop, cv2.COLOR_GRAY2BGR) for person in load_faces()[:3] for crop in person[:6]]
    encoded = [(place // 6, cv2.imencode(".png", crop)[1].tobytes()) for place, crop in enumerate(crops)]
    names = {"photos": encoded}
    exec(python_block("from_flat"), names)
    assert names["metrics"]["step"] == 4
    assert main(["export", "runs/python", "--out", "own"]) == 0
    for name, crop in zip(("a.png", "b.png"), crops):
        cv2.imwrite(name, crop)
    names = {}
    exec(python_block("load_model"), names)
    assert names["model"].embedding_size == 64 and np.isfinite([names["a"], names["b"]]).all()
    assert "cosine " in capsys.readouterr().out
