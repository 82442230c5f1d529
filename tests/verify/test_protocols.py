"""`identify` and `templates` on folders and lists of images."""

from __future__ import annotations

import json
import os
import re
import shutil

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat, to_json
from arcface_mx.metrics.identification import identify
from arcface_mx.metrics.templates import pool, template_scores
from arcface_mx.metrics.verification import error_rates
from arcface_mx.model import load_model
from arcface_mx.train.folder import read_template_results
from tests.conftest import tiny_image
from tests.support import nets

SIZE = (32, 32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    symbol = nets.embedding(SIZE)
    nets.save(folder, symbol, *nets.parameters(symbol, SIZE))
    return str(folder)


def put(folder, name, identity, image):
    """Write one image; returns its RGB pixels."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = tiny_image(identity, image)
    path.write_bytes(content)
    return cv2.imdecode(np.frombuffer(content, np.uint8), 1)[..., ::-1]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """gallery/ of identities 0–5, probes/ of identities 2–9, and others/ without sub-folders."""
    root = tmp_path_factory.mktemp("folders")
    pixels = {"gallery": [], "probes": [], "others": []}
    for identity in range(6):
        for image in range(2):
            pixels["gallery"].append(put(root, f"gallery/p{identity}/{image}.png", identity, image))
    for identity in range(2, 10):
        for image in range(10, 13):
            pixels["probes"].append(put(root, f"probes/p{identity}/{image}.PNG", identity, image))
    for identity in range(40, 45):
        pixels["others"].append(put(root, f"others/{identity}.png", identity, 0))
    (root / "gallery" / "notes.txt").write_text("not a image")
    return root, pixels


def test_identify_on_folders(model, folders, tmp_path, capsys):
    root, pixels = folders
    arguments = ["identify", model, str(root / "gallery"), str(root / "probes"), "--distractors", str(root / "others")]
    assert main(arguments + ["--json", str(tmp_path / "r.json")]) == 0
    printed = capsys.readouterr().out
    embedder = load_model(model)
    features = {part: embedder.embed(images) for part, images in pixels.items()}
    unit = features["gallery"] / np.linalg.norm(features["gallery"], axis=1, keepdims=True)
    expected = identify(
        unit[0::2] + unit[1::2], np.arange(6), features["probes"], np.repeat(np.arange(2, 10), 3), features["others"]
    )
    assert json.loads((tmp_path / "r.json").read_text()) == json.loads(json.dumps(expected.to_json()))
    assert "gallery 6 identities, distractors 5, probes 12 known, 12 unknown" in printed
    assert f"rank-1         {expected.rank[1]:.4f}" in printed
    assert "DIR@FAR=1e-02, 1e-03, 1e-04, 1e-05, 1e-06: not measurable with 12 unknown probes" in printed


def test_identify_on_lists_equals_folders(model, folders, tmp_path):
    root, _ = folders
    for part in ("gallery", "probes"):
        lines = [f"{path.parent.name}/{path.name} {path.parent.name}" for path in (root / part).glob("*/*")]
        (root / part / "list.txt").write_text("\n".join(lines) + "\n\n")
    results = []
    for suffix in ("", "/list.txt"):
        report = str(tmp_path / "r.json")
        assert (
            main(
                [
                    "identify",
                    model,
                    f"{root}/gallery{suffix}",
                    f"{root}/probes{suffix}",
                    "--flip",
                    "sum",
                    "--json",
                    report,
                ]
            )
            == 0
        )
        results.append(json.load(open(report)))
    assert results[0] == results[1]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Folders identity/video of frames, a list of them as in IJB, and all pairs of videos."""
    root = tmp_path_factory.mktemp("videos")
    names, rows, pixels = [], [], []
    for identity in range(5):
        for video in range(4):
            name = f"identity{identity}/{video}"
            names.append(name)
            for frame in range(3):
                image = f"{name}/{frame}.png"
                pixels.append(put(root / "crops", image, identity, 10 * video + frame))
                rows.append((image, name, frame // 2))  # two frames of one medium, one of another
    (root / "tid_mid.txt").write_text("".join(f"{image} {template} {medium}\n" for image, template, medium in rows))
    # Interleaved, so that every fold has both kinds.
    pairs = [(names[i], names[(7 * i + j) % 20]) for j in range(1, 20) for i in range(20)]
    lines = [f"{a} {b} {int(a.split('/')[0] == b.split('/')[0])}" for a, b in pairs]
    (root / "pairs.txt").write_text("\n".join(lines))
    return root, rows, pairs, pixels


def test_templates_of_a_list(model, videos, tmp_path, capsys):
    root, rows, pairs, pixels = videos
    report = str(tmp_path / "r.json")
    assert (
        main(
            [
                "templates",
                model,
                str(root / "tid_mid.txt"),
                str(root / "pairs.txt"),
                "--images",
                str(root / "crops"),
                "--json",
                report,
            ]
        )
        == 0
    )
    templates = pool(load_model(model).embed(pixels), [row[1] for row in rows], [row[2] for row in rows])
    same = np.array([a.split("/")[0] == b.split("/")[0] for a, b in pairs])
    scores = template_scores(templates, [a for a, _ in pairs], [b for _, b in pairs])
    expected = error_rates(scores, same)
    assert json.load(open(report)) == json.loads(json.dumps(expected.to_json()))
    printed = capsys.readouterr().out
    assert re.search(rf"TAR@FAR=1e-02 +{expected.tar_at_far[0.01]:.4f}\n", printed) and "accuracy" not in printed


def test_templates_of_a_folder_with_folds(model, videos, capsys):
    root = videos[0]
    assert main(["templates", model, str(root / "crops"), str(root / "pairs.txt"), "--folds", "5"]) == 0
    assert "accuracy  " in capsys.readouterr().out


def test_the_accuracy_is_recorded_in_the_run_under_its_name_and_flip(model, videos, tmp_path, capsys):
    root = videos[0]
    run = str(tmp_path / "run")
    shutil.copytree(model, run)
    with open(os.path.join(run, "config.json"), "w") as stream:
        json.dump(to_json(from_flat({"run": run})), stream)
    command = ["templates", run, str(root / "crops"), str(root / "pairs.txt"), "--record", "ytf"]
    assert main(command) == 2
    assert "--record keeps the accuracy, which needs --folds" in capsys.readouterr().err
    for flip in ("none", "sum"):
        assert main([*command, "--folds", "5", "--flip", flip]) == 0
    shown = capsys.readouterr().out
    recorded = read_template_results(run)["ytf"]
    assert set(recorded) == {"set", "pairs", "none", "sum"} and recorded["set"] == "ytf"
    for flip in ("none", "sum"):
        assert re.search(rf"accuracy +{recorded[flip]['accuracy']:.4f}", shown)
    assert main(["templates", model, *command[2:], "--folds", "5"]) == 2
    assert "is " + model + " a run folder?" in capsys.readouterr().err


def test_bad_lists_are_named(model, folders, videos, tmp_path, capsys):
    root, _ = folders
    films = videos[0]

    def text(name, content):
        (tmp_path / name).write_bytes(content.encode("latin-1"))
        return str(tmp_path / name)

    gallery, crops = str(root / "gallery"), str(films / "crops")
    cases = [
        (["identify", gallery, text("a.txt", "")], "a.txt: is empty"),
        (["identify", gallery, text("b.txt", "one\n")], "b.txt: line 1: expected"),
        (["identify", gallery, text("c.txt", "\nnone.png p1\n")], "c.txt: line 2: there is no file"),
        (["identify", gallery, text("d.txt", "\xff\xfe")], "d.txt: is not a text file"),
        (["identify", gallery, str(tmp_path / "none")], "none: no such file"),
        (["identify", gallery, str(root / "others")], "no sub-folder contains an image"),
        (["identify", gallery, crops], "have no identity in common"),
        (["templates", crops, text("e.txt", "identity0/0 identity0/1 2\n")], "e.txt: line 1 is"),
        (["templates", crops, text("f.txt", "identity0/0 identity9/1 1\n")], "f.txt: there is no template identity9/1"),
        (["templates", crops, text("g.txt", "identity0/0 identity0/1 1\n")], "1 same and 0 different pairs"),
    ]
    for (command, *rest), message in cases:
        assert main([command, model] + rest) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert message in error
    (tmp_path / "empty").mkdir()
    assert main(["identify", model, gallery, str(tmp_path / "empty")]) == 2
    assert "empty: no sub-folder contains an image" in capsys.readouterr().err
    (tmp_path / "p1").mkdir()
    (tmp_path / "p1" / "x.jpg").write_bytes(b"no image")
    assert main(["identify", model, gallery, text("h.txt", "p1/x.jpg p1\n")]) == 2
    assert "x.jpg: 8 bytes that are no readable image" in capsys.readouterr().err
