"""Each recipe is one command with its row's flags; paper.csv and the recipes tell the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import mxnet as mx
import pytest

from arcface_mx.cli.shared.commands import parse
from arcface_mx.config import from_flat, from_json, to_flat
from arcface_mx.flags import given_values
from arcface_mx.losses import LOSSES, ArcFace
from arcface_mx.losses.graph import training_graph
from arcface_mx.presets import preset_values
from arcface_mx.report import paper
from arcface_mx.report.budgets import Budget, differences, nearest_budget

RECIPES = os.path.realpath(os.path.dirname(paper.default_path()))
ROWS = paper.read_rows(paper.default_path())


def command_line(recipe, budget):
    """The flags that a recipe hands to `arcface-mx train`, from bash itself with common.sh's set-up left out."""
    with open(os.path.join(RECIPES, recipe), encoding="utf-8") as stream:
        body = stream.read()
    with open(os.path.join(RECIPES, "lib", "common.sh"), encoding="utf-8") as stream:
        common = stream.read()
    own_schedule = common[common.index("own_schedule() {") : common.index("# train FLAGS trains")]
    script = f'train() {{ printf "%s\\n" "$@"; }}\nSTEPS=320\nBUDGET={budget}\n{own_schedule}\n'
    script += body.replace('. "$(dirname "$0")/lib/common.sh"', "")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("row", ROWS, ids=[row.recipe for row in ROWS])
@pytest.mark.parametrize("budget", ["laptop", "paper"])
def test_a_recipe_is_its_row(row, budget):
    values = given_values(parse(["train", *command_line(row.recipe, budget)]))
    assert paper.find_row(from_flat(values), ROWS) is row


def whole_commands(budget, steps, rows, extra=""):
    """All flags that the recipes of `rows` hand to `arcface-mx train`, with the settings of their budget."""
    with open(os.path.join(RECIPES, "lib", "common.sh"), encoding="utf-8") as stream:
        common = stream.read()
    shared = common[common.index("# own_schedule STEPS") : common.index("# train FLAGS trains")]
    script = f'train() {{ echo "${{SETTINGS[@]}}" "$@"; }}\nSTEPS={steps}\nBUDGET={budget}\n{shared}\nset -- {extra}\n'
    for row in rows:
        with open(os.path.join(RECIPES, row.recipe), encoding="utf-8") as stream:
            script += stream.read().replace('. "$(dirname "$0")/lib/common.sh"', "") + "\n"
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def resolved(words):
    """The configuration that `arcface-mx train` makes of flags with a preset."""
    args = parse(["train", *words])
    values = given_values(args)
    preset = preset_values(args.preset, LOSSES[values["loss"]], values)
    return from_flat({**preset, **values})


@pytest.mark.parametrize("budget, steps", [("paper", 0), ("laptop", 1150), ("laptop", 700), ("photographs", "")])
def test_a_run_of_a_recipe_has_the_settings_of_its_row(budget, steps):
    expected_steps = {"": 7200}.get(steps, steps)
    for row, words in zip(ROWS, whole_commands(budget, steps, ROWS)):
        config = resolved(words)
        assert nearest_budget(config, row) == Budget(budget, expected_steps), row.recipe
        assert differences(config, row, Budget(budget, expected_steps)) == {}, row.recipe


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 7, 13, 100])
def test_recipes_run_at_any_number_of_steps(steps):
    for row, words in zip(ROWS, whole_commands("laptop", steps, ROWS)):
        config = resolved(words)
        assert config.optimizer.steps == steps and all(0 < drop < steps for drop in config.optimizer.lr_drops)
        assert differences(config, row, Budget("laptop", steps)) == {}, row.recipe


@pytest.mark.parametrize("budget", ["paper", "laptop"])
def test_every_margin_recipe_takes_literal(budget):
    rows = [row for row in ROWS if row.builder == "margin_logits"]
    assert len(rows) == 14
    for words in whole_commands(budget, 100, rows, "--literal"):
        loss = resolved(words).loss
        assert loss.literal and loss.margin_ramp == 0.0 and loss.policy == "none"
        training_graph(mx.sym.Variable("data", shape=(4, 8)), loss, 5)


@pytest.mark.parametrize("row", ROWS, ids=[row.recipe for row in ROWS])
def test_the_header_names_the_row_and_the_papers_figures(row):
    with open(os.path.join(RECIPES, row.recipe), encoding="utf-8") as stream:
        header = [line for line in stream if line.startswith("# ")]
    assert header[0].startswith(f"# Row: {row.name}.")
    figures = {name: float(value) for name, value in re.findall(r"(LFW|CFP-FP|AgeDB-30|YTF) ([\d.]+\d)", header[1])}
    assert figures == {name: value for name, value in row.figures.items() if value is not None}


# Section 3.1 of the paper and, where it is silent, the released code.
PAPER_SETTINGS = {
    "loss": "arcface",
    "m": 0.5,
    "scale": 64.0,
    "network": "iresnet50",
    "embedding_size": 512,
    "dropout": 0.4,
    "image_size": 112,
    "batch_size": 512,
    "lr": 0.1,
    "lr_drops": (20000, 28000),
    "steps": 32000,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "mirror": True,
}


def test_the_papers_settings_are_the_defaults_and_the_paper_budget():
    defaults = to_flat(from_flat({}))
    assert {name: defaults[name] for name in PAPER_SETTINGS} == PAPER_SETTINGS
    assert preset_values("paper", ArcFace) == {"schedule_batch": 512, "eval_every": 2000}
    with open(os.path.join(RECIPES, "lib", "common.sh"), encoding="utf-8") as stream:
        assert "SETTINGS=(--preset paper)" in stream.read()


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_takes_the_laptop_preset(loss):
    values = preset_values("laptop", LOSSES[loss])
    config = from_flat({"loss": loss, **values})
    assert config.optimizer.steps == 1150 and config.data.image_size == 32
    assert getattr(config.loss, "scale", 32.0) == 32.0 and getattr(config.loss, "margin_ramp", 0.4) in (0.4, 0.0)


def test_the_recipes_page_lists_every_row():
    with open(os.path.join(RECIPES, "README.md"), encoding="utf-8") as stream:
        page = stream.read()
    for row in ROWS:
        assert f"| {row.name} | [{row.recipe}]({row.recipe}) |" in page
        assert f"`{row.builder}`" in page


def print_config(tmp_path, recipe, *flags, **variables):
    """What a recipe prints with --print-config, from a Python without any package. Nothing may appear on the disk."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHON": sys.executable,
        "PYTHONNOUSERSITE": "1",
        "HOME": str(tmp_path),
        "VENV": str(tmp_path / "venv"),
        "ARCFACE_MX_CACHE": str(tmp_path / "cache"),
        **variables,
    }
    command = [os.path.join(RECIPES, recipe), "--print-config", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert os.listdir(tmp_path) == []
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["arcface_m0.50.sh", "sphereface.sh", "ns_intra_inter.sh"])
def test_a_recipe_prints_its_configuration_and_makes_nothing(recipe, tmp_path):
    printed = print_config(tmp_path, recipe, "--seed", "7", SEED="3")
    config = from_json(printed, recipe)
    assert paper.find_row(config, ROWS).recipe == recipe
    assert config.run.seed == 7 and config.optimizer.steps == 1150 and config.run.run.endswith("-rendered-seed3")
    assert config.data.data == str(tmp_path / "cache" / "rendered-650x16-seed0") and len(config.data.eval) == 4


@pytest.mark.slow
def test_fine_tuning_prints_its_configuration(tmp_path):
    printed = print_config(tmp_path, "fine_tune.sh", MODEL="model,0", DATA="faces")
    assert printed["run"]["init"] == "model,0" and printed["optimizer"]["lr_mult"] == ["^(?!fc7)=0.0003"]
    assert printed["loss"]["margin_ramp"] == 0.5 and printed["network"]["freeze_batchnorm"]


@pytest.mark.slow
@pytest.mark.parametrize("network", ["iresnet50", "iresnet100"])
def test_the_papers_large_runs_have_its_schedule(network, tmp_path):
    printed = print_config(tmp_path, f"ms1mv2_r{network[7:]}.sh", DATA="/data/faces_emore")
    optimizer, network_settings = printed["optimizer"], printed["network"]
    assert (optimizer["steps"], optimizer["lr_drops"]) == (180_000, [100_000, 160_000])
    assert (network_settings["network"], network_settings["dropout"]) == (network, 0.4)
    assert (printed["loss"]["name"], printed["loss"]["m"], printed["loss"]["scale"]) == ("arcface", 0.5, 64.0)
    assert (printed["data"]["batch_size"], optimizer["schedule_batch"], printed["run"]["eval_every"]) == (
        512,
        512,
        2000,
    )


def test_a_recipe_that_does_not_exist_is_one_line_with_the_nearest():
    command = [os.path.join(RECIPES, "table.sh"), "--rows", "arcfacem", "--seeds", "0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "no recipe recipes/arcfacem.sh; near it: " in done.stderr and "arcface_m0.50.sh" in done.stderr


def test_fine_tuning_verifies_before_and_after_on_the_same_set():
    with open(os.path.join(RECIPES, "fine_tune.sh"), encoding="utf-8") as stream:
        body = stream.read().replace('. "$(dirname "$0")/lib/common.sh"', "")
    script = 'arcface() { printf "%s\\n" "$*"; }\nMODEL=model,0 DATA=faces RUN=runs/x SEED=1\n' + body.replace(
        '"$@"', "--steps 3"
    )
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    _, before, training = done.stdout.splitlines()
    assert before == "verify model,0 faces/held_out.bin"
    values = given_values(parse(training.split()))
    assert values["eval"] == ("faces/held_out.bin",) and values["init"] == "model,0" and values["network"] == "init"
    assert from_flat(values).optimizer.steps == 3
