"""Files that hold no embeddings or gallery are named, whatever is in them."""

from __future__ import annotations

import os
import random
import subprocess
import zipfile

import numpy as np
import pytest

from arcface_mx.faces.embed import read_embeddings
from arcface_mx.faces.gallery import Gallery, read_gallery, search
from arcface_mx.faces.store import write_fields
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.util import npz
from arcface_mx.util.errors import UserError
from tests.data.recordio.test_full_disk import mount
from tests.fuzz.mutate import mutate


@pytest.mark.parametrize(
    "read, command", [(read_embeddings, "arcface-mx embed"), (read_gallery, "arcface-mx gallery build")]
)
def test_other_files_and_damaged_ones_are_named(tmp_path, read, command):
    path = tmp_path / "x.npz"
    with pytest.raises(UserError, match=f"no such file; make it with {command}"):
        read(str(path))
    np.savez(str(path), other=np.zeros(100))
    whole = path.read_bytes()
    for content in (whole, whole[:-30], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"of {command}"):
            read(str(path))


GALLERY = Gallery(np.asarray(["anna", "ben"]), np.asarray(["a", "b"]), np.eye(2, dtype=np.float32), "m", True, "none")


def written(tmp_path, **changed):
    path = str(tmp_path / "gallery.npz")
    write_fields(path, GALLERY._replace(**changed))
    return path


def with_too_many_values(tmp_path):
    """A gallery whose vectors state more values than the file holds."""
    path = written(tmp_path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["vectors.npy"] = content["vectors.npy"].replace(b"(2, 2), }      ", b"(2, 2000000), }")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def test_a_gallery_reads_back_and_numpy_reads_it_too(tmp_path):
    path = written(tmp_path)
    with np.load(path, allow_pickle=False) as stored:
        assert stored.files == list(Gallery._fields)
    for one, other in zip(read_gallery(path), GALLERY):
        assert np.array_equal(one, other)


def test_a_compressed_gallery_is_refused_before_it_is_unpacked(tmp_path):
    """400 MB of zeros are a file of 400 kB."""
    path = str(tmp_path / "bomb.npz")
    np.savez_compressed(path, **GALLERY._replace(vectors=np.zeros((1 << 18, 400), np.float32))._asdict())
    with pytest.raises(UserError, match="bomb.npz: is not a gallery .* is compressed; save it with numpy.savez"):
        read_gallery(path)


def test_an_array_that_states_more_values_than_the_file_holds_is_refused(tmp_path):
    path = with_too_many_values(tmp_path)
    with pytest.raises(UserError, match=r"vectors has shape \(2, 2000000\), which its \d+ bytes do not hold"):
        read_gallery(path)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"vectors": np.asarray([[1, 0], [0, np.nan]], np.float32)}, "vector 1 is not finite"),
        ({"vectors": np.asarray([[np.inf, 0], [0, 1]], np.float32)}, "vector 0 is not finite"),
        ({"vectors": np.zeros((2, 2))}, "vectors are float64"),
        ({"vectors": np.zeros(2, np.float32)}, r"of shape \(2,\), not float32 of two axes"),
        ({"names": np.asarray(["anna"])}, r"names has shape \(1,\), not \(2,\)"),
        ({"names": np.zeros(2)}, "names has the type float64"),
        ({"paths": np.asarray([["a", "b"]])}, r"paths has shape \(1, 2\), not \(2,\)"),
        ({"model": np.asarray(["m", "n"])}, r"model has shape \(2,\), not \(\)"),
        ({"align": "yes"}, "align has the type <U3"),
    ],
)
def test_values_of_another_form_are_named(tmp_path, changed, message):
    with pytest.raises(UserError, match="gallery.npz: is not a gallery of arcface-mx gallery build .*" + message):
        read_gallery(written(tmp_path, **changed))


def test_changed_files_are_read_or_refused_in_one_line(tmp_path):
    path = written(tmp_path)
    with open(path, "rb") as stream:
        content = stream.read()
    chance, refused = random.Random(0), 0
    for _ in range(300):
        with open(path, "wb") as stream:
            stream.write(mutate(content, [content], chance))
        try:
            gallery = read_gallery(path)
            assert np.isfinite(gallery.vectors).all() and len(gallery.names) == len(gallery.vectors)
        except UserError as error:
            assert "\n" not in str(error) and "gallery.npz" in str(error)
            refused += 1
    assert refused > 100


@pytest.fixture
def all_mapped(monkeypatch):
    monkeypatch.setattr(npz, "MAPPED_BYTES", 1)


def random_gallery(dtype=np.float32):
    vectors = unit_vectors(np.random.RandomState(0).randn(300, 8)).astype(dtype)
    names = np.asarray([f"name {number}" for number in range(300)])
    return GALLERY._replace(names=names, paths=names, vectors=vectors)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_mapped_gallery_equals_a_read_one(tmp_path, all_mapped, dtype):
    gallery, path = random_gallery(dtype), str(tmp_path / "gallery.npz")
    write_fields(path, gallery)
    np.savez(str(tmp_path / "numpy.npz"), **gallery._asdict())  # as earlier versions wrote it: not aligned
    for file in (path, str(tmp_path / "numpy.npz")):
        mapped = read_gallery(file)
        assert isinstance(mapped.vectors, np.memmap) and isinstance(mapped.names, np.memmap)
        for one, other in zip(mapped, gallery):
            assert np.array_equal(one, other)
        assert search(mapped, gallery.vectors[:3], 2) == search(gallery, gallery.vectors[:3], 2)
    for name in ("names", "paths", "vectors"):
        assert getattr(read_gallery(path), name).offset % npz.ALIGNMENT == 0


def test_arrays_in_columns_are_mapped_as_such(tmp_path, all_mapped):
    gallery = random_gallery()
    write_fields(str(tmp_path / "x.npz"), gallery._replace(vectors=np.asfortranarray(gallery.vectors)))
    assert np.array_equal(read_gallery(str(tmp_path / "x.npz")).vectors, gallery.vectors)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 20.0])
def test_a_vector_of_a_mapped_gallery_that_is_no_unit_vector_is_named_by_the_search(tmp_path, all_mapped, value):
    gallery = random_gallery()
    gallery.vectors[250, 3] = value * np.sign(gallery.vectors[0, 3])
    write_fields(str(tmp_path / "x.npz"), gallery)
    mapped = read_gallery(str(tmp_path / "x.npz"))
    with pytest.raises(UserError, match=r"x\.npz: vector 250 does not have length 1"):
        search(mapped, gallery.vectors[:1], 2)


def test_an_array_that_states_more_values_than_the_file_holds_is_not_mapped(tmp_path, all_mapped):
    path = with_too_many_values(tmp_path)
    with pytest.raises(UserError, match=r"vectors has shape \(2, 2000000\)"):
        read_gallery(path)


def test_changed_files_are_mapped_or_refused_in_one_line(tmp_path, all_mapped):
    path = str(tmp_path / "gallery.npz")
    gallery = random_gallery()
    write_fields(path, gallery)
    with open(path, "rb") as stream:
        content = stream.read()
    chance, refused = random.Random(0), 0
    for _ in range(300):
        with open(path, "wb") as stream:
            stream.write(mutate(content, [content], chance))
        try:
            found = search(read_gallery(path), gallery.vectors[:2], 2)
            assert all(match.cosine < 1.01 for matches in found for match in matches)
        except UserError as error:
            assert "\n" not in str(error) and "gallery.npz" in str(error)
            refused += 1
    assert refused > 100


def test_a_full_disk_is_one_line_and_leaves_no_file(tmp_path):
    place = str(tmp_path / "disk")
    mount(place, "64k")
    try:
        large = GALLERY._replace(vectors=np.ones((2, 50_000), np.float32))
        with pytest.raises(UserError, match="x.npz: cannot be written: No space left on device"):
            write_fields(os.path.join(place, "x.npz"), large)
        assert os.listdir(place) == []
    finally:
        subprocess.run(["umount", "-l", place], capture_output=True)
