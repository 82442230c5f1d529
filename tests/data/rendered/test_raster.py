"""The rasteriser against a slow reference in NumPy, and the pose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the extra `rendered` is not installed")

from arcface_mx.data.rendered import kernels, pose, raster  # noqa: E402

QUICK = settings(derandomize=True, deadline=None, max_examples=15)


def slow_buffer(triangles, x, y, z, height, width):
    """Nearest front-facing triangle at every pixel centre, by testing all of them, float64."""
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    nearest, face = np.full((height, width), np.inf), np.full((height, width), -1)
    for number, (a, b, c) in enumerate(triangles):
        area = (x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a])
        if area >= 0:
            continue
        w0 = ((x[c] - x[b]) * (rows - y[b]) - (y[c] - y[b]) * (columns - x[b])) / area
        w1 = ((x[a] - x[c]) * (rows - y[c]) - (y[a] - y[c]) * (columns - x[c])) / area
        depth = w0 * z[a] + w1 * z[b] + (1 - w0 - w1) * z[c]
        drawn = (np.minimum(np.minimum(w0, w1), 1 - w0 - w1) >= 0) & (depth < nearest)
        nearest[drawn], face[drawn] = depth[drawn], number
    return face, nearest


@QUICK
@given(seed=st.integers(0, 2**31))
def test_z_buffer_shows_the_nearest_front_face(seed):
    r = np.random.default_rng(seed)
    x, y = r.uniform(-4, 28, (2, 30)).astype(np.float32)
    z = r.uniform(1, 9, 30).astype(np.float32)
    triangles = r.integers(0, 30, (25, 3)).astype(np.int32)
    _, face, first, second = raster.rasterize(triangles, np.stack([x, y, z], 1), raster.empty_fragments(24, 20), 1e-6)
    expected, nearest = slow_buffer(triangles, *(v.astype(float) for v in (x, y, z)), 24, 20)
    # Pixels whose centre lies on an edge may go either way in float32; slivers have many.
    assert ((face >= 0) != (expected >= 0)).mean() < 0.01
    both = (face >= 0) & (expected >= 0)
    a, b, c = z[triangles[face[both]]].T
    depth = first[both] * a + second[both] * b + (1 - first[both] - second[both]) * c
    assert both.any() and (np.abs(depth - nearest[both]) < 1e-2).mean() > 0.98


@QUICK
@given(seed=st.integers(0, 2**31))
def test_depth_map_keeps_the_smallest_depth(seed):
    r = np.random.default_rng(seed)
    x, y = r.uniform(0, 16, (2, 20)).astype(np.float32)
    z = r.uniform(1, 9, 20).astype(np.float32)
    triangles = r.integers(0, 20, (15, 3)).astype(np.int32)
    depth = raster.rasterize(triangles, np.stack([x, y, z], 1), raster.empty_fragments(16, 16)).depth
    _, expected = slow_buffer(triangles, *(v.astype(float) for v in (x, y, z)), 16, 16)
    both = np.isfinite(expected) & (depth < raster.FAR)
    assert (np.isfinite(expected) != (depth < raster.FAR)).mean() < 0.01
    assert np.quantile(np.abs(depth[both] - expected[both]), 0.98) < 1e-3


def test_normals_of_a_sphere_point_outwards():
    theta, phi = np.meshgrid(np.linspace(0, np.pi, 24), np.linspace(0, 2 * np.pi, 48), indexing="ij")
    ball = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1).astype(np.float32)
    corner = np.arange(24 * 48).reshape(24, 48)
    a, b, c, d = corner[:-1, :-1].ravel(), corner[:-1, 1:].ravel(), corner[1:, 1:].ravel(), corner[1:, :-1].ravel()
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    points = ball.reshape(-1, 3)
    normals = np.empty_like(points)
    raster.vertex_normals(points, triangles, normals)
    inner = (corner[2:-2, 1:-1]).ravel()
    assert (normals[inner] * points[inner]).sum(1).min() > 0.99


def test_rotation_turns_the_face_to_the_right_and_up_stays_up():
    straight = pose.rotation(pose.Pose(30, 0, 0, 10)) @ [0, 0, 1]
    assert straight == pytest.approx([0.5, 0, np.sqrt(0.75)])
    full = pose.rotation(pose.Pose(20, -10, 5, 10))
    assert full @ full.T == pytest.approx(np.eye(3)) and np.linalg.det(full) == pytest.approx(1)


def test_kernels_are_cached_under_the_fingerprint_of_the_sources():
    """numba's own cache fails when the type of a cached kernel's argument is gone."""
    assert kernels.source_fingerprint()[:16] in raster.z_buffer._cache.cache_path
