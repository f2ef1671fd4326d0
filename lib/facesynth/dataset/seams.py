"""Photographs of one face brought to one exposure where they meet.

Two cameras differ in brightness and in white balance, and each sees its own light. Where a texture
passes from one photograph to the next, its colour jumps. As in Lempitsky and Ivanov (2007), each
chart gets a smooth correction of its own, such that corrected colours agree across the seams:
detail stays as it is, on the seam too.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.sparse import coo_array, diags_array

from facesynth.surface.mesh import FloatArray, IntArray, factorize

CELLS = 64  # along the image's side: the corrections' grid
DARK = 0.01  # linear: colours below this are corrected by adding rather than by a factor
STIFF = 1.0  # of a correction, against its agreement across a seam
ANCHOR = 1e-4  # pulls the corrections to zero on the whole, so that the mean exposure stays
LARGE = 0.005  # of the image's area: a chart from this size is corrected smoothly within a cell


def level_seams(image: NDArray[np.floating], chart: NDArray[np.integer]) -> NDArray[np.float32]:
    """Remove the steps between charts.

    image : (R, R, 3) linear RGB. chart : (R, R), which picture each pixel is from; -1 is none, and
    stays as it is. The corrections g of the logarithms minimise

        sum over seams ((l + g)_i - (l + g)_j)² + STIFF sum over neighbours (g_i - g_j)²,

    where i and j are neighbouring pixels of different charts, and neighbours are of one chart.
    """
    if len(np.unique(chart[chart >= 0])) < 2:
        return np.asarray(image, np.float32)
    node, at = _nodes(chart)
    light = np.log(np.asarray(image, np.float64) + DARK)
    gain = _solve(light, chart, node, at)
    correction = _spread(gain, chart, node, at)
    corrected = np.exp(light + correction) - DARK
    return np.where(chart[..., None] >= 0, corrected, image).clip(0, 1).astype(np.float32)


def _nodes(chart: NDArray[np.integer]) -> tuple[IntArray, IntArray]:
    """The grid's node (R, R) of each pixel, -1 for none, and every node's chart, row and column.

    A cell has a node for each chart that is seen in it.
    """
    size = len(chart)
    cell = np.arange(size) * CELLS // size
    key = (chart.astype(np.int64) * CELLS + cell[:, None]) * CELLS + cell
    inside = chart >= 0
    unique, inverse = np.unique(key[inside], return_inverse=True)
    node = np.full(chart.shape, -1)
    node[inside] = inverse
    return node, np.column_stack([unique // CELLS**2, unique // CELLS % CELLS, unique % CELLS])


def _solve(
    light: FloatArray, chart: NDArray[np.integer], node: IntArray, at: IntArray
) -> FloatArray:
    """The corrections (n, 3) at the nodes."""
    n = len(at)
    pairs, steps = [], []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        seam = (chart[here] != chart[there]) & (node[here] >= 0) & (node[there] >= 0)
        pairs.append(np.stack([node[here][seam], node[there][seam]]))
        steps.append((light[there] - light[here])[seam])
    (a, b), step = np.concatenate(pairs, axis=1), np.concatenate(steps)
    across = np.full(len(a), CELLS / len(chart))  # a cell's worth of a seam counts once
    i, j = _neighbours(at)
    weight = np.concatenate([across, np.full(len(i), STIFF)])
    first, second = np.concatenate([a, i]), np.concatenate([b, j])
    laplacian = coo_array((weight, (first, second)), shape=(n, n)).tocsr()
    laplacian = laplacian + laplacian.T
    system = diags_array(laplacian.sum(axis=1) + ANCHOR) - laplacian
    pull = np.zeros((n, 3))
    np.add.at(pull, a, across[:, None] * step)
    np.add.at(pull, b, -across[:, None] * step)
    return np.asarray(factorize(system).solve(pull))


def _neighbours(at: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs of nodes of one chart in neighbouring cells."""
    key = (at[:, 0] * (CELLS + 1) + at[:, 1]) * (CELLS + 1) + at[:, 2]  # ascending
    pairs = []
    for step in (1, CELLS + 1):  # one to the right, one down; a row's end has no neighbour
        found = np.minimum(np.searchsorted(key, key + step), len(key) - 1)
        i = np.flatnonzero(key[found] == key + step)
        pairs.append(np.stack([i, found[i]]))
    first, second = np.concatenate(pairs, axis=1)
    return first, second


def _spread(
    gain: FloatArray, chart: NDArray[np.integer], node: IntArray, at: IntArray
) -> FloatArray:
    """The corrections (R, R, 3) of all pixels, linear between the middles of the cells."""
    size = len(chart)
    result = gain[node]
    number, pixels = np.unique(chart[chart >= 0], return_counts=True)
    for k in number[pixels > LARGE * chart.size]:
        mine = at[:, 0] == k
        grid = np.full((CELLS, CELLS, 3), np.nan)
        grid[at[mine, 1], at[mine, 2]] = gain[mine]
        nearest = distance_transform_edt(
            np.isnan(grid[..., 0]), return_distances=False, return_indices=True
        )
        grid = grid[tuple(nearest)]
        where = np.argwhere(chart == k)
        between = (where.T + 0.5) * CELLS / size - 0.5
        for c in range(3):
            result[where[:, 0], where[:, 1], c] = map_coordinates(
                grid[..., c], between, order=1, mode="nearest"
            )
    return result
