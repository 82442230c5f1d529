"""IJB lists: every mode equals a brute force in float64, and bad lists are refused by file and line."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.align.transform import align
from arcface_mx.data.protocols.ijb import read_ijb
from arcface_mx.metrics.templates import MODES
from arcface_mx.model import load_model
from arcface_mx.util.errors import UserError
from arcface_mx.verify import ijb
from arcface_mx.verify.ijb import verify_ijb
from tests.support import nets
from tests.support.made_ijb import brute_force, rank, tar_at, tpir_at, write_lists


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ijb") / "meta"
    return folder, write_lists(folder)


def test_every_mode_equals_brute_force_in_one_pass(made, monkeypatch):
    folder, (plain, mirrored) = made
    monkeypatch.setattr(ijb, "CHUNK", 17)  # templates are split over chunks
    seen = []

    def embed(rows):
        seen.append(rows)
        return plain[rows], mirrored[rows]

    results = verify_ijb(embed, read_ijb(str(folder)))
    assert [row for rows in seen for row in range(rows.start, rows.stop)] == list(range(len(plain)))
    assert len({result.verification.auc for result in results}) == 8  # no switch is without effect
    for result in results:
        scores, same, searches = brute_force(folder, plain, mirrored, *result.mode)
        for far in (1e-1, 1e-2):
            assert result.verification.tar_at_far[far] == pytest.approx(tar_at(scores, same, far), abs=1e-6)
        higher = np.mean(scores[same][:, None] > scores[~same])
        assert result.verification.auc == pytest.approx(higher, abs=1e-6)
        for name, search in searches.items():
            assert result.galleries[name].dir_at_far[0.1] == pytest.approx(tpir_at(search, 0.1), abs=1e-6)
        for k in (1, 5):
            hits, known = zip(*(rank(search, k) for search in searches.values()))
            assert result.mean_rank(k) == pytest.approx(sum(hits) / sum(known), abs=1e-6)


def test_mode_names_are_those_of_insightface():
    assert [mode.name for mode in MODES] == [f"N{n}D{d}F{f}" for n in (1, 0) for d in (1, 0) for f in (1, 0)]


def edit(folder, target, name, change):
    """Copy the lists to `target`, with one of them changed."""
    target.mkdir()
    for path in folder.iterdir():
        text = path.read_text()
        (target / path.name).write_text(change(text) if path.name == f"ijbc_{name}" else text)
    return str(target)


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("face_tid_mid.txt", lambda t: t.replace("\n", " 7 7\n", 1), "face_tid_mid.txt: line 1 is"),
        ("name_5pts_score.txt", lambda t: t + t.split("\n")[0] + "\n", r"score.txt: has \d+ images, but .* has \d+"),
        ("name_5pts_score.txt", lambda t: t.split("\n", 1)[1], "score.txt: line 1 is of image"),
        (
            "name_5pts_score.txt",
            lambda t: re.sub(r" [\d.]+\n", "\n", t, count=1),
            "line 1 is .* it must be: image, five",
        ),
        ("name_5pts_score.txt", lambda t: re.sub(r" [\d.]+\n", " nan\n", t, count=1), "line 1 is .* it must be: image"),
        ("1N_gallery_G1.csv", lambda t: t + "999,1\n", r"G1.csv: line 8: there is no template 999 in .*tid_mid.txt"),
        ("1N_gallery_G2.csv", lambda t: re.sub(r",\d+,x\n$", ",77,x\n", t), r"G2.csv: line 13: template \d+ has subj"),
        ("1N_probe_mixed.csv", lambda t: t.replace(",", ";"), "probe_mixed.csv: line 2 is"),
        ("template_pair_label.txt", lambda t: t + "999 4 0\n", "label.txt: there is no template 999"),
        ("template_pair_label.txt", lambda t: re.sub(" 1\n", " 0\n", t), "all pairs have the label 0"),
    ],
)
def test_bad_lists_are_refused_before_anything_is_embedded(made, tmp_path, name, change, message):
    folder = edit(made[0], tmp_path / "meta", name, change)
    with pytest.raises(UserError, match=message):
        verify_ijb(lambda rows: pytest.fail("embedded"), read_ijb(folder))


def test_missing_files_are_named(made, tmp_path):
    folder = tmp_path / "meta"
    edit(made[0], folder, "none", str)
    (folder / "ijbc_1N_gallery_G2.csv").unlink()
    with pytest.raises(UserError, match="ijbc_1N_gallery_G2.csv: no such file; 1:N search needs"):
        read_ijb(str(folder))
    (folder / "ijbc_face_tid_mid.txt").unlink()
    with pytest.raises(UserError, match="contains 0 of ijbb_face_tid_mid.txt and ijbc_face_tid_mid.txt"):
        read_ijb(str(folder))


def test_landmarks_that_do_not_fit_faces_are_refused_before_an_image_is_read(made, tmp_path, capsys):
    lists = read_ijb(str(made[0]))
    wrong = lists._replace(points=lists.points[:, [1, 0, 2, 4, 3]])
    with pytest.raises(UserError, match="5pts_score.txt: the landmarks do not fit faces: .* order looks like mirrored"):
        ijb.embed_ijb(None, wrong, [], False, None, False)
    scattered = lists._replace(points=np.random.RandomState(0).uniform(10, 90, lists.points.shape))
    with pytest.raises(UserError, match="at most 8 are accepted; .* raise `max_residual`"):
        ijb.embed_ijb(None, scattered, [], False, None, False)
    for arguments in ((False, None, False, 99.0), (True, None, False, 0.0)):  # a higher limit; aligned crops
        assert ijb.embed_ijb(None, scattered, [], *arguments)
    assert ijb.embed_ijb(None, lists, [], False, None, False)


def test_command_aligns_and_embeds_the_images(made, tmp_path, capsys):
    lists = read_ijb(str(made[0]))
    symbol = nets.embedding((112, 112))
    nets.save(tmp_path, symbol, *nets.parameters(symbol, (112, 112)))
    random = np.random.RandomState(0)
    (tmp_path / "loose").mkdir()
    (tmp_path / "crops").mkdir()
    crops = []
    for name, points in zip(lists.images, lists.points):
        pixels = random.randint(0, 256, (100, 100, 3), np.uint8)
        crops.append(align(pixels, points)[0])
        for folder, image in (("loose", pixels), ("crops", crops[-1])):
            cv2.imwrite(str(tmp_path / folder / name.replace(".jpg", ".png")), image[..., ::-1])
    report = tmp_path / "ijbc.json"
    command = ["ijb", str(tmp_path), str(made[0])]
    assert main([*command, str(tmp_path / "loose"), "--json", str(report)]) == 0
    printed = capsys.readouterr().out
    assert main([*command, str(tmp_path / "loose"), "--max-residual", "0.1"]) == 2
    assert "at most 0.1 are accepted" in capsys.readouterr().err
    plain, mirrored = load_model(str(tmp_path)).embed_with_flip(crops)
    expected = verify_ijb(lambda rows: (plain[rows], mirrored[rows]), lists)
    saved = json.loads(report.read_text())
    assert saved["set"] == "IJB-C" and saved["modes"] == json.loads(json.dumps([e.to_json() for e in expected]))
    assert re.search(rf"N1D1F1 +{expected[0].verification.tar_at_far[0.01]:.4f} ", printed)
    assert re.search(rf"N0D1F1 +{expected[2 * 2].mean_rank(1):.4f} ", printed)
    assert main([*command, str(tmp_path / "crops"), "--aligned", "--no-flip-test"]) == 0
    printed = capsys.readouterr().out
    assert "F1" not in printed and re.search(rf"N1D1F0 +{expected[1].verification.tar_at_far[0.01]:.4f} ", printed)
    assert main([*command, str(tmp_path / "crops"), "--aligned", "--mode", "N0D1F1", "--mode", "N1D0F0"]) == 0
    printed = capsys.readouterr().out
    assert re.search(rf"N0D1F1 +{expected[4].verification.tar_at_far[0.01]:.4f} ", printed) and "N1D1" not in printed
    assert main([*command, str(tmp_path / "crops"), "--mode", "N0D1F1", "--no-flip-test"]) == 2
    assert "--mode has only modes F1" in capsys.readouterr().err
    (tmp_path / "crops" / lists.images[1].replace(".jpg", ".png")).unlink()
    assert main([*command, str(tmp_path / "crops"), "--aligned"]) == 2
    assert f"1 of its images are not below {tmp_path / 'crops'}: {lists.images[1]} (line 2)" in capsys.readouterr().err
