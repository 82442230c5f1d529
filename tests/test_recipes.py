"""Each recipe is one command with its row's flags; paper.csv and the recipes tell the same."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from arcface_mx.cli.shared.commands import parse
from arcface_mx.config import from_flat, to_flat
from arcface_mx.flags import given_values
from arcface_mx.report import paper

RECIPES = os.path.dirname(paper.default_path())
ROWS = paper.read_rows(paper.default_path())


def command_line(recipe, budget):
    """The flags that a recipe hands to `arcface-mx train`, from bash itself with common.sh's set-up left out."""
    with open(os.path.join(RECIPES, recipe), encoding="utf-8") as stream:
        body = stream.read()
    with open(os.path.join(RECIPES, "lib", "common.sh"), encoding="utf-8") as stream:
        common = stream.read()
    own_schedule = common[common.index("own_schedule() {") : common.index("# Train, verify, export")]
    script = f'train() {{ printf "%s\\n" "$@"; }}\nSTEPS=320\nBUDGET={budget}\n{own_schedule}\n'
    script += body.replace('. "$(dirname "$0")/lib/common.sh"', "")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("row", ROWS, ids=[row.recipe for row in ROWS])
@pytest.mark.parametrize("budget", ["laptop", "paper"])
def test_a_recipe_is_its_row(row, budget):
    values = given_values(parse(["train", *command_line(row.recipe, budget)]))
    assert paper.find_row(from_flat(values), ROWS) is row


@pytest.mark.parametrize("row", ROWS, ids=[row.recipe for row in ROWS])
def test_the_header_names_the_row_and_the_papers_figures(row):
    with open(os.path.join(RECIPES, row.recipe), encoding="utf-8") as stream:
        header = [line for line in stream if line.startswith("# ")]
    assert header[0].startswith(f"# Row: {row.name}.")
    figures = {name: float(value) for name, value in re.findall(r"(LFW|CFP-FP|AgeDB-30|YTF) ([\d.]+\d)", header[1])}
    assert figures == {name: value for name, value in row.figures.items() if value is not None}


def test_paper_settings_are_the_defaults_of_the_trainer():
    """common.sh spells the paper's settings out; config.py's defaults are the same."""
    with open(os.path.join(RECIPES, "lib", "common.sh"), encoding="utf-8") as stream:
        text = stream.read()
    spelled = text[text.index("SETTINGS=(") + len("SETTINGS=(") :]
    values = given_values(parse(["train", *spelled[: spelled.index(")")].split()]))
    values.pop("schedule_batch")
    defaults = to_flat(from_flat({}))
    assert values and all(defaults[name] == value for name, value in values.items())


def test_the_recipes_page_lists_every_row():
    with open(os.path.join(RECIPES, "README.md"), encoding="utf-8") as stream:
        page = stream.read()
    for row in ROWS:
        assert f"| {row.name} | [{row.recipe}]({row.recipe}) |" in page
        assert f"`{row.builder}`" in page


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
