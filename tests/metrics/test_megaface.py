"""MegaFace: rates equal loops over all pairs, however the distractors arrive, and bad lists are refused."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.protocols.megaface import read_listed_images
from arcface_mx.metrics import megaface
from arcface_mx.metrics.megaface import MegaFace
from arcface_mx.model import load_model
from arcface_mx.util.errors import UserError
from tests.conftest import tiny_image
from tests.support import nets


def slowly(probes, identities, distractors, fars):
    """Rank-1, rank-5 and TAR at FAR by loops in float64."""
    unit, others = (
        rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1)[:, None]
        for rows in (probes, distractors)
    )
    alarms = unit @ others.T
    pairs = [
        (unit[i] @ unit[j], int(np.sum(alarms[j] > unit[i] @ unit[j])))
        for j in range(len(unit))
        for i in range(len(unit))
        if i != j and identities[i] == identities[j]
    ]
    scores, above = map(np.array, zip(*pairs))
    thresholds = np.append(np.unique(np.concatenate([scores, alarms.ravel()])), np.inf)
    tars = [max(np.mean(scores >= t) for t in thresholds if np.mean(alarms >= t) <= far) for far in fars]
    return np.mean(above < 1), np.mean(above < 5), tars


@pytest.mark.parametrize("parts", [1, 7])
def test_rates_equal_loops(monkeypatch, parts):
    monkeypatch.setattr(megaface, "FARS", (0.1, 1e-2, 1e-6))
    monkeypatch.setattr(megaface, "BLOCK", (5, 13))
    random = np.random.RandomState(0)
    identities = random.randint(0, 6, 25)
    probes = (random.randn(6, 8)[identities] + 0.9 * random.randn(25, 8)).astype(np.float32)
    distractors = random.randn(60, 8).astype(np.float32)
    search = MegaFace(probes, identities, len(distractors))
    for part in np.array_split(distractors, parts):
        search.add(part)
    result = search.result()
    rank1, rank5, tars = slowly(probes, identities, distractors, (0.1, 1e-2))
    assert (result.rank[1], result.rank[5]) == (pytest.approx(rank1), pytest.approx(rank5)) and rank1 < rank5 < 1
    assert [result.tar_at_far[far] for far in (0.1, 1e-2)] == pytest.approx(tars)
    assert result.tar_at_far[1e-6] is None  # 1,500 pairs


def test_few_scores_are_kept(monkeypatch):
    monkeypatch.setattr(megaface, "BLOCK", (10, 100))
    random = np.random.RandomState(0)
    search = MegaFace(random.randn(10, 4), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4], 40_000)
    for _ in range(40):
        search.add(random.randn(1000, 4))
    assert sum(map(len, search._alarms)) < 3 * 41 + 1000  # of 400,000
    assert search.result().distractors == 40_000


def test_bad_embeddings_are_refused():
    with pytest.raises(UserError, match="no identity has two images"):
        MegaFace(np.eye(2), ["a", "b"], 5)
    with pytest.raises(UserError, match="none are given"):
        MegaFace(np.eye(2), ["a", "a"], 0)
    with pytest.raises(UserError, match="0 were compared, but 5 were announced"):
        MegaFace(np.eye(2), ["a", "a"], 5).result()


@pytest.fixture
def lists(tmp_path):
    """Images and lists of 4 identities with 3 probes and of 12 distractors, of which some are noisy."""
    names = {"facescrub": [], "megaface": []}
    for identity in range(4):
        for image in range(3):
            names["facescrub"].append((f"p{identity}/p{identity}_{image}.png", identity, image))
    for other in range(12):
        names["megaface"].append((f"a/{other % 3}/{other}.png", 50 + other, 0))
    for kind, rows in names.items():
        for name, identity, image in rows:
            path = tmp_path / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tiny_image(identity, image))
        (tmp_path / f"{kind}_lst").write_text("".join(f"{name}\n" for name, _, _ in rows))
    (tmp_path / "facescrub_noises.txt").write_text("# noise\np0_1.png\n")
    (tmp_path / "megaface_noises.txt").write_text("1\ta/0/3.png\n2\ta/2/5.png\n")
    return tmp_path


def test_command_leaves_noise_out(lists, capsys):
    symbol = nets.embedding((32, 32))
    nets.save(lists, symbol, *nets.parameters(symbol, (32, 32)))
    command = ["megaface", str(lists), str(lists / "facescrub_lst"), str(lists / "megaface_lst"), "--flip", "sum"]
    for kind in ("facescrub", "megaface"):
        command += [f"--{kind}-images", str(lists / kind), f"--{kind}-noises", str(lists / f"{kind}_noises.txt")]
    assert main([*command, "--json", str(lists / "r.json")]) == 0
    saved = json.loads((lists / "r.json").read_text())
    assert (saved["noisy_probes"], saved["noisy_distractors"]) == (1, 2)
    assert (saved["probes"], saved["distractors"], saved["pairs"]) == (11, 10, 2 + 3 * 6)
    probes = read_listed_images(
        str(lists / "facescrub_lst"), str(lists / "facescrub"), str(lists / "facescrub_noises.txt")
    )
    others = read_listed_images(
        str(lists / "megaface_lst"), str(lists / "megaface"), str(lists / "megaface_noises.txt")
    )
    embedder = load_model(str(lists))
    search = MegaFace(embedder.embed(probes.paths, flip=True), probes.identities, 10)
    search.add(embedder.embed(others.paths, flip=True))
    assert saved["rank"] == search.result().to_json()["rank"]
    assert re.search(r"rank-1 +[01]\.\d{4}", capsys.readouterr().out)


def test_bad_lists_are_refused(lists):
    probes, folder = lists / "facescrub_lst", str(lists / "facescrub")
    with pytest.raises(UserError, match="megaface_noises.txt: none of its 2 images is in"):
        read_listed_images(str(probes), folder, str(lists / "megaface_noises.txt"))
    for line, message in (
        ("p0/p0_1.png", "line 13: p0/p0_1.png is listed twice"),
        ("alone.png", "line 13 is 'alone.png'; it must be: folder/image"),
        ("p9/none.png", r"1 of its images are not below .*: p9/none.png \(line 13\)"),
        ("../../x.png", r"1 of its images are not below"),
    ):
        (lists / "bad_lst").write_text(probes.read_text() + line + "\n")
        with pytest.raises(UserError, match=f"bad_lst: {message}"):
            read_listed_images(str(lists / "bad_lst"), folder)
