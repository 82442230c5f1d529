"""A identity and a scene to a photo: geometry, camera, z-buffer, shading, camera again."""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np

from arcface_mx.data.rendered import camera, raster, shade
from arcface_mx.data.rendered.expression import gaze_direction
from arcface_mx.data.rendered.hair_mesh import HairMesh, materials
from arcface_mx.data.rendered.head import Head
from arcface_mx.data.rendered.identity import Identity
from arcface_mx.data.rendered.occluders import cover_part, put_on_glasses
from arcface_mx.data.rendered.pose import SIDE, View, look_at, to_crop
from arcface_mx.data.rendered.sampling import Stream
from arcface_mx.data.rendered.scene import Mode, Scene, draw_scene, silver
from arcface_mx.data.rendered.shape import at_age

SUPERSAMPLING = 1.5  # pixels drawn for one of the crop, along each side
# Outline of shoulders and collar in the frame of the skull, from right to left, dm.
HALF = np.asarray([[3.0, -2.6, -0.4], [2.1, -1.95, -0.3], [0.55, -1.55, -0.3]])
SHOULDERS = np.concatenate([HALF * [-1, 1, 1], HALF[::-1]])
SHADOW_SIDE, SHADOW_SCALE = 128, 42.0  # of the shadow map, pixels and pixels a dm


class Renderer:
    """Draws photos one after the other into its own buffers. Not for two threads at once."""

    def __init__(self, head: Head, supersampling: float = SUPERSAMPLING) -> None:
        self.head = head
        self.hair = HairMesh(head)
        self.triangles, self.material = materials(head, self.hair)
        self.scale = supersampling
        side = int(round(SIDE * supersampling))
        self.depth = np.empty((side, side), np.float32)
        self.face = np.empty((side, side), np.int32)
        self.first, self.second = np.empty_like(self.depth), np.empty_like(self.depth)
        self.image = np.empty((side, side, 3), np.float32)
        self.cover = np.empty((side, side), np.float32)
        self.shadow_map = np.empty((SHADOW_SIDE, SHADOW_SIDE), np.float32)
        vertices = head.count + self.hair.count
        self.normals = np.empty((vertices, 3), np.float32)
        self.hair_edge = np.ones(vertices, np.float32)
        self.attributes = self._attributes(vertices)
        self.hair_uv = np.ascontiguousarray(self.attributes[:, [shade.U, shade.V]])

    def render(self, identity: Identity, mode: Mode, rng: Stream, age: Optional[float] = None) -> bytes:
        """One aligned 112×112 photo as JPEG bytes."""
        return self.draw(identity, draw_scene(self.head, identity, mode, rng, age), rng)

    def draw(self, identity: Identity, scene: Scene, rng: Stream) -> bytes:
        view, triangles = self._arrange(identity, scene, rng)
        face, cover = self._shade(identity, scene, view, triangles)
        behind = camera.background(rng)
        self._shoulders(behind, scene, view)
        picture = camera.expose(face, cover, behind, scene.camera)
        if scene.glasses is not None:
            picture = put_on_glasses(picture, scene.glasses, view)
        if scene.covered:
            picture = cover_part(picture, identity.colours.skin, rng)
        return camera.develop(picture, scene.camera, rng)

    def _arrange(self, identity: Identity, scene: Scene, rng: Stream) -> Tuple[View, int]:
        """Place all vertices before the camera; returns the view and how many triangles are drawn."""
        head, hair = self.head, scene.hair
        flat = at_age(identity.shape, scene.age, identity.ageing, scene.weight)
        moving = np.flatnonzero(scene.expression.weights)
        flat = flat + scene.expression.weights[moving] @ head.expression[moving]
        points = flat.reshape(-1, 3)
        field = self.hair.scalp_field(hair)
        self.attributes[: head.count, shade.SCALP] = field
        front = np.cos(head.theta) > 0
        self.attributes[: head.count, shade.CLOTH] = (
            scene.collar - scene.neckline * np.maximum(0, np.cos(head.theta)) ** 4 * front - head.vertices[:, 1]
        ) * head.body
        normals = self.normals[: head.count]
        raster.vertex_normals(points, head.triangles, head.skin_triangles, normals)
        points = self.hair.push(hair, points, normals, field)
        count = len(head.triangles)
        if hair.curtain > 0:
            curtain, edge = self.hair.curtain(hair, points, normals)
            points = np.concatenate([points, curtain])
            self.hair_edge[head.count :] = edge
            count = len(self.triangles)
        return look_at(head, points.astype(np.float32), scene.pose, scene.landmark_noise, rng), count

    def _shade(self, identity: Identity, scene: Scene, view: View, count: int) -> Tuple[np.ndarray, np.ndarray]:
        """Linear RGB (112, 112, 3) and cover (112, 112) of the head."""
        import cv2

        points, hair = view.points, scene.hair
        normals = self.normals[: len(points)]
        raster.vertex_normals(points, self.triangles, count, normals)
        crop = to_crop(view, points, self.scale).astype(np.float32)
        x, y = np.ascontiguousarray(crop[:, 0]), np.ascontiguousarray(crop[:, 1])
        strands = self.hair.strands[hair.strands]
        raster.z_buffer(
            self.triangles,
            self.material,
            count,
            x,
            y,
            np.ascontiguousarray(-points[:, 2]),
            self.hair_uv,
            self.hair_edge,
            strands,
            hair.shift,
            self.depth,
            self.face,
            self.first,
            self.second,
        )
        matrix = self._shadows(scene, points)
        eyes = np.stack([points[self.head.left_eye].mean(0), points[self.head.right_eye].mean(0)])
        shade.shade(
            self.triangles,
            self.material,
            points,
            normals,
            self.attributes,
            identity.texture,
            strands,
            hair.shift,
            self.face,
            self.first,
            self.second,
            view.rotation,
            scene.light.lamps,
            scene.light.ambient,
            _look(identity, scene),
            _colours(identity, scene),
            eyes,
            view.rotation @ gaze_direction(scene.expression),
            self.shadow_map,
            matrix,
            self.image,
            self.cover,
        )
        if self.scale == 1:
            return self.image.copy(), self.cover.copy()
        size = (SIDE, SIDE)
        return (
            cv2.resize(self.image, size, interpolation=cv2.INTER_AREA),
            cv2.resize(self.cover, size, interpolation=cv2.INTER_AREA),
        )

    def _shadows(self, scene: Scene, points: np.ndarray) -> np.ndarray:
        """Fill the key lamp's depth map; returns the (3, 4) matrix into it."""
        matrix = np.zeros((3, 4))
        if scene.light.shadow > 0:
            frame = raster.light_frame(scene.light.lamps[0, :3].astype(float))
            frame = frame * [[SHADOW_SCALE], [-SHADOW_SCALE], [-1.0]]
            matrix[:, :3] = frame
            matrix[:, 3] = -frame @ [0, 0, -scene.pose.distance]
            matrix[:2, 3] += SHADOW_SIDE / 2
            seen = points[: self.head.count] @ matrix[:, :3].T.astype(np.float32) + matrix[:, 3].astype(np.float32)
            x, y, z = (np.ascontiguousarray(seen[:, k]) for k in range(3))
            raster.depth_map(self.triangles, self.head.skin_triangles, x, y, z, self.shadow_map)
        return matrix

    def _shoulders(self, behind: np.ndarray, scene: Scene, view: View) -> None:
        """Draw the clothed shoulders, which the mesh lacks, onto the background."""
        import cv2

        # The body stays upright while the head turns and nods: half of the turn, none of the nod.
        turn = np.radians(scene.pose.yaw) / 2
        roll = np.radians(scene.pose.roll)
        upright = np.asarray([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        tilt = np.asarray([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        points = SHOULDERS @ (tilt @ upright).T + [0, 0, -scene.pose.distance]
        line = to_crop(view, points)
        below = line[::-1] + [0, 200]
        shape = np.round(np.concatenate([line, below])).astype(np.int32)
        light = scene.light.ambient[0].mean() + 0.5 * scene.light.lamps[0, 3:].mean()
        cv2.fillPoly(behind, [shape], (scene.cloth * light).tolist(), cv2.LINE_AA)

    def _attributes(self, vertices: int) -> np.ndarray:
        head, n = self.head, self.head.count
        table = np.zeros((vertices, shade.ATTRIBUTES), np.float32)
        table[:n, shade.U], table[n:, shade.U] = head.u, self.hair.u
        table[:n, shade.V], table[n:, shade.V] = head.v, self.hair.v
        table[:n, shade.LIPS] = head.lips
        table[:n, shade.INSIDE_MOUTH] = head.inside_mouth
        table[:n, shade.OPEN_SKY], table[n:, shade.OPEN_SKY] = head.occlusion, 0.8
        table[:n, shade.LASH] = head.lash
        table[:n, shade.GLOSS] = head.gloss
        table[:n, shade.BLUSH] = head.blush
        table[:, shade.CLOTH] = -1
        return table


def _look(identity: Identity, scene: Scene) -> shade.Look:
    age, hair = scene.age, scene.hair
    return shade.Look(
        wrinkles=float(0.25 + np.clip((age - 28) / 40, 0, 1.4) * identity.ageing),
        brow=1 - 0.25 * scene.greying,
        beard=scene.beard[0],
        moustache=scene.beard[1],
        lips=scene.lip_cover,
        lash=scene.lashes,
        spots=float(np.clip((age - 35) / 35, 0, 1.2)),
        blush=scene.blush,
        gloss=scene.gloss,
        gloss_power=scene.gloss_power,
        scalp_soft=hair.soft,
        scalp_cover=hair.cover,
        strand_contrast=hair.contrast,
        iris=identity.colours.iris_radius,
        pupil=scene.pupil,
        shadow=scene.light.shadow,
    )


def _colours(identity: Identity, scene: Scene) -> np.ndarray:
    brows = identity.colours.brows
    table = np.empty((shade.COLOURS, 3), np.float32)
    table[shade.LIP_COLOUR] = scene.lips
    table[shade.BEARD_COLOUR] = silver(brows * [1.15, 1.0, 0.95], 0.9 * scene.greying)
    table[shade.BROW_COLOUR] = silver(brows, 0.6 * scene.greying)
    table[shade.HAIR_COLOUR] = scene.hair.colour
    table[shade.IRIS_COLOUR] = identity.colours.iris
    table[shade.SCLERA_COLOUR] = identity.colours.sclera
    table[shade.CLOTH_COLOUR] = scene.cloth
    return table
