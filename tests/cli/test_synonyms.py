"""Flags of other projects are taken or answered as recipes/flags.md says, row by row."""

from __future__ import annotations

import pathlib
import re
import shlex

import pytest

from arcface_mx.cli.shared.commands import build_parser, parse
from arcface_mx.flags import given_values
from arcface_mx.synonyms import FLAG_HINTS, LOSSES, NETWORKS, SAME_FLAGS, SAME_VALUES

PAGE = pathlib.Path(__file__).resolve().parents[2] / "recipes" / "flags.md"
ROW = re.compile(r"^\| `(.+?)` \| (.+?) \| (.+?) \| (same|hint) \|$", re.M)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))


def values(flags):
    words = shlex.split(flags)
    return given_values(parse(["train", *words]))


def test_the_table_has_rows_of_all_projects():
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(lines) == len(ROWS) >= 36
    for project, least in (("InsightFace", 30), ("timm", 15), ("GluonCV", 12)):
        assert sum(project in row[1] for row in ROWS) >= least, project


@pytest.mark.parametrize("there, project, here, answer", ROWS, ids=[row[0].split("=")[0] for row in ROWS])
def test_a_flag_of_another_project(there, project, here, answer, capsys):
    if answer == "same":
        assert values(there) == values(here.strip("`"))
        return
    with pytest.raises(SystemExit) as end:
        parse(["train", *shlex.split(there)])
    message = capsys.readouterr().err
    assert end.value.code == 2 and message.count("\n") == 1
    for text in re.findall(r"`(.+?)`", here) or [here]:
        assert text in message


@pytest.mark.parametrize("flag", sorted(FLAG_HINTS))
def test_a_hint_names_flags_that_exist(flag):
    parser = build_parser("train")
    known = {*parser.known_flags(), "-n", *build_parser("train", ["--loss", "combined"]).known_flags()}
    assert flag not in known
    assert set(re.findall(r"(?<!\w)--?[a-z][\w-]*", FLAG_HINTS[flag])) <= known
    assert parser.hints[flag] == FLAG_HINTS[flag]


def test_words_with_the_same_meaning_are_flags_of_every_loss_and_stand_in_the_table():
    words = {word for row in ROWS for word in row[0].split()}
    assert {flag for flags in SAME_FLAGS.values() for flag in flags} <= words
    assert {*SAME_VALUES, *NETWORKS, *LOSSES} <= words
    known = build_parser("train", ["--loss", "triplet"]).known_flags()
    assert {*SAME_VALUES, *(flag for flags in SAME_FLAGS.values() for flag in flags)} <= set(known)


def test_keys_of_files_with_underscores_get_the_same_hint(capsys):
    with pytest.raises(SystemExit):
        parse(["train", "--num_epoch=20"])
    assert "Write --steps N" in capsys.readouterr().err


def test_python_takes_the_same_names():
    from arcface_mx.keywords import from_keywords

    config = from_keywords("nsoftmax", None, {"network": "r18"})
    assert (config.loss.name, config.network.network) == ("norm_softmax", "iresnet18")
