"""`arcface-mx recipe` runs the scripts of recipes/ in any folder, with the Python that it runs in."""

from __future__ import annotations

import os
import sys

import pytest

from arcface_mx.cli import main, recipe
from arcface_mx.report import paper

ROWS = paper.read_rows(paper.default_path())


def test_every_row_is_listed_and_scripts_for_a_checkout_are_not(capsys):
    assert main(["recipe"]) == 0
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert {row.recipe[:-3] for row in ROWS} <= set(listed) and {"toy", "table", "fine_tune"} <= set(listed)
    assert not {"bench", "horovod"} & set(listed)
    assert "Row: ArcFace (0.5). eq. 3" in listed["arcface_m0.50"]


def test_help_shows_the_comments_and_makes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["recipe", "softmax", "--help"]) == 0
    assert "LFW 99.08" in capsys.readouterr().out and not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "name, hint",
    [("cosfac_m0.35", "cosface_m0.35"), ("arcface_m0.5", "arcface_m0.50 or arcface_m0.55"), ("xyz", "")],
)
def test_an_unknown_recipe_is_an_error_that_names_the_nearest(capsys, name, hint):
    assert main(["recipe", name]) == 2
    assert f"there is no recipe {name}{hint and f'; did you mean {hint}?'} (" in capsys.readouterr().err


@pytest.mark.parametrize("line, code", [("exit 7", 7), ("kill -TERM $$", 143), ('[ "$*" = "--a b" ]', 0)])
def test_a_script_runs_here_with_this_python_and_its_exit_code_is_returned(tmp_path, monkeypatch, line, code):
    (tmp_path / "script.sh").write_text(f'pwd >where\necho "$ARCFACE_MX_PYTHON" >python\n{line}\n')
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(recipe, "folder", lambda: str(tmp_path))
    assert recipe.run_script("script.sh", ["--a", "b"]) == code
    assert open("where").read().strip() == str(tmp_path / "here") and open("python").read().strip() == sys.executable


@pytest.mark.slow
def test_a_row_is_trained_and_shown_in_an_empty_folder(tmp_path, monkeypatch, capfd, tiny_faces, tiny_pairs):
    monkeypatch.chdir(tmp_path)
    for name, value in {"DATA": tiny_faces, "EVAL": tiny_pairs, "BUDGET": "laptop", "STEPS": "4"}.items():
        monkeypatch.setenv(name, value)
    flags = "--width 0.07 --embedding-size 8 --batch-size 4 --image-size 32"
    assert main(["recipe", "cosface_m0.35", *flags.split()]) == 0
    shown = capfd.readouterr().out
    assert "CosFace (0.35)" in shown and "step 4/4" in shown
    assert os.listdir(tmp_path) == ["runs"]
    assert main(["recipe", "softmax.sh", "--no-such-flag"]) == 2
