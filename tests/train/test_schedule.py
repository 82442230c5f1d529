"""The clock of a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.config import from_flat
from arcface_mx.train.schedule import Schedule


def schedule(**values):
    return Schedule.of(from_flat(values))


def test_the_defaults_are_the_papers_schedule():
    paper = schedule()
    assert (paper.steps, paper.images_a_step) == (32000, 512)
    rates = [paper.lr_at(step) for step in (0, 19999, 20000, 27999, 28000, 31999)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


@given(batch=st.sampled_from([64, 128, 256, 512, 1024]), accumulate=st.sampled_from([1, 2, 4]))
def test_images_seen_do_not_depend_on_the_batch(batch, accumulate):
    one = schedule(batch_size=batch, accumulate=accumulate, schedule_batch=512)
    assert one.steps * one.images_a_step == 32000 * 512
    assert one.lr == pytest.approx(0.1 * batch * accumulate / 512)
    assert one.drops[0] * one.images_a_step == 20000 * 512


def test_warmup_grows_to_the_full_rate():
    rates = [schedule(warmup_steps=4).lr_at(step) for step in range(6)]
    assert rates == sorted(rates) and rates[0] == pytest.approx(0.02) and rates[4] == rates[5] == 0.1


def test_cosine_falls_from_the_full_rate_to_zero():
    cosine = schedule(lr_schedule="cosine", steps=100, warmup_steps=10)
    rates = [cosine.lr_at(step) for step in range(10, 101)]
    assert rates[0] == 0.1 and rates[-1] == pytest.approx(0.0) and rates == sorted(rates, reverse=True)


def test_margin_ramp_reaches_one_and_stays():
    ramp = schedule(steps=100, lr_drops=(50,), margin_ramp=0.3)
    shares = [ramp.margin_ramp_at(step) for step in range(100)]
    assert shares[0] == 0.0 and shares[15] == pytest.approx(0.5) and set(shares[30:]) == {1.0}
    assert schedule().margin_ramp_at(0) == 1.0
