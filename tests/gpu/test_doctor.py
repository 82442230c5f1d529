"""`doctor --gpu` on the stand-in: what needs no kernel is fine, and wrong numbers are found."""

from __future__ import annotations

import pytest

from arcface_mx.doctor.children import run_probe


@pytest.mark.parametrize(
    "name, words", [("libraries", "cuDNN"), ("driver", "7.0"), ("fusion", "fused"), ("count", "2")]
)
def test_libraries_driver_and_cards_are_seen(name, words):
    finding = run_probe(name)
    assert finding.ok and words in finding.text


@pytest.mark.parametrize("name", ["head", "arcface", "dropout", "resume", "float16"])
def test_a_card_that_computes_nothing_fails_the_probe(name):
    finding = run_probe(name, "gpu(0)")
    assert finding.ok is False and finding.remedy and "the probe failed" not in finding.text


def test_the_memory_of_the_card_is_planned():
    assert "GB free" in run_probe("memory", "gpu(1)").text
