"""Archives give the same face set as a folder with the same images, and bad archives leave nothing behind."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import zipfile

import pytest

from arcface_mx.cli import main
from arcface_mx.data.image_files import natural_key
from arcface_mx.data.pack.encode import PackOptions
from arcface_mx.data.pack.pack import pack_images
from arcface_mx.util.errors import UserError
from tests.support.face_sets import jpeg, read_bytes

FILES = ("train.rec", "train.idx", "property", "names.txt")


def paths_of(images):
    """(relative path, bytes) of all files below a folder."""
    found = [os.path.join(place, name) for place, _, names in os.walk(images) for name in names]
    found.sort(key=natural_key)
    return [(os.path.relpath(path, images).replace(os.sep, "/"), read_bytes(path)) for path in found]


def write_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return str(path)


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as container:
        for name, content in members:
            container.writestr(name, content)
    return str(path)


@pytest.fixture
def expected(images, tmp_path):
    pack_images(str(images), str(tmp_path / "expected"), PackOptions())
    return tmp_path / "expected"


def assert_equal_sets(first, second):
    for name in FILES:
        assert read_bytes(str(first / name)) == read_bytes(str(second / name)), name


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip", "nested.tar", "shards"])
def test_archive_gives_the_bytes_of_a_folder(images, expected, tmp_path, kind):
    members = paths_of(images)
    if kind == "zip":
        source = write_zip(tmp_path / "faces.zip", members[::-1])
    elif kind == "shards":
        (tmp_path / "shards").mkdir()
        (tmp_path / "shards" / "README.md").write_text("two parts")
        write_tar(tmp_path / "shards" / "a.tar", members[:3])
        write_zip(tmp_path / "shards" / "b.zip", members[3:])
        source = str(tmp_path / "shards")
    else:
        top = "data/./images/" if kind == "nested.tar" else "./"
        mode = "w:gz" if kind == "tar.gz" else "w"
        source = write_tar(tmp_path / f"faces.{kind}", [(top + name, content) for name, content in members], mode)
    assert main(["data", "pack", source, str(tmp_path / "out" / "set")]) == 0
    assert_equal_sets(tmp_path / "out" / "set", expected)
    assert os.listdir(str(tmp_path / "out")) == ["set"]  # nothing of the archive is left
    summary = json.loads((tmp_path / "out" / "set" / "pack.json").read_text())
    assert summary["source"] == os.path.basename(source)


def test_webdataset_takes_labels_from_cls(images, expected, tmp_path):
    members = []
    for number, (name, content) in enumerate(m for m in paths_of(images) if m[0].endswith(".jpg")):
        key = f"{number:06d}"
        members += [(f"{key}.jpg", content), (f"{key}.cls", name.split("/")[0].encode())]
    pack_images(write_tar(tmp_path / "w.tar", members), str(tmp_path / "set"), PackOptions())
    assert_equal_sets(tmp_path / "set", expected)


@pytest.mark.parametrize("form", ["struct", "binary"])
def test_parquet_gives_the_bytes_of_a_folder(images, expected, tmp_path, form):
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        pytest.skip("needs pyarrow: pip install 'pyarrow<22'")
    rows = [m for m in paths_of(images) if m[0].endswith(".jpg")]
    contents = [content for _, content in rows]
    column = [{"bytes": content, "path": None} for content in contents] if form == "struct" else contents
    (tmp_path / "parts").mkdir()
    for part, span in enumerate((slice(0, 4), slice(4, None))):
        table = pyarrow.table({"image": column[span], "person": [name.split("/")[0] for name, _ in rows][span]})
        parquet.write_table(table, str(tmp_path / "parts" / f"train-{part}.parquet"))
    command = ["data", "pack", str(tmp_path / "parts"), str(tmp_path / "set")]
    assert main([*command, "--label-column", "person"]) == 0
    assert_equal_sets(tmp_path / "set", expected)
    with pytest.raises(UserError, match="train-0.parquet: has the columns image, person; one with images"):
        pack_images(str(tmp_path / "parts"), str(tmp_path / "other"), PackOptions())
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(UserError, match="bad.parquet: cannot be read"):
        pack_images(str(tmp_path / "bad.parquet"), str(tmp_path / "other"), PackOptions())
    assert not (tmp_path / "other").exists()


def test_parquet_without_pyarrow_is_one_clear_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    assert main(["data", "pack", str(tmp_path / "x.parquet"), str(tmp_path / "set")]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and "x.parquet: parquet files need pyarrow; run: pip install 'pyarrow<22'" in error[0]


def encrypted(path):
    """A zip file whose entry says that it is encrypted."""
    write_zip(path, [("p/1.jpg", jpeg(0))])
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda p: write_tar(p / "a.tar", [("1.jpg", b"x")]), "a.tar: 1.jpg has no identity"),
        (lambda p: write_tar(p / "a.tar", [("../p/1.jpg", b"x"), ("q/2.jpg", b"x")]), "a.tar: '../p/1.jpg' cannot be"),
        (lambda p: write_tar(p / "a.tar", [("1.jpg", b"x"), ("1.cls", b"../q")]), "cannot be the name of a file"),
        (lambda p: write_zip(p / "a.zip", [("p\\..\\q/1.jpg", b"x")]), "cannot be the name of a file"),
        (lambda p: write_tar(p / "a.tar", [("p/1.jpg", b"x"), ("p/1.jpg", b"y")]), "a.tar: contains p/1.jpg twice"),
        (lambda p: write_tar(p / "a.tar", [("p/1.jpg", b"x"), ("p/2.jpg", jpeg(0))]), r"a.tar/p/1.jpg: .* decoded"),
        (lambda p: write_tar(p / "a.tar", [("p/notes.txt", b"x")]), "a.tar: no sub-folder contains an image"),
        (lambda p: encrypted(p / "a.zip"), "a.zip: cannot be read: .*encrypted"),
    ],
)
def test_bad_archives_are_refused_and_leave_nothing(tmp_path, make, message):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=message):
        pack_images(make(tmp_path / "in"), str(tmp_path / "out" / "set"), PackOptions())
    assert not os.listdir(str(tmp_path / "out"))


def test_cut_archives_are_refused(images, tmp_path):
    members = [m for m in paths_of(images) if m[0].endswith(".jpg")]
    for name, write in (("a.tar", write_tar), ("a.zip", write_zip)):
        content = read_bytes(write(tmp_path / name, members))
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(UserError, match=f"{name}: cannot be read"):
            pack_images(str(tmp_path / name), str(tmp_path / "set"), PackOptions())
    assert sorted(os.listdir(str(tmp_path))) == ["a.tar", "a.zip", "images"] or not (tmp_path / "set").exists()


def test_an_image_larger_than_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("arcface_mx.data.pack.archives.MAX_BYTES", 100)
    for source in (
        write_tar(tmp_path / "a.tar", [("p/1.jpg", b"x" * 101)]),
        write_zip(tmp_path / "a.zip", [("p/1.jpg", b"x" * 101)]),
    ):
        with pytest.raises(UserError, match="p/1.jpg has 101 bytes; an image has at most 100"):
            pack_images(source, str(tmp_path / "set"), PackOptions())


@pytest.mark.parametrize("is_complete", [False, True])
def test_what_a_killed_process_unpacked_is_removed_by_the_next(images, tmp_path, is_complete):
    archive = write_zip(tmp_path / "faces.zip", paths_of(images))
    (tmp_path / "place" / ".unpacked-left" / "anna").mkdir(parents=True)
    out = tmp_path / "place" / "out"
    if is_complete:
        out.mkdir()
    assert main(["data", "pack", archive, str(out)]) == (2 if is_complete else 0)
    assert os.listdir(str(tmp_path / "place")) == ["out"]
