"""embed, verify-pair and gallery give the embedder's numbers, and survive interruptions."""

from __future__ import annotations

import json
import os
import re

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.faces import embed as embedding_files
from arcface_mx.faces.embed import FaceOptions, embed_to_file, read_embeddings
from arcface_mx.model.load import load_model, model_fingerprint
from tests.conftest import shared_path, tiny_image
from tests.support import nets

SIZE = (32, 32)


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_pairs):
    """A calibrated model; its random features separate the tiny identities by their colours."""
    symbol = nets.embedding(SIZE, d=32)
    prefix = nets.save(tmp_path_factory.mktemp("faces"), symbol, *nets.parameters(symbol, SIZE)) + ",0"
    assert main(["calibrate", prefix, tiny_pairs]) == 0
    return prefix


def put(root, name, identity, image):
    os.makedirs(os.path.dirname(root / name), exist_ok=True)
    (root / name).write_bytes(tiny_image(identity, image))
    return str(root / name)


@pytest.fixture
def folder(tmp_path):
    """known/p0…p4, three images each, and new/: one more image of each."""
    for identity in range(5):
        for image in range(3):
            put(tmp_path, f"known/p{identity}/{image}.png", identity, image)
        put(tmp_path, f"new/n{identity}.png", identity, 9)
    return tmp_path


def rgb(path):
    return cv2.imread(str(path))[:, :, ::-1]


@pytest.mark.parametrize("workers", ["1", "3"])
@pytest.mark.parametrize("flip", ["none", "sum"])
def test_embed_gives_the_embedders_numbers(model, folder, workers, flip):
    out = str(folder / "out.npz")
    assert (
        main(["embed", model, str(folder / "known"), out, "--workers", workers, "--batch-size", "4", "--flip", flip])
        == 0
    )
    embeddings = read_embeddings(out)
    expected = load_model(model).embed([rgb(path) for path in embeddings.paths], flip=flip == "sum")
    np.testing.assert_allclose(embeddings.vectors, expected, atol=1e-5)
    assert [os.path.relpath(path, folder / "known") for path in embeddings.paths] == [
        f"p{p}/{n}.png" for p in range(5) for n in range(3)
    ]
    assert not os.path.exists(out + ".parts") and len(embeddings.skipped) == 0


def test_bad_images_are_listed_with_their_reason(model, folder, capsys):
    (folder / "known" / "p1" / "1.png").write_bytes(b"no image")
    cv2.imwrite(str(folder / "known" / "p2" / "2.png"), np.zeros((40, 20, 3), np.uint8))
    assert main(["embed", model, str(folder / "known"), str(folder / "out.npz")]) == 1
    embeddings = read_embeddings(str(folder / "out.npz"))
    assert len(embeddings.vectors) == len(embeddings.paths) == 13 and len(embeddings.skipped) == 2
    assert (
        "no readable image" in embeddings.reasons[0]
        and "40×20" in embeddings.reasons[1]
        and "--align" in embeddings.reasons[1]
    )
    assert "p1/1.png" in capsys.readouterr().out


def test_an_interrupted_call_continues(model, folder, monkeypatch):
    paths = sorted(str(path) for path in (folder / "known").glob("*/*.png"))
    embedder, fingerprint, out = load_model(model), model_fingerprint(model), str(folder / "out.npz")
    seen, read = [], embedding_files.read_faces

    def interrupted(paths_of_part, *rest):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(paths_of_part))
        return read(paths_of_part, *rest)

    monkeypatch.setattr(embedding_files, "read_faces", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed_to_file(embedder, fingerprint, paths, out, FaceOptions(), part_size=4)
    assert not os.path.exists(out)
    monkeypatch.setattr(
        embedding_files,
        "read_faces",
        lambda paths_of_part, *rest: seen.append(len(paths_of_part)) or read(paths_of_part, *rest),
    )
    embeddings = embed_to_file(embedder, fingerprint, paths, out, FaceOptions(), part_size=4)
    assert seen == [4, 4, 4, 3]
    assert embeddings.paths.tolist() == paths
    np.testing.assert_allclose(embeddings.vectors, embedder.embed([rgb(path) for path in paths]), atol=1e-5)


def test_what_a_process_left_that_was_killed_behind_the_end_is_removed(model, folder, capsys):
    out, command = str(folder / "out.npz"), ["embed", model, str(folder / "new"), str(folder / "out.npz")]
    assert main(command) == 0
    os.mkdir(out + ".parts")
    for name in ("00000000.npz", ".00000002.npz.new"):  # task.json is gone already
        (folder / "out.npz.parts" / name).write_bytes(b"half")
    assert main(command) == 2 and not os.path.exists(out + ".parts")
    assert "already exists" in capsys.readouterr().err


def test_parts_of_which_nothing_is_known_are_not_used(model, folder):
    out = str(folder / "out.npz")
    paths = [str(folder / "new" / f"n{identity}.png") for identity in range(5)]
    embedder = load_model(model)
    other = embed_to_file(embedder, "other", paths[::-1], str(folder / "other.npz"), FaceOptions())
    os.mkdir(out + ".parts")
    os.rename(str(folder / "other.npz"), out + ".parts/00000000.npz")
    embeddings = embed_to_file(embedder, "this", paths, out, FaceOptions())
    assert embeddings.model == "this"
    np.testing.assert_allclose(embeddings.vectors, other.vectors[::-1], atol=1e-5)


def test_parts_of_another_call_are_refused(model, folder, capsys):
    out = str(folder / "out.npz")
    os.makedirs(out + ".parts")
    with open(out + ".parts/task.json", "w") as stream:
        json.dump({"model": "another"}, stream)
    assert main(["embed", model, str(folder / "known"), out]) == 2
    assert "holds parts for other images, another model or other options" in capsys.readouterr().err
    (folder / "there.npz").write_bytes(b"")
    assert main(["embed", model, str(folder / "known"), str(folder / "there.npz")]) == 2


def test_verify_pair_decides_by_the_models_threshold(model, folder, capsys):
    same = [str(folder / "known/p1/0.png"), str(folder / "new/n1.png")]
    other = [str(folder / "known/p1/0.png"), str(folder / "new/n2.png")]
    for pair, decision in ((same, "same identity"), (other, "different identities")):
        report = str(folder / "r.json")
        assert main(["verify-pair", model, *pair, "--far", "0.1", "--json", report]) == 0
        a, b = load_model(model).embed([rgb(path) for path in pair]).astype(np.float64)
        cosine = a @ b / np.sqrt((a @ a) * (b @ b))
        stored = json.load(open(report))
        assert stored["cosine"] == pytest.approx(cosine, abs=1e-6)
        assert stored["angle"] == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-3)
        shown = capsys.readouterr().out
        assert decision in shown and "20 different pairs" in shown


def test_verify_pair_names_what_is_missing(model, folder, tmp_path, capsys):
    a, b = str(folder / "known/p1/0.png"), str(folder / "new/n1.png")
    assert main(["verify-pair", model, a, b]) == 2
    shown = capsys.readouterr()
    assert "FAR 0.001: not measurable with 20 different pairs; measured are 0.1" in shown.err
    assert re.fullmatch(r"cosine 0\.\d{4}, angle \d+\.\d°\n", shown.out)
    symbol = nets.embedding(SIZE)
    plain = nets.save(tmp_path, symbol, *nets.parameters(symbol, SIZE)) + ",0"
    assert main(["verify-pair", plain, a, b]) == 0
    uncalibrated = capsys.readouterr()
    assert "run: arcface-mx calibrate" in uncalibrated.err and uncalibrated.out.startswith("cosine 0.9999")
    assert main(["verify-pair", plain, a, b, "--far", "0.1"]) == 2
    assert "run: arcface-mx calibrate" in capsys.readouterr().err
    assert main(["verify-pair", model, a, str(folder / "none.png"), "--far", "0.1"]) == 2
    assert "none.png: cannot be read" in capsys.readouterr().err


def test_verify_pair_takes_any_far_and_any_threshold(model, folder, capsys):
    pair, report = [str(folder / "known/p1/0.png"), str(folder / "new/n2.png")], str(folder / "r.json")

    def shown(*flags):
        assert main(["verify-pair", model, *pair, *flags, "--json", report]) == 0
        return capsys.readouterr().out.splitlines()[-1], json.load(open(report))

    at_far = [shown("--far", far)[1]["threshold"] for far in ("0.05", "0.1", "0.2", "0.5")]
    assert at_far == sorted(at_far, reverse=True) and len(set(at_far)) == 4
    line, values = shown("--far", "0.2")
    assert line.startswith("different identities at FAR 0.2: threshold") and "20 different pairs" in line
    assert values["far"] == 0.2 and values["same"] is False
    cosine = values["cosine"]
    assert shown("--threshold", str(cosine - 1e-3))[0].startswith("same identity at threshold")
    assert shown("--threshold", str(cosine + 1e-3))[1]["same"] is False
    for flags, message in (
        (["--threshold", "0.3", "--far", "0.1"], "--threshold cannot be combined with --far"),
        (["--threshold", "35"], "--threshold must be a cosine"),
        (["--far", "1.5"], "--far must be at most 1"),
        (["--far", "-0.1"], "not measurable"),
    ):
        assert main(["verify-pair", model, *pair, *flags]) == 2
        assert message in capsys.readouterr().err


def test_a_gallery_in_half_precision_gives_the_same_answers(model, folder):
    matches = {}
    for dtype in ("float32", "float16"):
        gallery, report = str(folder / f"{dtype}.npz"), str(folder / "r.json")
        assert main(["gallery", "build", model, str(folder / "known"), gallery, "--dtype", dtype]) == 0
        assert np.load(gallery)["vectors"].dtype == dtype
        assert main(["gallery", "search", model, gallery, str(folder / "new"), "--fpir", "1", "--json", report]) == 0
        matches[dtype] = [match for entry in json.load(open(report))["images"] for match in entry["matches"]]
    single, half = matches.values()
    assert [match["name"] for match in single] == [match["name"] for match in half]
    np.testing.assert_allclose([m["cosine"] for m in single], [m["cosine"] for m in half], atol=1e-4)


def test_gallery_names_the_known_and_not_the_stranger(model, folder, capsys):
    gallery, report = str(folder / "gallery.npz"), str(folder / "r.json")
    assert main(["gallery", "build", model, str(folder / "known"), gallery]) == 0
    assert "15 images of 5 identities" in capsys.readouterr().out
    put(folder, "new/stranger.png", 77, 0)
    for identity in range(200, 230):
        for image in range(3):
            put(folder, f"others/p{identity}/{image}.png", identity, image)
    thresholds = str(folder / "thresholds.json")
    assert main(["calibrate", model, str(folder / "others"), "--out", thresholds]) == 0
    flags = ["--fpir", "0.05", "--json", report, "--calibration", thresholds]
    assert main(["gallery", "search", model, gallery, str(folder / "new")] + flags) == 0
    answers = {os.path.basename(entry["image"]): entry for entry in json.load(open(report))["images"]}
    assert {name: entry["answer"] for name, entry in answers.items()} == dict(
        {f"n{identity}.png": f"p{identity}" for identity in range(5)}, **{"stranger.png": "unknown"}
    )
    for entry in answers.values():
        assert len({match["name"] for match in entry["matches"]}) == 3
        assert [match["cosine"] for match in entry["matches"]] == sorted(
            (match["cosine"] for match in entry["matches"]), reverse=True
        )
    assert main(["gallery", "search", model, gallery, str(folder / "new/stranger.png"), "--fpir", "1"]) == 0
    assert "unknown" not in capsys.readouterr().out.splitlines()[-1]


def test_gallery_refuses_what_it_cannot_know(model, folder, tmp_path, capsys):
    gallery = str(folder / "gallery.npz")
    assert main(["gallery", "build", model, str(folder / "known"), gallery]) == 0
    assert main(["gallery", "search", model, gallery, str(folder / "new")]) == 2
    assert (
        "--fpir 0.01 among 15 images: a false match rate of 6.7e-04 is not measurable with 20"
        in capsys.readouterr().err
    )
    symbol = nets.embedding(SIZE)
    other = nets.save(tmp_path, symbol, *nets.parameters(symbol, SIZE, seed=1)) + ",0"
    assert main(["gallery", "search", other, gallery, str(folder / "new"), "--fpir", "1"]) == 2
    assert "made with other parameters" in capsys.readouterr().err
    (folder / "broken.npz").write_bytes(b"PK")
    assert main(["gallery", "search", model, str(folder / "broken.npz"), str(folder / "new")]) == 2
    assert "broken.npz: is not a gallery of" in capsys.readouterr().err


def test_align_finds_the_face_in_an_image(tmp_path, capsys):
    """A crop is pasted at two places of a grey canvas: --align finds the same face."""
    prefix = shared_path("zoo/mobileface_v2-symbol.json")[: -len("-symbol.json")]
    from arcface_mx.data.bins.read import read_pairs

    crop = next(read_pairs(shared_path("faces/lfw/lfw.bin")).pixels())[:, :, ::-1]
    for number, (top, left) in enumerate(((20, 30), (70, 90))):
        canvas = np.full((250, 250, 3), 90, np.uint8)
        canvas[top : top + 112, left : left + 112] = crop
        cv2.imwrite(str(tmp_path / (f"{number}.png")), canvas)
    out = str(tmp_path / "out.npz")
    assert main(["embed", prefix + ",0", str(tmp_path), out, "--align", "--workers", "1"]) == 0
    a, b = read_embeddings(out).vectors
    assert a @ b / np.sqrt((a @ a) * (b @ b)) > 0.95
