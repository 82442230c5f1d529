"""log.jsonl stays readable whatever happened to the process that wrote it."""

from __future__ import annotations

import json

import pytest

from arcface_mx.train.log import RunLog
from arcface_mx.util.errors import UserError


def events(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("torn", ["", '{"event": "st', "x" * 100_000])
def test_a_torn_last_line_is_cut_off(tmp_path, torn):
    path = tmp_path / "log.jsonl"
    whole = '{"event": "step", "step": 1}\n{"event": "step", "step": 2}\n'
    path.write_text(whole + torn)
    log = RunLog(str(tmp_path), 10, 2)
    log.event("step", step=3)
    log.close()
    assert events(path) == [1, 2, 3]


def test_a_disk_that_takes_no_more_is_said(tmp_path):
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    log = RunLog(str(tmp_path), 10, 0)
    with pytest.raises(UserError, match="log.jsonl: cannot be written .No space left"):
        log.event("step", step=1)
    log.close()
