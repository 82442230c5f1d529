"""Code in the cache folder is run only if nobody else could have written it."""

from __future__ import annotations

import os
import time

import pytest

from arcface_mx.util.errors import UserError
from arcface_mx.util.private import is_private, make_private, refuse_foreign, remove_unused

OTHER = 12345  # a user and a group that this process is not in

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    (folder / "numba" / "kernels").mkdir(parents=True)
    (folder / "numba" / "kernels" / "index").write_text("code")
    return folder


def test_a_folder_of_this_user_is_accepted(cache):
    refuse_foreign(str(cache / "numba"))
    refuse_foreign(str(cache / "numba" / "kernels" / "index"))


@pytest.mark.parametrize("part", [".", "numba", "numba/kernels", "numba/kernels/index"])
def test_what_everybody_may_write_is_refused(cache, part):
    os.chmod(str(cache / part), 0o777)
    with pytest.raises(UserError, match=f"{cache / part}: everybody may write to it, so code .* is not run; take"):
        refuse_foreign(str(cache / "numba"))


@needs_root
@pytest.mark.parametrize("part", [".", "numba", "numba/kernels", "numba/kernels/index"])
def test_what_belongs_to_others_is_refused(cache, part):
    os.chown(str(cache / part), OTHER, OTHER)
    with pytest.raises(UserError, match=f"{cache / part}: belongs to user {OTHER}"):
        refuse_foreign(str(cache / "numba"))


@needs_root
def test_what_another_group_may_write_is_refused(cache):
    os.chown(str(cache), 0, OTHER)
    os.chmod(str(cache), 0o775)
    with pytest.raises(UserError, match=f"the group {OTHER} may write to it"):
        refuse_foreign(str(cache / "numba"))
    os.chown(str(cache), 0, 0)
    refuse_foreign(str(cache / "numba"))


@needs_root
def test_a_sticky_folder_is_accepted_above_but_not_what_others_planted_in_it(cache):
    os.chmod(str(cache), 0o1777)
    refuse_foreign(str(cache / "numba"))
    os.chown(str(cache / "numba"), OTHER, OTHER)
    with pytest.raises(UserError, match="belongs to user"):
        refuse_foreign(str(cache / "numba"))


def test_a_link_in_a_folder_is_refused(cache, tmp_path):
    (cache / "numba" / "kernels" / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="linked: is a link"):
        refuse_foreign(str(cache / "numba"))


def test_a_folder_that_only_its_owner_may_open_protects_its_content(cache):
    os.chmod(str(cache / "numba" / "kernels"), 0o777)
    assert not is_private(str(cache / "numba"))
    os.chmod(str(cache / "numba"), 0o700)
    assert is_private(str(cache / "numba"))


def test_a_new_folder_is_closed_to_the_group_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        make_private(str(tmp_path / "a" / "b"), 0o700)
        make_private(str(tmp_path / "c"))
    finally:
        os.umask(before)
    assert [os.stat(str(tmp_path / name)).st_mode & 0o777 for name in ("a", "a/b", "c")] == [0o755, 0o700, 0o755]


def test_entries_without_use_for_30_days_are_removed(cache):
    (cache / "native-old.so").write_text("")
    (cache / "native-new.so").write_text("")
    (cache / "orl").mkdir()
    now, day = time.time(), 24 * 3600
    for name, days in (("native-old.so", 31), ("native-new.so", 29), ("orl", 31), ("numba", 31)):
        os.utime(str(cache / name), (now - days * day, now - days * day))
    remove_unused(str(cache), "native-")
    assert sorted(os.listdir(str(cache))) == ["native-new.so", "numba", "orl"]
    remove_unused(str(cache), "numba")
    assert sorted(os.listdir(str(cache))) == ["native-new.so", "orl"]
