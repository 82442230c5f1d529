"""Fixtures of the tests that start several processes."""

from __future__ import annotations

import pytest

from tests.support.launching import write_faces


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """Folder of a face set whose images fit into one batch."""
    return write_faces(str(tmp_path_factory.mktemp("forty") / "faces"))


@pytest.fixture
def fake_ssh(tmp_path):
    """A program that notes the host in `hosts-seen`, and runs the line on this machine."""
    program = tmp_path / "ssh"
    program.write_text(
        f'#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\necho "$2" >> "{tmp_path}/hosts-seen"\nexec sh -c "$3"\n'
    )
    program.chmod(0o755)
    return str(program)
