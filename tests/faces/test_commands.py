"""embed, verify-pair and gallery: their answers are the embedder's own, whatever is interrupted or broken."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.faces import embed as embedding_files
from arcface_mx.faces.embed import FaceOptions, embed_to_file, read_embeddings
from arcface_mx.model import load_model
from arcface_mx.verify.calibration_file import model_fingerprint
from tests.conftest import shared_path, tiny_photo
from tests.support import nets

SIZE = (32, 32)


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_pairs):
    """A calibrated model that tells the tiny people apart, as random features of colour patterns do."""
    symbol = nets.embedding(SIZE, d=32)
    prefix = nets.save(tmp_path_factory.mktemp("faces"), symbol, *nets.parameters(symbol, SIZE)) + ",0"
    assert main(["calibrate", prefix, tiny_pairs]) == 0
    return prefix


def put(root, name, person, photo):
    os.makedirs(os.path.dirname(root / name), exist_ok=True)
    (root / name).write_bytes(tiny_photo(person, photo))
    return str(root / name)


@pytest.fixture
def people(tmp_path):
    """people/p0…p4, three photos each, and new/: one more photo of each."""
    for person in range(5):
        for photo in range(3):
            put(tmp_path, f"people/p{person}/{photo}.png", person, photo)
        put(tmp_path, f"new/n{person}.png", person, 9)
    return tmp_path


def rgb(path):
    return cv2.imread(str(path))[:, :, ::-1]


@pytest.mark.parametrize("workers", ["1", "3"])
@pytest.mark.parametrize("flip", ["none", "sum"])
def test_embed_gives_the_embedders_numbers(model, people, workers, flip):
    out = str(people / "out.npz")
    assert (
        main(["embed", model, str(people / "people"), out, "--workers", workers, "--batch-size", "4", "--flip", flip])
        == 0
    )
    found = read_embeddings(out)
    expected = load_model(model).embed([rgb(path) for path in found.paths], mirror=flip == "sum")
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    assert [os.path.relpath(path, people / "people") for path in found.paths] == [
        f"p{p}/{n}.png" for p in range(5) for n in range(3)
    ]
    assert not os.path.exists(out + ".parts") and len(found.skipped) == 0


def test_bad_photos_are_listed_with_their_reason(model, people, capsys):
    (people / "people" / "p1" / "1.png").write_bytes(b"no image")
    cv2.imwrite(str(people / "people" / "p2" / "2.png"), np.zeros((40, 20, 3), np.uint8))
    assert main(["embed", model, str(people / "people"), str(people / "out.npz")]) == 1
    found = read_embeddings(str(people / "out.npz"))
    assert len(found.vectors) == len(found.paths) == 13 and len(found.skipped) == 2
    assert "no readable image" in found.reasons[0] and "40×20" in found.reasons[1] and "--align" in found.reasons[1]
    assert "p1/1.png" in capsys.readouterr().out


def test_an_interrupted_call_goes_on(model, people, monkeypatch):
    paths = sorted(str(path) for path in (people / "people").glob("*/*.png"))
    embedder, fingerprint, out = load_model(model), model_fingerprint(model), str(people / "out.npz")
    seen, read = [], embedding_files.read_faces

    def interrupted(given, *rest):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(given))
        return read(given, *rest)

    monkeypatch.setattr(embedding_files, "read_faces", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed_to_file(embedder, fingerprint, paths, out, FaceOptions(), part_size=4)
    assert not os.path.exists(out)
    monkeypatch.setattr(
        embedding_files, "read_faces", lambda given, *rest: seen.append(len(given)) or read(given, *rest)
    )
    found = embed_to_file(embedder, fingerprint, paths, out, FaceOptions(), part_size=4)
    assert seen == [4, 4, 4, 3]
    assert found.paths.tolist() == paths
    np.testing.assert_allclose(found.vectors, embedder.embed([rgb(path) for path in paths]), atol=1e-5)


def test_parts_of_another_call_are_refused(model, people, capsys):
    out = str(people / "out.npz")
    os.makedirs(out + ".parts")
    with open(out + ".parts/task.json", "w") as stream:
        json.dump({"model": "another"}, stream)
    assert main(["embed", model, str(people / "people"), out]) == 2
    assert "holds parts for other images, another model or other options" in capsys.readouterr().err
    (people / "there.npz").write_bytes(b"")
    assert main(["embed", model, str(people / "people"), str(people / "there.npz")]) == 2


def test_verify_pair_decides_by_the_models_threshold(model, people, capsys):
    same = [str(people / "people/p1/0.png"), str(people / "new/n1.png")]
    other = [str(people / "people/p1/0.png"), str(people / "new/n2.png")]
    for pair, told in ((same, "same identity"), (other, "different identities")):
        report = str(people / "r.json")
        assert main(["verify-pair", model, *pair, "--far", "0.1", "--json", report]) == 0
        a, b = load_model(model).embed([rgb(path) for path in pair]).astype(np.float64)
        cosine = a @ b / np.sqrt((a @ a) * (b @ b))
        stored = json.load(open(report))
        assert stored["cosine"] == pytest.approx(cosine, abs=1e-6)
        assert stored["angle"] == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-3)
        shown = capsys.readouterr().out
        assert told in shown and "20 different pairs" in shown


def test_verify_pair_names_what_is_missing(model, people, tmp_path, capsys):
    a, b = str(people / "people/p1/0.png"), str(people / "new/n1.png")
    assert main(["verify-pair", model, a, b]) == 2
    assert "FAR 0.001: not measurable with 20 different pairs; measured are 0.1" in capsys.readouterr().err
    symbol = nets.embedding(SIZE)
    plain = nets.save(tmp_path, symbol, *nets.parameters(symbol, SIZE)) + ",0"
    assert main(["verify-pair", plain, a, b]) == 2
    assert "run: arcface-mx calibrate" in capsys.readouterr().err
    assert main(["verify-pair", model, a, str(people / "none.png"), "--far", "0.1"]) == 2
    assert "none.png: cannot be read" in capsys.readouterr().err


def test_gallery_names_the_known_and_not_the_stranger(model, people, capsys):
    gallery, report = str(people / "gallery.npz"), str(people / "r.json")
    assert main(["gallery", "build", model, str(people / "people"), gallery]) == 0
    assert "15 images of 5 identities" in capsys.readouterr().out
    put(people, "new/stranger.png", 77, 0)
    for person in range(200, 230):
        for photo in range(3):
            put(people, f"others/p{person}/{photo}.png", person, photo)
    thresholds = str(people / "thresholds.json")
    assert main(["calibrate", model, str(people / "others"), "--out", thresholds]) == 0
    flags = ["--fpir", "0.05", "--json", report, "--calibration", thresholds]
    assert main(["gallery", "search", model, gallery, str(people / "new")] + flags) == 0
    answers = {os.path.basename(entry["image"]): entry for entry in json.load(open(report))["images"]}
    assert {name: entry["answer"] for name, entry in answers.items()} == dict(
        {f"n{person}.png": f"p{person}" for person in range(5)}, **{"stranger.png": "unknown"}
    )
    for entry in answers.values():
        assert len({match["name"] for match in entry["matches"]}) == 3
        assert [match["cosine"] for match in entry["matches"]] == sorted(
            (match["cosine"] for match in entry["matches"]), reverse=True
        )
    assert main(["gallery", "search", model, gallery, str(people / "new/stranger.png"), "--fpir", "1"]) == 0
    assert "unknown" not in capsys.readouterr().out.splitlines()[-1]


def test_gallery_refuses_what_cannot_be_told(model, people, tmp_path, capsys):
    gallery = str(people / "gallery.npz")
    assert main(["gallery", "build", model, str(people / "people"), gallery]) == 0
    assert main(["gallery", "search", model, gallery, str(people / "new")]) == 2
    assert (
        "--fpir 0.01 among 15 images: a false match rate of 6.7e-04 is not measurable with 20"
        in capsys.readouterr().err
    )
    symbol = nets.embedding(SIZE)
    other = nets.save(tmp_path, symbol, *nets.parameters(symbol, SIZE, seed=1)) + ",0"
    assert main(["gallery", "search", other, gallery, str(people / "new"), "--fpir", "1"]) == 2
    assert "made with other parameters" in capsys.readouterr().err
    (people / "broken.npz").write_bytes(b"PK")
    assert main(["gallery", "search", model, str(people / "broken.npz"), str(people / "new")]) == 2
    assert "broken.npz: is not a gallery of" in capsys.readouterr().err


def test_align_finds_the_face_in_a_photo(tmp_path, capsys):
    """A crop set in a larger grey canvas, twice, at two places: with --align it is the same face."""
    prefix = shared_path("zoo/mobileface_v2-symbol.json")[: -len("-symbol.json")]
    from arcface_mx.data.bins.bins import read_pairs

    crop = next(read_pairs(shared_path("faces/lfw/lfw.bin")).pixels())[:, :, ::-1]
    for number, (top, left) in enumerate(((20, 30), (70, 90))):
        canvas = np.full((250, 250, 3), 90, np.uint8)
        canvas[top : top + 112, left : left + 112] = crop
        cv2.imwrite(str(tmp_path / (f"{number}.png")), canvas)
    out = str(tmp_path / "out.npz")
    assert main(["embed", prefix + ",0", str(tmp_path), out, "--align", "--workers", "1"]) == 0
    a, b = read_embeddings(out).vectors
    assert a @ b / np.sqrt((a @ a) * (b @ b)) > 0.95
