"""Commands are found by their path, `--help` imports nothing heavy, and errors are one line."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from arcface_mx import config
from arcface_mx.cli import main, with_flags
from arcface_mx.cli.shared.commands import build_parser, commands, parse
from arcface_mx.config import from_flat
from arcface_mx.config_file import read_settings
from arcface_mx.util.errors import UserError


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "arcface_mx", *arguments], capture_output=True, text=True)


def test_help_lists_every_command_and_imports_nothing_heavy():
    code = (
        "import sys; from arcface_mx.cli.shared.commands import help_text; help_text();"
        "print({'mxnet', 'sklearn', 'cv2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
    lines = [line.strip() for line in run("--help").stdout.splitlines()]
    for command in commands():
        assert any(line.startswith(command + "  ") for line in lines), command


def test_the_path_of_a_module_is_the_command():
    known = commands()
    assert known["data check"] == "arcface_mx.cli.data.check" and known["verify-pair"] == "arcface_mx.cli.verify_pair"
    assert not any("shared" in command for command in known)


def test_the_help_of_a_group_lists_its_commands(capsys):
    assert main(["gallery", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "gallery build" in shown and "gallery search" in shown and "train" not in shown
    assert main(["gallery"]) == 2


@pytest.mark.parametrize("words, near", [(["trian", "x"], "train"), (["data", "chek", "--json", "x"], "data check")])
def test_an_unknown_command_names_the_nearest(words, near, capsys):
    assert main(words) == 2
    message = capsys.readouterr().err
    assert f"did you mean {near}?" in message and message.count("\n") == 1


def test_flags_may_depend_on_the_other_words(monkeypatch):
    from arcface_mx.cli import doctor

    def add_arguments(parser, arguments):
        parser.add_argument("--loss")
        if "arcface" in arguments:
            parser.add_argument("--margin", type=float)

    monkeypatch.setattr(doctor, "add_arguments", add_arguments)
    assert parse(["doctor", "--loss", "arcface", "--margin", "0.5"]).margin == 0.5
    with pytest.raises(SystemExit):
        parse(["doctor", "--loss", "softmax", "--margin", "0.5"])


@pytest.mark.parametrize("command", list(commands()))
def test_every_command_has_help_with_a_sentence_on_each_flag(command, capsys):
    with pytest.raises(SystemExit) as end:
        main(command.split() + ["--help"])
    assert end.value.code == 0
    assert all(action.help for action in build_parser(command)._actions)


def test_an_unknown_flag_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "--margin-rmp", "0.3"])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_wrong_input_is_one_line_without_traceback():
    done = run("train", "--data", "/nowhere", "--run", "/nowhere/run")
    assert done.returncode == 2
    assert done.stderr.startswith("arcface-mx: error: /nowhere") and done.stderr.count("\n") == 1


def test_an_argument_in_backticks_is_printed_as_the_flag_of_the_command():
    message = "`batch_size` must be a multiple of 4, got 30; see `no_flag`"
    assert with_flags(message, ["--batch-size"]) == "--batch-size must be a multiple of 4, got 30; see no_flag"


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

    assert given_values(parse(["train", *arguments])) == values


def test_configuration_survives_json():
    import json

    one = config.from_flat({"lr": 0.25, "lr_drops": (3, 5), "freeze": ("a{1,2}",), "devices": "cpu(0),cpu(1)"})
    two = config.from_json(json.loads(json.dumps(config.to_json(one))), "config.json")
    assert one == two


def test_print_config_writes_what_config_reads(capsys, tmp_path):
    assert main(["train", "--lr", "0.2", "--loss", "cosface", "--print-config"]) == 0
    (tmp_path / "run.json").write_text(capsys.readouterr().out)
    assert from_flat(read_settings(str(tmp_path / "run.json"))) == from_flat({"lr": 0.2, "loss": "cosface"})


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
