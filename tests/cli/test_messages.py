"""The library logs its messages, and the command line prints them."""

from __future__ import annotations

import logging

from arcface_mx.cli import doctor, main
from arcface_mx.config import from_flat

RUN = dict(network="iresnet18", width=0.07, embedding_size=8, image_size=32, batch_size=8, scale=8.0, dropout=0.0)


def test_the_log_of_a_run_goes_to_standard_output_and_other_messages_to_standard_error(monkeypatch, capsys):
    def run(args):
        logging.getLogger("arcface_mx.train.log").info("step 1")
        logging.getLogger("arcface_mx.model.load").info("cut at fc1")
        logging.getLogger("arcface_mx.train.log").warning("`json` is %s", "odd")
        logging.getLogger("arcface_mx.train.log").debug("hidden")
        logging.getLogger("arcface_mx.verify.sets").error("set lost")

    monkeypatch.setattr(doctor, "run", run)
    before = logging.getLogger("arcface_mx").handlers[:]
    assert main(["doctor"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "step 1\nwarning: --json is odd\n"
    assert shown.err == "cut at fc1\nset lost\n"
    logger = logging.getLogger("arcface_mx")
    assert (logger.handlers, logger.level, logger.propagate) == (before, logging.NOTSET, True)


def test_the_library_prints_nothing(tiny_faces, tiny_pairs, tmp_path, capfd):
    from arcface_mx.train.run import train

    run = str(tmp_path / "run")
    config = from_flat(dict(RUN, data=tiny_faces, run=run, eval=(tiny_pairs,), steps=5, lr_drops=(4,)))
    assert train(config)["step"] == 5
    assert train(config)["step"] == 5  # finished before
    assert capfd.readouterr() == ("", "")
