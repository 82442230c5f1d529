"""Image files are found in folders and in lists, in the same order on every machine."""

from __future__ import annotations

import os

import pytest

from arcface_mx.data.image_files import images_by_identity, list_images, other_files
from arcface_mx.util.errors import UserError


def test_published_lists_are_read(images):
    (images / "s1" / "note.txt").write_text("not an image")
    expected = [["s1/9.jpg", "s1/10.jpg"], ["s2/9.jpg"]]
    for text in (
        "s2/9.jpg\tB\n# a comment\n\ns1/10.jpg\tA\ns1/9.jpg\tA\n",
        "0\t1.000000\ts2/9.jpg\n1\t0.000000\ts1/9.jpg\n2\t0.000000\ts1/10.jpg\n",
        "1\ts2/9.jpg\t7\n1\ts1/9.jpg\t3\n1\ts1/10.jpg\t3\n",
    ):
        path = images / "list.lst"
        path.write_text(text)
        groups = images_by_identity(str(path))
        assert [[os.path.relpath(p, str(images)) for p in paths] for paths in groups.paths] == expected
    for text, message in (
        ("s1/9.jpg", "line 1: expected"),
        ("s1/9.jpg\tA\nx.jpg\tA", "line 2: there is no file"),
        ("", "is empty"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            images_by_identity(str(path))


def test_folders_without_images_are_refused(tmp_path):
    for message in ("no such file or folder", "no sub-folder contains an image"):
        with pytest.raises(UserError, match=message):
            images_by_identity(str(tmp_path / "images"))
        (tmp_path / "images" / "empty").mkdir(parents=True, exist_ok=True)


def test_each_folder_is_visited_once(images):
    """Links in a circle made names of 40 levels, and a linked copy of an identity another identity."""
    (images / "s1" / "up").symlink_to(images)
    (images / "a linked copy").symlink_to(images / "s1")
    (images / "s2" / "dangling").symlink_to(images / "nowhere")
    groups = images_by_identity(str(images))
    assert groups.names == ["s1", "s2", "s10"] and [len(paths) for paths in groups.paths] == [3, 2, 1]
    assert list_images(str(images)) == ["s1/9.jpg", "s1/10.jpg", "s1/11.jpg", "s2/9.jpg", "s2/10.jpg", "s10/9.jpg"]


def test_images_of_formats_that_are_not_read_are_listed(images):
    for name in ("s1/IMG_1.HEIC", "s1/a.gif", "s1/b.tif", "s1/note.txt", "align.csv", "other.csv"):
        (images / name).write_bytes(b"")
    assert {"s1/IMG_1.HEIC", "s1/a.gif", "s1/b.tif"} < set(list_images(str(images)))
    assert other_files(str(images)) == ["align.csv", "other.csv", "s1/note.txt"]
    skipped = images_by_identity(str(images)).skipped
    assert [os.path.basename(path) for path in skipped] == ["other.csv", "note.txt"]
