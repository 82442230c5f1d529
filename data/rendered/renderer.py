"""Renderer: one identity in one scene to a JPEG image."""

from __future__ import annotations

from typing import Optional, Tuple

import cv2
import numpy as np

from arcface_mx.data.rendered import camera, materials, raster, shade
from arcface_mx.data.rendered.background import draw_background, draw_shoulders
from arcface_mx.data.rendered.expression import gaze_direction
from arcface_mx.data.rendered.hair_mesh import HairMesh
from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.identity import Identity
from arcface_mx.data.rendered.light import SHADOW_SIDE, shadow_map
from arcface_mx.data.rendered.occluders import add_glasses, add_obstacle
from arcface_mx.data.rendered.pose import SIDE, View, look_at, to_crop
from arcface_mx.data.rendered.sampling import Stream
from arcface_mx.data.rendered.scene import Mode, Scene, draw_scene
from arcface_mx.data.rendered.shape import at_age

EDGE_MARGIN = 1e-6  # closes gaps between triangles that rounding would open, barycentric


class Renderer:
    """Renders images one after the other into its own buffers. It is not thread-safe.

    Parameters
    ----------
    head : Head
        The template.
    supersampling : float
        Pixels drawn for each pixel of the crop, along each side.
    """

    def __init__(self, head: Head, supersampling: float) -> None:
        self.head = head
        self.hair = HairMesh(head)
        self.supersampling = supersampling
        side = int(round(SIDE * supersampling))
        self.fragments = raster.empty_fragments(side, side)
        self.shadow_buffers = raster.empty_fragments(SHADOW_SIDE, SHADOW_SIDE)
        vertices = head.count + self.hair.count
        self.normals = np.empty((vertices, 3), np.float32)
        self.hair_edge = np.ones(vertices, np.float32)
        self.attributes = _attributes(head, self.hair)
        self.hair_uv = np.ascontiguousarray(self.attributes[:, [materials.U, materials.V]])

    def render(self, identity: Identity, mode: Mode, rng: Stream, age: Optional[float] = None) -> bytes:
        """JPEG bytes of one aligned image, 112×112. `age` (years) replaces the drawn age."""
        scene = draw_scene(self.head, identity, mode, rng, age)
        mesh, points = self._deform(identity, scene)
        view = look_at(self.head, points, scene.pose, scene.landmark_noise, rng)
        face, cover = self._shade(mesh, identity.texture, scene, view)
        background = draw_background(rng)
        draw_shoulders(background, scene.clothes.colour, scene.pose, scene.light, view)
        image = camera.expose(face, cover, background, scene.camera)
        if scene.glasses is not None:
            image = add_glasses(image, scene.glasses, view)
        if scene.covered:
            image = add_obstacle(image, identity.colours.skin, rng)
        return camera.develop(image, scene.camera, rng)

    def _deform(self, identity: Identity, scene: Scene) -> Tuple[raster.Mesh, np.ndarray]:
        """The mesh to draw, and its vertices (V, 3) float32 in the head's frame, dm."""
        head, hair, clothes = self.head, scene.hair, scene.clothes
        flat = at_age(head, identity.shape, scene.age, identity.ageing, scene.weight)
        moving = np.flatnonzero(scene.expression.weights)
        flat = flat + scene.expression.weights[moving] @ head.expression[moving]
        points = flat.reshape(-1, 3)
        scalp = self.hair.scalp_field(hair)
        front = np.maximum(0, np.cos(head.theta)) ** 4
        self.attributes[: head.count, materials.SCALP] = scalp
        self.attributes[: head.count, materials.CLOTH] = (
            clothes.collar - clothes.neckline * front - head.vertices[:, 1]
        ) * head.body
        normals = self.normals[: head.count]
        raster.vertex_normals(points, head.skin_triangles, normals)
        points = self.hair.push(hair, points, normals, scalp)
        if hair.curtain == 0:
            return head.mesh, points.astype(np.float32)
        curtain, edge = self.hair.curtain(hair, points, normals)
        self.hair_edge[head.count :] = edge
        return self.hair.mesh, np.concatenate([points, curtain]).astype(np.float32)

    def _shade(self, mesh: raster.Mesh, skin: np.ndarray, scene: Scene, view: View) -> Tuple[np.ndarray, np.ndarray]:
        """Linear RGB (112, 112, 3) of the head, and its cover (112, 112) in 0…1."""
        points, head = view.points, self.head
        normals = self.normals[: len(points)]
        raster.vertex_normals(points, mesh.triangles, normals)
        screen = np.empty_like(points)
        screen[:, :2], screen[:, 2] = to_crop(view, points, self.supersampling), -points[:, 2]
        strands = self.hair.strands[scene.hair.strands]
        cutout = raster.HairCutout(self.hair_uv, self.hair_edge, strands, scene.hair.shift)
        raster.z_buffer(mesh, screen, cutout, EDGE_MARGIN, self.fragments)
        frame = shade.Frame(
            tuple(tuple(row) for row in view.rotation),
            tuple(points[head.left_eye].mean(0)),
            tuple(points[head.right_eye].mean(0)),
            tuple(view.rotation @ gaze_direction(scene.expression)),
        )
        shadow = shadow_map(
            scene.light, scene.pose.distance, points[: head.count], head.skin_triangles, self.shadow_buffers
        )
        vertices = shade.Vertices(points, normals, self.attributes, skin, strands)
        image = shade.shade(mesh, vertices, frame, scene.look, scene.light, shadow, self.fragments)
        cover = (self.fragments.triangle >= 0).astype(np.float32)
        size = (SIDE, SIDE)
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.resize(
            cover, size, interpolation=cv2.INTER_AREA
        )


def _attributes(head: Head, hair: HairMesh) -> np.ndarray:
    """Table of vertex attributes (V, 10) float32, first the head's, then the curtain's."""
    n = head.count
    table = np.zeros((n + hair.count, materials.ATTRIBUTES), np.float32)
    table[:n, materials.U], table[n:, materials.U] = head.u, hair.u
    table[:n, materials.V], table[n:, materials.V] = head.v, hair.v
    table[:n, materials.LIPS] = head.lips
    table[:n, materials.INSIDE_MOUTH] = head.inside_mouth
    table[:n, materials.OPEN_SKY], table[n:, materials.OPEN_SKY] = head.occlusion, 0.8
    table[:n, materials.LASH] = head.lash
    table[:n, materials.GLOSS] = head.gloss
    table[:n, materials.BLUSH] = head.blush
    table[:, materials.CLOTH] = -1
    return table
