"""The operators are compiled on demand into the cache folder; a failure is one clear line."""

from __future__ import annotations

import os
import shutil
import time

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


def test_a_planted_library_is_not_loaded(empty_cache, monkeypatch):
    """A folder in which everybody may write could hold anybody's code under the expected name."""
    empty_cache.mkdir()
    monkeypatch.setattr(library, "_fingerprint", lambda compiler, version: "0123456789abcdef")
    planted = empty_cache / "native-0123456789abcdef.so"
    planted.write_bytes(b"code")
    assert library.build() == str(planted)  # nobody else could have written it
    empty_cache.chmod(0o777)
    with pytest.raises(UserError, match="cache: everybody may write to it, so code .*native-0123456789abcdef.so"):
        library.build()


def test_a_new_library_takes_the_place_of_unused_ones_only(empty_cache, tmp_path, monkeypatch):
    empty_cache.mkdir()
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\nfor last; do :; done\n: > $last\n")  # writes the file that -o names
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    for name, age in (("native-old.so", 40), ("native-recent.so", 2), ("numba-old", 40)):
        (empty_cache / name).write_bytes(b"")
        os.utime(str(empty_cache / name), (time.time() - age * 24 * 3600,) * 2)
    built = os.path.basename(library.build())
    assert sorted(os.listdir(str(empty_cache))) == sorted([built, "native-recent.so", "numba-old"])
