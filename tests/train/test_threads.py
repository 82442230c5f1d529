"""The number of threads of a run: measured, kept, given; the timing of steps leaves no trace."""

from __future__ import annotations

import json
import os

import pytest

from arcface_mx.train import threads as chosen
from arcface_mx.train.folder import read_config
from arcface_mx.train.run import train
from arcface_mx.train.threads import SlowdownDetector
from arcface_mx.util import threads
from tests.support.training import assert_same, events, final, interrupt_after, tiny


def record(config):
    """Threads in environment.json and config.json."""
    with open(os.path.join(config.run.run, "environment.json"), encoding="utf-8") as stream:
        return json.load(stream)["threads"], read_config(config.run.run).run.threads


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"head": "auto", "dropout": 0.4}, {"parallel": "centres"}])
def test_timed_steps_change_no_bit(tmp_path, tiny_faces, two_cores, monkeypatch, settings):
    """Parameters, momentum, BatchNorm's statistics and dropout are those of a run with the number given."""
    if settings.get("parallel"):
        settings["devices"] = "cpu(0),cpu(1)"
    monkeypatch.setattr(chosen, "fastest", lambda times: 2)
    for count in (1, 2):
        train(tiny(tmp_path, tiny_faces, f"given{count}", steps=4, threads=count, **settings))
    measured = tiny(tmp_path, tiny_faces, "measured", steps=4, **settings)
    train(measured)
    assert record(measured) == ("2", 2)
    two, one = (final(tiny(tmp_path, tiny_faces, f"given{count}", **settings)) for count in (2, 1))
    assert_same(two, final(measured))
    with pytest.raises(AssertionError):
        assert_same(one, two)  # else the test shows nothing


@pytest.mark.slow
def test_a_resumed_run_keeps_the_number_that_was_measured(tmp_path, tiny_faces, two_cores, monkeypatch):
    config = tiny(tmp_path, tiny_faces, steps=4)
    monkeypatch.setattr(chosen, "_times", lambda run: {1: 0.1, 2: 0.2})
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    monkeypatch.setattr(chosen, "_times", lambda run: pytest.fail("measured again"))
    train(config)
    assert record(config) == ("1", 1) and threads.num_threads() == 1
    assert not any("threads" in event["text"] for event in events(config, "warning"))


@pytest.mark.slow
def test_a_number_given_on_resume_is_taken_and_kept(tmp_path, tiny_faces, two_cores, monkeypatch):
    config = tiny(tmp_path, tiny_faces, steps=6, threads=2)
    for steps, threads_now in ((2, 2), (2, 1)):
        with monkeypatch.context() as patch:
            interrupt_after(patch, steps)
            with pytest.raises(KeyboardInterrupt):
                train(tiny(tmp_path, tiny_faces, steps=6, threads=threads_now))
    train(tiny(tmp_path, tiny_faces, steps=6))
    assert threads.num_threads() == 1
    texts = [event["text"] for event in events(config, "warning")]
    assert sum("threads was '2' when the run began, is '1' now" in text for text in texts) == 2


def test_the_flag_the_file_and_the_folder_give_the_number(tmp_path, tiny_faces):
    from arcface_mx.cli.shared.commands import build_parser, split_command
    from arcface_mx.cli.train import configuration

    run = str(tmp_path / "run")
    train(tiny(tmp_path, tiny_faces, steps=1, threads=1))

    def number(*words):
        command, rest = split_command(["train", *words])
        return configuration(build_parser(command, rest).parse_args(rest)).run.threads

    assert number("--config", os.path.join(run, "config.json")) == 1  # the same numbers again
    assert number("--config", os.path.join(run, "config.json"), "--threads", "auto") == 0
    assert number("--resume", run) == 0  # its environment.json tells the number
    assert number("--resume", run, "--threads", "3") == 3


def test_a_run_that_became_slow_is_named_with_a_cure_that_helps():
    def detector(count, others, seconds=4.0):
        found = SlowdownDetector(count, lambda: others)
        for step in [9.0, *[1.0] * 10, *[seconds] * 10]:
            found.add(step)
        return found

    two = detector(2, 1.5)
    text = two.look()
    assert "4.0 times slower than it began: other processes use this machine" in text and "`threads` 1" in text
    assert two.look() == ""  # once
    assert detector(2, 1.5, 2.5).look() == ""
    for count in (0, 1):  # nothing to change
        assert "other processes" in detector(count, 1.5).look() and "`threads`" not in detector(count, 1.5).look()
    assert "30 % of the time is waiting for images" in detector(2, 0.0).look(0.3)
    assert SlowdownDetector(2, lambda: 2.0).look() == ""  # too few steps
