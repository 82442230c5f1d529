"""The cases of `bench gpu` run on GPUs, and their settings reach what is launched."""

from __future__ import annotations

import pytest

from arcface_mx.bench import gpu_case
from arcface_mx.train import loop
from tests.support.training import TINY


@pytest.fixture
def measure(tmp_path, tiny_faces, recorder, monkeypatch):
    """Measure a case; return its result and what was launched."""
    monkeypatch.setattr(gpu_case, "WARM_UP", 1)
    monkeypatch.setattr(loop, "Guard", loop.Guard)  # restored after the test

    def run(config, **options):
        recorder.reset()
        settings = {**TINY, "data": tiny_faces, "run": str(tmp_path / "run"), "devices": "gpu(0)", **config}
        return gpu_case.measure_steps(settings, steps=1, repetitions=1, **options), recorder.counts()

    return run


@pytest.mark.parametrize("fast", [True, False])
def test_a_form_of_prelu_is_measured(measure, fast):
    _, counts = measure({}, fast_prelu=fast)
    assert any("grouped 1x1" in name for name in counts) == fast


@pytest.mark.parametrize("config", [{"dtype": "float16"}, {"devices": "gpu(0),gpu(1)", "parallel": "centres"}], ids=str)
def test_other_cases_run_and_measure_the_memory(measure, config):
    result, _ = measure(config)
    # In this process earlier tests may have left what the case needs in MXNet's pool.
    assert result["used_bytes"] is not None and result["planned_bytes"] > 0


def test_without_the_guard_a_step_launches_less(measure):
    checked, unchecked = (sum(measure({}, guard=guard)[1].values()) for guard in (True, False))
    assert unchecked < checked
