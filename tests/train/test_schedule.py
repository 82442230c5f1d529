"""The clock of a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.config import OptimizerConfig
from arcface_mx.losses import ArcFace, ASoftmax
from arcface_mx.train.schedule import Schedule


def schedule(batch_size=512, **values):
    return Schedule.of(OptimizerConfig(**values), batch_size)


def test_the_defaults_are_the_papers_schedule():
    paper = schedule()
    assert (paper.steps, paper.images_a_step) == (32000, 512)
    rates = [paper.lr_at(step) for step in (0, 19999, 20000, 27999, 28000, 31999)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


@given(batch=st.sampled_from([64, 128, 256, 512, 1024]), accumulate=st.sampled_from([1, 2, 4]))
def test_images_seen_do_not_depend_on_the_batch(batch, accumulate):
    one = schedule(batch_size=batch, accumulate=accumulate, schedule_batch=512, warmup_steps=1000)
    assert one.steps * one.images_a_step == 32000 * 512
    assert one.lr == pytest.approx(0.1 * batch * accumulate / 512)
    assert one.drops[0] * one.images_a_step == 20000 * 512
    assert one.warmup * one.images_a_step == 1000 * 512


def test_warmup_grows_to_the_full_rate():
    rates = [schedule(warmup_steps=4).lr_at(step) for step in range(6)]
    assert rates == sorted(rates) and rates[0] == pytest.approx(0.02) and rates[4] == rates[5] == 0.1


def test_cosine_falls_from_the_full_rate_to_zero():
    cosine = schedule(lr_schedule="cosine", steps=100, warmup_steps=10)
    rates = [cosine.lr_at(step) for step in range(10, 101)]
    assert rates[0] == 0.1 and rates[-1] == pytest.approx(0.0) and rates == sorted(rates, reverse=True)


def test_margin_ramp_reaches_one_and_stays():
    shares = [ArcFace(margin_ramp=0.3).scheduled(step, 100)["margin_ramp"] for step in range(100)]
    assert shares[0] == 0.0 and shares[15] == pytest.approx(0.5) and set(shares[30:]) == {1.0}
    assert ArcFace().scheduled(0, 100) == {"margin_ramp": 1.0} and ArcFace().scheduled_names == ()


def test_lambda_follows_the_papers_iterations_whatever_the_batch():
    loss = ASoftmax()
    for step, factor in ((0, 1.0), (100, 1.0), (50, 2.0), (10**6, 1.0)):
        expected = max(5.0, 1000.0 / (1.0 + 0.12 * step * factor))
        assert loss.scheduled(step, 28000, factor) == {"lambda": pytest.approx(expected)}
