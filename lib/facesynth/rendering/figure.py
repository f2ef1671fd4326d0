"""Interactive figures for the browser: a rotatable mesh, and dots that show pictures."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from facesynth.rendering.colour import to_uint8
from facesynth.rendering.material import CLAY, MaterialError
from facesynth.surface.mesh import check_arrays

_SURFACE = {
    "flatshading": False,
    "hoverinfo": "skip",
    "lighting": {"ambient": 0.5, "diffuse": 0.75, "specular": 0.15, "roughness": 0.6, "fresnel": 0},
    "lightposition": {"x": -1e5, "y": 1e5, "z": 1e5},
}
_LAYOUT = {
    "height": 450,
    "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    "scene": {
        **{f"{axis}axis": {"visible": False} for axis in "xyz"},
        "aspectmode": "data",
        "dragmode": "orbit",
        "camera": {"up": {"x": 0, "y": 1, "z": 0}, "eye": {"x": -0.5, "y": 0.15, "z": 1.75}},
    },
}


def interactive(
    vertices: ArrayLike,
    faces: ArrayLike,
    *,
    colors: ArrayLike | None = None,
    intensity: ArrayLike | None = None,
    colorbar_title: str = "",
    labels: Sequence[str] = (),
    slider: str = "",
) -> go.Figure:
    """A rotatable mesh; several sets of vertices become the steps of a slider.

    vertices        (m, 3) or (s, m, 3) in mm; s sets make a slider of s steps
    faces           (f, 3) int, the same for all sets
    colors          (m, 3) or (s, m, 3); without colours and intensity the face is made of clay
    intensity       (m,) or (s, m), a number for each vertex, in place of colours
    colorbar_title  what the intensity is, on the scale Viridis
    labels          (s,) of the slider's steps; the middle one is shown first
    slider          stands before the label of the current step

    Coordinates are kept as 16-bit fractions of the mesh's extent (3 micrometres for a face), and a
    step repeats only what changes: 80 kB for 10,000 vertices, 120 kB with colours.

    Raises `MeshError` for invalid vertices or faces, and `MaterialError` if colours, intensities or
    labels do not match the vertices.
    """
    steps = np.asarray(vertices)
    steps = steps[None] if steps.ndim == 2 else steps  # (s, m, 3)
    for step in steps:
        _, triangles = check_arrays(step, faces)
    if len(steps) > 1 and len(labels) != len(steps):
        raise MaterialError(f"{len(steps)} sets of vertices need as many labels, got {len(labels)}")
    looks = [
        shape | paint
        for shape, paint in zip(_coordinates(steps), _paints(steps, colors, intensity), strict=True)
    ]
    shown = len(steps) // 2
    narrow = triangles.astype(np.uint16 if steps.shape[1] <= 2**16 else np.int32)
    first = looks[0] | looks[shown]  # what does not change stands in the first step only
    mesh = go.Mesh3d(**first, **dict(zip("ijk", narrow.T, strict=True)), **_SURFACE)
    if intensity is not None:
        bar = {"title": colorbar_title, "len": 0.7, "thickness": 14}
        limits = {"cmin": float(np.min(intensity)), "cmax": float(np.max(intensity))}
        mesh.update(**limits, colorscale="Viridis", colorbar=bar)
    figure = go.Figure(mesh, layout=_LAYOUT)
    if len(steps) > 1:
        figure.update_layout(sliders=[_slider(labels, looks, slider, shown)])
    return figure


def _coordinates(steps: NDArray[Any]) -> list[dict[str, NDArray[np.int16]]]:
    """x, y and z (m,) of every step of vertices (s, m, 3), on one scale, in 16 bits."""
    low, high = steps.min(axis=(0, 1)), steps.max(axis=(0, 1))
    scale = (2**15 - 1) / max((high - low).max() / 2, 1e-12)
    quantized = np.rint((steps - (low + high) / 2) * scale).astype(np.int16)
    return [dict(zip("xyz", step.T, strict=True)) for step in quantized]


def _paints(
    steps: NDArray[Any], colors: ArrayLike | None, intensity: ArrayLike | None
) -> list[dict[str, Any]]:
    """The colour attributes of every step; all but the first are empty where nothing changes."""
    s, m = steps.shape[:2]
    nothing: list[dict[str, Any]] = [{}] * (s - 1)
    if colors is not None and intensity is not None:
        raise MaterialError("give either colors or intensity, not both")
    if colors is not None:
        values = np.asarray(colors)
        values = values if values.dtype == np.uint8 else to_uint8(values)
        name, attribute, shape = "colors", "vertexcolor", [m, 3]
    elif intensity is not None:
        values = np.asarray(intensity, np.float32)
        name, attribute, shape = "intensity", "intensity", [m]
    else:
        return [{"color": "rgb({},{},{})".format(*to_uint8(CLAY))}, *nothing]
    if list(values.shape) == shape:
        return [{attribute: values}, *nothing]
    if list(values.shape) != [s, *shape]:
        raise MaterialError(
            f"{name} has shape {values.shape}; {s} sets of {m} vertices need {tuple(shape)} or "
            f"{(s, *shape)}"
        )
    return [{attribute: value} for value in values]


def _slider(
    labels: Sequence[str], looks: list[dict[str, Any]], title: str, shown: int
) -> dict[str, Any]:
    """A slider whose steps hold what they show: a page then needs no list of frames beside it."""
    at_once = {"mode": "immediate", "frame": {"duration": 0}, "transition": {"duration": 0}}
    contents = [[{"data": [look], "traces": [0]}, at_once] for look in looks]
    return {
        "active": shown,
        "currentvalue": {"prefix": title},
        "pad": {"t": 10, "b": 10, "l": 20, "r": 20},
        "steps": [
            {"label": label, "method": "animate", "args": content}
            for label, content in zip(labels, contents, strict=True)
        ],
    }


def dots(series: Mapping[str, tuple[ArrayLike, ArrayLike]], *, side: int = 64) -> go.Figure:
    """Dots in the plane, each of which shows its picture when it is pointed at.

    series  {name: (points, pictures)}, (n, 2) and (n, h, w, 3) uint8 each
    side    pixels along a side, to which pictures are shrunk: some 2 kB each

    The book's pages show the pictures; elsewhere, plotly shows the names alone. Raises
    `MaterialError` if there are not as many pictures as points.
    """
    figure = go.Figure()
    for name, (points, pictures) in series.items():
        places, images = np.asarray(points), np.asarray(pictures)
        if len(places) != len(images) or places.shape[1:] != (2,):
            raise MaterialError(
                f"{name}: points of shape {places.shape} need as many pictures, not {len(images)}"
            )
        figure.add_scatter(
            x=places[:, 0].astype(np.float32),
            y=places[:, 1].astype(np.float32),
            mode="markers",
            name=name,
            marker={"size": 6, "opacity": 0.75},
            customdata=[_address(image, side) for image in images],
            hovertemplate=f"{name} %{{pointNumber}}<extra></extra>",
        )
    hidden = {"showticklabels": False, "zeroline": False}
    figure.update_layout(
        height=520,
        hovermode="closest",
        legend={"orientation": "h", "y": 1.08},
        xaxis=hidden,
        yaxis={**hidden, "scaleanchor": "x"},
    )
    return figure


def _address(image: NDArray[np.uint8], side: int) -> str:
    """A picture as the address of itself."""
    content = io.BytesIO()
    small = Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS)
    small.save(content, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
