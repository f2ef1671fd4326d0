"""Pictures whose pixels are known beforehand, and the figures that browsers get."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from PIL import Image

from facesynth.rendering import Camera, Light, MaterialError, dots, interactive, plate, render
from facesynth.rendering.bump import bend
from facesynth.rendering.colour import from_uint8, to_uint8
from facesynth.rendering.light import ambient_occlusion, soft_shadow, unit
from facesynth.rendering.material import Hits
from facesynth.surface.mesh import FaceIndexError, NonFiniteVertexError, vertex_normals

CENTRED = Camera(target=(0, 0, 0), height=100, distance=1000)


def square(side: float = 50, z: float = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and uv of a square that faces the camera; uv has v along y."""
    uv = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    vertices = np.c_[(uv - 0.5) * side, np.full(4, z)]
    return vertices, np.array([[0, 1, 2], [0, 2, 3]]), uv


def dome(n: int = 40, radius: float = 60) -> tuple[np.ndarray, np.ndarray]:
    """A half sphere towards the camera on an n x n grid over the disk."""
    a, b = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    x, y = a * np.sqrt(1 - b**2 / 2), b * np.sqrt(1 - a**2 / 2)  # square onto disk
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    index = np.arange(n * n).reshape(n, n)
    q = [c.ravel() for c in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])]
    faces = np.concatenate([np.stack([q[0], q[1], q[2]], 1), np.stack([q[0], q[2], q[3]], 1)])
    return radius * np.stack([x, y, z], axis=-1).reshape(-1, 3), faces


def test_square_covers_the_pixels_that_it_should() -> None:
    vertices, faces, _ = square(50)
    image = render(vertices, faces, camera=CENTRED, size=40)
    expected = np.zeros((40, 40), np.uint8)
    expected[10:30, 10:30] = 255
    assert image.shape == (40, 40, 4)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image[..., 3], expected)
    assert not image[expected == 0].any()  # transparent black, not coloured


def test_perspective_enlarges_what_is_nearer() -> None:
    vertices, faces, _ = square(30, z=500)  # half way to the camera: twice as large
    image = render(vertices, faces, camera=CENTRED, size=50)
    assert image[..., 3].any(axis=0).sum() == 30


def test_half_covered_pixels_are_half_transparent_and_keep_their_colour() -> None:
    vertices, faces, _ = square(52.5)  # of a 100 mm picture in 40 pixels: half a pixel beyond
    colours = np.tile([0.2, 0.4, 0.6], (4, 1))
    image = render(
        vertices, faces, vertex_colors=colours, camera=CENTRED, light=None, size=40, supersampling=2
    )
    assert image[9, 20, 3] == 128
    np.testing.assert_array_equal(image[9, 20, :3], to_uint8([0.2, 0.4, 0.6]))


def test_texture_is_upright_and_unmirrored() -> None:
    vertices, faces, uv = square(100)
    texture = np.zeros((2, 2, 3))
    texture[0, 0], texture[0, 1], texture[1, 0] = (1, 0, 0), (0, 1, 0), (0, 0, 1)
    image = from_uint8(
        render(vertices, faces, uv, texture, camera=CENTRED, light=None, size=40)[..., :3]
    )
    for (row, column), colour in {(2, 2): 0, (2, 37): 1, (37, 2): 2}.items():
        assert image[row, column].argmax() == colour
        assert image[row, column].max() == pytest.approx(1, abs=0.02)
    assert not image[37, 37].any()


def test_texture_lookup_is_bilinear_in_linear_light() -> None:
    vertices, faces, uv = square(100)
    texture = np.zeros((1, 2, 3), np.uint8)
    texture[0, 1] = 255  # centres at a quarter and three quarters of the width
    image = from_uint8(
        render(vertices, faces, uv, texture, camera=CENTRED, light=None, size=40)[..., 0]
    )
    expected = np.clip((np.arange(40) + 0.5) / 20 - 0.5, 0, 1)
    np.testing.assert_allclose(image[20], expected, atol=0.02)


def test_without_light_a_texture_of_the_pictures_size_comes_back() -> None:
    vertices, faces, uv = square(100)
    texture = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    image = render(
        vertices, faces, uv, texture, camera=CENTRED, light=None, size=32, supersampling=1
    )
    assert np.abs(image[..., :3].astype(int) - texture).max() <= 1


@pytest.mark.parametrize(
    ("pose", "towards"),
    [(Camera(yaw=30), (1, 0)), (Camera(yaw=-30), (-1, 0)), (Camera(pitch=30), (0, 1))],
)
def test_pose_turns_the_face_towards(pose: Camera, towards: tuple[int, int]) -> None:
    nose = replace(pose, target=(0.0, 0.0, 0.0)).view(np.array([[0.0, 0.0, 10.0]]))[0]
    np.testing.assert_allclose(
        nose, [5 * towards[0], 5 * towards[1], 10 * np.cos(np.pi / 6)], rtol=1e-5
    )


def test_light_comes_from_where_the_key_is() -> None:
    vertices, faces = dome()
    left = render(vertices, faces, camera=replace(CENTRED, height=140), size=48)
    right = render(
        vertices,
        faces,
        camera=replace(CENTRED, height=140),
        size=48,
        light=Light(key=(0.6, 0.6, 0.8), fill=(-0.75, 0.1, 0.65)),
    )
    brightness = left[..., :3].mean(axis=-1)
    assert brightness[:, :24].sum() > 1.1 * brightness[:, 24:].sum()
    assert np.abs(left.astype(int) - right[:, ::-1]).max() <= 12  # mirrored light, mirrored picture


def test_turned_head_keeps_its_light() -> None:
    vertices, faces = dome(80)
    far = replace(CENTRED, height=140, distance=50_000.0)
    front, turned = (
        render(vertices, faces, camera=replace(far, yaw=yaw), size=48).astype(int)
        for yaw in (0.0, 25.0)
    )
    middle = slice(16, 32)  # a sphere looks the same from everywhere, lamps that stay put included
    assert np.abs(front - turned)[middle, middle].max() <= 4


def scene_of(vertices: np.ndarray, faces: np.ndarray) -> tuple[EmbreeScene, np.ndarray, np.ndarray]:
    scene = EmbreeScene()
    TriangleMesh(scene, vertices.astype(np.float32), faces.astype(np.int32))
    return scene, vertices.astype(np.float32), vertex_normals(vertices, faces).astype(np.float32)


def test_convex_surface_sees_the_whole_sky_and_the_lamp() -> None:
    vertices, faces = dome()
    scene, points, normals = scene_of(vertices, faces)
    top = vertices[:, 2] > 30
    assert ambient_occlusion(scene, points, normals)[top].min() == 1
    assert soft_shadow(scene, points, normals, Light(key=(0, 0, 1)))[top].min() == 1


def test_roof_hides_sky_and_lamp_from_what_lies_below() -> None:
    floor, faces, _ = square(100)
    roof = np.add(floor, [0, 0, 50])
    vertices = np.concatenate([floor, roof, [[0.0, 0.0, 0.0]]])
    scene, _, _ = scene_of(vertices, np.concatenate([faces, faces + 4]))
    point, up = np.zeros((1, 3), np.float32), np.array([[0, 0, 1]], np.float32)
    # From the middle a square roof of half width w at height w fills 55.4 % of the cosine sky.
    assert ambient_occlusion(scene, point, up, rays=4000)[0] == pytest.approx(0.446, abs=0.01)
    assert soft_shadow(scene, point, up, Light(key=(0, 0, 1)))[0] == 0
    assert soft_shadow(scene, point, up, Light(key=(2, 0, 1), key_radius=5))[0] == 1
    half = soft_shadow(scene, point, up, Light(key=(1, 0, 1), key_radius=5), rays=1000)[0]
    assert half == pytest.approx(0.5, abs=0.03)  # the lamp's centre is right behind the edge


def test_relief_bends_normals_by_its_slope() -> None:
    vertices, faces, uv = square(60)
    hits = Hits(faces, np.full((2, 3), 1 / 3, np.float32))  # the middle of each triangle
    mm = (np.arange(64) + 0.5) / 64 * 60
    ramp = np.tile(0.2 * mm, (64, 1)) + 0.1 * mm[::-1, None]  # rises by 0.2 along x, 0.1 along y
    up = np.tile([0.0, 0.0, 1.0], (2, 1))
    bent = bend(up, hits, vertices, faces, uv, ramp, pixel=0.1)
    np.testing.assert_allclose(bent, np.tile([-0.2, -0.1, 1.0], (2, 1)), atol=1e-4)
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # the same, seen from another side
    turned = bend(up @ turn, hits, vertices @ turn, faces, uv, ramp, pixel=0.1)
    np.testing.assert_allclose(turned, bent @ turn, atol=1e-4)
    waves = 0.3 * (-1.0) ** np.arange(64) * np.ones((64, 1))  # finer than the picture
    np.testing.assert_allclose(bend(up, hits, vertices, faces, uv, waves, pixel=9.0), up, atol=0.01)


def test_relief_is_lit_as_the_slope_that_it_stands_for() -> None:
    vertices, faces, uv = square(60)
    light = Light(key=(0.6, 0, 0.8))
    mm = (np.arange(64) + 0.5) / 64 * 60
    facing, away, flat = (
        from_uint8(
            render(vertices, faces, uv, None, relief=k * ramp, camera=CENTRED, size=20, light=light)
        )[10, 10, 0]
        for ramp in [np.tile(mm, (64, 1))]
        for k in (-0.3, 0.3, 0.0)
    )
    assert facing > flat > away
    plain = render(vertices, faces, camera=CENTRED, size=20, light=light)
    assert from_uint8(plain)[10, 10, 0] == pytest.approx(flat, abs=0.01)


def test_oily_skin_shines_sharply() -> None:
    vertices, faces = dome(60)
    far = replace(CENTRED, height=140, distance=50_000.0)
    light = Light(key=(0, 0, 1), fill_colour=(0, 0, 0), key_radius=3)
    dark = np.zeros_like(vertices)  # nothing but the sheen
    dry, oily = (
        from_uint8(
            render(
                vertices,
                faces,
                vertex_colors=dark,
                gloss=np.full(len(vertices), k),
                camera=far,
                light=light,
                size=48,
            )
        )[24, :, 0]
        for k in (0.0, 2.0)
    )
    assert oily[24] > 1.5 * dry[24] > 0
    assert oily[36] < dry[36]  # half way to the edge
    assert unit([3.0, 0.0, 4.0]) == pytest.approx([0.6, 0, 0.8])


def test_background_is_composited_in_linear_light() -> None:
    vertices, faces, _ = square(50)
    image = render(vertices, faces, camera=CENTRED, size=20, background=(0.5, 0.5, 0.5))
    assert (image[..., 3] == 255).all()
    np.testing.assert_array_equal(image[0, 0, :3], to_uint8([0.5, 0.5, 0.5]))


def test_mesh_outside_the_picture_leaves_it_empty() -> None:
    vertices, faces, _ = square(50)
    assert not render(np.add(vertices, [500, 0, 0]), faces, camera=CENTRED, size=16).any()


def test_mesh_behind_the_camera_is_refused() -> None:
    vertices, faces, _ = square(50, z=1500)
    with pytest.raises(ValueError, match="behind the camera"):
        render(vertices, faces, camera=CENTRED)


def test_unusable_meshes_and_materials() -> None:
    vertices, faces, uv = square()
    texture = np.zeros((4, 4, 3))
    holed = vertices.copy()
    holed[1, 1] = np.nan
    with pytest.raises(NonFiniteVertexError):
        render(holed, faces)
    with pytest.raises(FaceIndexError):
        render(vertices, faces + 1)
    with pytest.raises(MaterialError, match="one of them is missing"):
        render(vertices, faces, uv)
    with pytest.raises(MaterialError, match=r"uv has shape \(3, 2\); this mesh needs \(4, 2\)"):
        render(vertices, faces, uv[:3], texture)
    with pytest.raises(MaterialError, match="not both"):
        render(vertices, faces, uv, texture, vertex_colors=np.zeros((4, 3)))
    with pytest.raises(MaterialError, match="needs the uv"):
        render(vertices, faces, relief=np.zeros((4, 4)))
    with pytest.raises(MaterialError, match=r"relief has shape \(4, 3\); expected \(R, R\)"):
        render(vertices, faces, uv, texture, relief=np.zeros((4, 3)))
    with pytest.raises(MaterialError, match="not finite"):
        render(vertices, faces, uv, texture, relief=np.full((4, 4), np.nan))
    with pytest.raises(MaterialError, match=r"gloss has shape \(3,\); this mesh needs \(4,\)"):
        render(vertices, faces, uv, texture, gloss=np.ones(3))
    with pytest.raises(MaterialError, match=r"expected \(R, R, 3\)"):
        render(vertices, faces, uv, texture[..., 0])


def test_plate_keeps_pictures_in_register() -> None:
    images = np.zeros((3, 10, 8, 4), np.uint8)
    images[0, 2:5, 1:3] = 10
    images[1, 4:8, 2:6] = 20
    images[2, 4, 4] = 30
    sheet = plate(images, columns=2, gap=1)
    assert sheet.shape == (2 * 6 + 1, 2 * 5 + 1, 4)  # rows 2 to 7 and columns 1 to 5 are used
    np.testing.assert_array_equal(sheet[:6, :5], images[0, 2:8, 1:6])
    np.testing.assert_array_equal(sheet[:6, 6:], images[1, 2:8, 1:6])
    np.testing.assert_array_equal(sheet[7:, :5], images[2, 2:8, 1:6])
    assert not sheet[7:, 6:].any()
    assert not sheet[6].any()


def test_interactive_mesh_keeps_shape_and_colours() -> None:
    vertices, faces = dome()
    colours = np.random.default_rng(0).random(vertices.shape)
    mesh = interactive(vertices, faces, colors=colours).data[0]
    points = np.stack([mesh.x, mesh.y, mesh.z], axis=1)
    assert points.dtype == np.int16
    scale = np.ptp(vertices[:, 0]) / np.ptp(points[:, 0].astype(float))
    back = points * scale
    np.testing.assert_allclose(back - back.mean(0), vertices - vertices.mean(0), atol=0.005)
    np.testing.assert_array_equal(np.stack([mesh.i, mesh.j, mesh.k], axis=1), faces)
    np.testing.assert_array_equal(mesh.vertexcolor, to_uint8(colours))


def test_interactive_slider_repeats_only_what_changes() -> None:
    vertices, faces = dome()
    steps = np.stack([vertices, 1.1 * vertices, 1.2 * vertices])
    figure = interactive(steps, faces, labels=["a", "b", "c"], slider="step ")
    slider = figure.layout.sliders[0]
    shown = [step.args[0]["data"][0] for step in slider.steps]
    assert [step.label for step in slider.steps] == ["a", "b", "c"]
    assert slider.active == 1
    np.testing.assert_array_equal(figure.data[0].x, shown[1]["x"])
    assert np.ptp(shown[2]["x"].astype(float)) > np.ptp(shown[1]["x"].astype(float))
    assert not {"i", "j", "k"} & set(shown[2])
    single = interactive(vertices, faces)
    weight, one = len(figure.to_json()), len(single.to_json())
    assert weight < one + 4 * len(vertices) * 3 * 3 + 4000  # 3 more sets of 3 x 16 bits in base64


def test_interactive_refuses_what_does_not_fit() -> None:
    vertices, faces = dome()
    with pytest.raises(MaterialError, match="need as many labels"):
        interactive(np.stack([vertices, vertices]), faces, labels=["a"])
    with pytest.raises(MaterialError, match="colors has shape"):
        interactive(vertices, faces, colors=np.zeros((3, 3)))
    with pytest.raises(MaterialError, match="not both"):
        interactive(vertices, faces, colors=np.zeros_like(vertices), intensity=vertices[:, 0])
    with pytest.raises(NonFiniteVertexError):
        interactive(vertices * np.nan, faces)


def test_dots_bring_their_pictures() -> None:
    pictures = np.zeros((2, 150, 150, 3), np.uint8)
    pictures[1] = [200, 40, 40]
    figure = dots({"red": ([[0, 1], [2, 3]], pictures), "none": (np.zeros((0, 2)), [])}, side=32)
    trace = figure.data[0]
    assert (trace.name, list(trace.x), list(trace.y)) == ("red", [0, 2], [1, 3])
    kind, _, content = trace.customdata[1].partition(",")
    assert kind == "data:image/jpeg;base64"
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))), int)
    assert image.shape == (32, 32, 3)
    assert np.abs(image - [200, 40, 40]).max() < 5
    with pytest.raises(MaterialError, match=r"red: points of shape .* need .* not 1"):
        dots({"red": ([[0, 1], [2, 3]], pictures[:1])})
