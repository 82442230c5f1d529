"""recipes/deviations.md is what its generator prints, and the generator follows the configuration."""

from __future__ import annotations

import os
import runpy

import pytest

from arcface_mx import presets
from arcface_mx.report.paper import default_path

SCRIPT = os.path.join(os.path.dirname(default_path()), "lib", "deviations.py")


def test_the_page_is_what_the_generator_prints():
    script = runpy.run_path(SCRIPT)
    with open(script["PAGE"], encoding="utf-8") as stream:
        assert stream.read() == script["page"](), f"run: python {SCRIPT} >{script['PAGE']}"


@pytest.mark.parametrize("name, value, text", [("warmup_steps", 77, "; 77 steps"), ("margin_ramp", 0.9, "over 90%")])
def test_another_setting_gives_another_page(monkeypatch, name, value, text):
    monkeypatch.setitem(presets.PRESETS, "laptop", {**presets.PRESETS["laptop"], name: value})
    assert text in runpy.run_path(SCRIPT)["page"]()


def test_every_line_says_all_five_things():
    lines = runpy.run_path(SCRIPT)["lines"]()
    assert all(all(line) for line in lines) and len({line.setting for line in lines}) == len(lines)
