"""The command line: help without mxnet, one-line errors, flags derived from the configuration."""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys

import pytest

from arcface_mx import config
from arcface_mx.cli import COMMANDS, build_parser, main
from arcface_mx.util.errors import UserError


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "arcface_mx", *arguments], capture_output=True, text=True)


def test_help_lists_every_command_and_loads_no_mxnet():
    code = "import sys; from arcface_mx.cli import build_parser; build_parser().format_help(); print('mxnet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    shown = run("--help").stdout
    for words, _ in COMMANDS:
        assert words.split()[0] in shown


@pytest.mark.parametrize("words", [words for words, _ in COMMANDS])
def test_every_command_has_help_with_a_sentence_on_each_flag(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words.split() + ["--help"])
    assert end.value.code == 0
    parser = build_parser()
    for word in words.split():
        parser = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices[
            word
        ]
    assert all(action.help for action in parser._actions)


def test_an_unknown_flag_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "--margin-rmp", "0.3"])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_users_mistake_is_one_line_without_traceback():
    ended = run("train", "--data", "/nowhere", "--run", "/nowhere/run")
    assert ended.returncode == 2
    assert ended.stderr.startswith("arcface-mx: error: /nowhere") and ended.stderr.count("\n") == 1


def test_every_field_is_a_flag_and_comes_back():
    fields = [entry for group in config.GROUPS.values() for entry in dataclasses.fields(group)]
    assert len({entry.name for entry in fields}) == len(fields)
    values = {
        "lr": 0.25,
        "steps": 7,
        "mirror": False,
        "lr_drops": (3, 5),
        "eval": ("a.bin", "b.bin"),
        "policy": "easy_margin",
    }
    arguments = "--lr 0.25 --steps 7 --no-mirror --lr-drops 3,5 --eval a.bin --eval b.bin --policy easy_margin".split()
    from arcface_mx.flags import given_values

    assert given_values(build_parser().parse_args(["train"] + arguments)) == values


def test_configuration_survives_json():
    import json

    one = config.from_flat({"lr": 0.25, "lr_drops": (3, 5), "freeze": ("a{1,2}",), "devices": "cpu(0),cpu(1)"})
    two = config.from_json(json.loads(json.dumps(config.to_json(one))), "config.json")
    assert one == two


def test_print_config_shows_what_differs(capsys):
    assert main(["train", "--lr", "0.2", "--print-config"]) == 0
    assert capsys.readouterr().out == "--lr 0.2 (default 0.1)\n"


@pytest.mark.parametrize(
    "group, entry, value",
    [
        ("optimizer", "lr_drops", [3, "5"]),
        ("optimizer", "lr_drops", [[3]]),
        ("optimizer", "lr", 10**400),
        ("data", "eval", [1]),
        ("data", "data", "a\0b"),
        ("optimizer", "steps", 1.5),
        ("optimizer", "steps", True),
        ("loss", "scale", "64"),
        ("run", "seed", None),
    ],
)
def test_a_configuration_file_with_values_of_another_kind(group, entry, value):
    stored = config.to_json(config.TrainConfig())
    stored[group][entry] = value
    with pytest.raises(UserError, match=f"config.json: {group}.{entry} is "):
        config.from_json(stored, "config.json")
