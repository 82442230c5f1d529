"""The operators are compiled on demand into the cache folder; a failure is one clear line."""

from __future__ import annotations

import os
import shutil

import pytest

from arcface_mx.native import library
from arcface_mx.util.errors import UserError


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCFACE_MX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_missing_compiler_is_one_clear_line(empty_cache, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match="no C\\+\\+ compiler"):
        library.build()


def test_a_compiler_that_fails_is_one_clear_line_and_leaves_no_files(empty_cache, tmp_path, monkeypatch):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'kernels.h:1: error: no such instruction'\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(UserError, match="could not compile the native operators: kernels.h:1: error"):
        library.build()
    assert os.listdir(empty_cache) == []


def test_the_name_of_the_library_changes_with_the_sources(tmp_path, monkeypatch):
    before = library._fingerprint("true", "1.9.1")
    for name in ("margin_loss.cc", "margin_loss.h", "margin.h", "kernels.h"):
        shutil.copy(os.path.join(library.HERE, name), str(tmp_path))
    monkeypatch.setattr(library, "HERE", str(tmp_path))
    assert library._fingerprint("true", "1.9.1") == before
    (tmp_path / "kernels.h").write_text("// changed\n")
    assert library._fingerprint("true", "1.9.1") != before
    assert library._fingerprint("true", "1.9.2") != before
