"""Non-rigid alignment: what it recovers of a known face, and what must not lead it astray."""

import dataclasses

import alignment_peers
import another_face
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facesynth import population
from facesynth.alignment import deformation
from facesynth.alignment import registration as alignment
from facesynth.alignment.registration import (
    AlignmentError,
    Problem,
    Weights,
    flipped,
    gradient_descent,
    nonrigid,
)
from facesynth.people import real_data
from facesynth.scans import Scan, landmarks
from facesynth.scans.scanned_surface import ScannedSurface
from facesynth.surface.mesh import MeshError
from facesynth.surface.similarity import TooFewPointsError
from facesynth.template import standard
from facesynth.virtual_scanner import Scanner, scan

COARSE = Scanner(photograph=128, spacing=2.0)  # quick
GREY = np.full((64, 64, 3), 150, np.uint8)
SUBJECTS = ((1, 1), (0, 2))  # one smiles, the other is surprised
CHEEK = np.array([38.0, -15.0])  # mm from the tip of the nose, across and up


@pytest.fixture(scope="module")
def scans():
    people = population.sample(len(SUBJECTS), 77, expressions=True, whole=True, progress=False)
    return [scan(people.expressions[i, k], GREY, seed=[5, i], settings=COARSE) for i, k in SUBJECTS]


@pytest.fixture(scope="module")
def results(scans):
    return [nonrigid(s, marks(s)) for s in scans]


@pytest.fixture(scope="module")
def first(scans):
    return scans[0]


def marks(virtual):
    """The true landmarks (43, 3)."""
    return virtual.truth.vertices[standard().landmarks]


def with_mesh(virtual, vertices=None, faces=slice(None)):
    """The scan with other vertices, or with some of its faces only."""
    return Scan(
        virtual.vertices if vertices is None else vertices,
        virtual.faces[faces],
        virtual.uv[faces],
        virtual.photograph[faces],
        virtual.photographs,
    )


def distance(a, b):
    return np.linalg.norm(a - b, axis=1)


def test_every_point_of_a_known_face_is_found(scans, results):
    for virtual, result in zip(scans, results, strict=True):
        surface = ScannedSurface(virtual)
        median, most, at_landmarks, gap = alignment.errors(result, virtual.truth.vertices, surface)
        assert median < 1
        assert most < 3
        assert at_landmarks < 1.5
        assert gap < 0.1


def test_hardly_a_triangle_is_turned_away_from_the_true_one(scans, results):
    faces = standard().faces
    for virtual, result in zip(scans, results, strict=True):
        assert flipped(result, virtual.truth.vertices, faces).mean() < 0.005  # all at the lips


def test_a_notion_of_faces_is_better_than_smoothness_alone(scans, results):
    for virtual, result in zip(scans, results, strict=True):
        surface, truth = ScannedSurface(virtual), virtual.truth.vertices
        alone = nonrigid(surface, marks(virtual), prior=deformation.smooth(standard()))
        ours, without = (alignment.errors(r, truth, surface) for r in (result, alone))
        assert ours[0] < without[0]
        assert ours[1] < without[1]


@pytest.mark.parametrize("apart", [0.028, another_face.APART])
def test_another_template_is_brought_to_its_true_places(scans, apart):
    template, places = another_face.template(apart)
    for virtual in scans:
        truth = places @ virtual.truth.vertices
        surface = ScannedSurface(virtual)
        start = Problem(surface, marks(virtual), template).frame.apply(template.vertices)
        result = nonrigid(surface, marks(virtual), template)
        found, before = (alignment.errors(v, truth, surface, template) for v in (result, start))
        assert found[0] < 4
        assert found[2] < 2.5
        assert found[3] < 0.1
        # Not the 95th percentile: below an opened mouth smoothness alone loses the chin.
        assert all(found[k] < before[k] for k in (0, 2, 3))


def test_modes_follow_the_surface_less_where_they_describe_it_less_well(first):
    template, _ = another_face.template(0.028)
    assert deformation.prior(standard()).misfit < deformation.prior(template).misfit
    surface, gaps = ScannedSurface(first), []
    for misfit in (0.4, 10.0):
        passed = []
        prior = dataclasses.replace(deformation.prior(template), misfit=misfit)
        nonrigid(surface, marks(first), template, prior=prior, callback=passed.append)
        smooth = passed[alignment.MODE_ROUNDS]
        gaps.append(alignment.errors(smooth, smooth, surface, template)[3])
    assert gaps[0] < gaps[1]


def test_a_moved_scan_gives_the_moved_result(first, results):
    turn = Rotation.from_rotvec([15, 30, -10], degrees=True)

    def moved(points):
        return 0.1 * turn.apply(points) + [1e4, -4e3, 9e4]

    result = nonrigid(with_mesh(first, moved(first.vertices)), moved(marks(first)))
    assert distance(result, moved(results[0])).max() < 0.005


def test_the_edge_of_a_hole_does_not_pull(first, results):
    truth = first.truth.vertices
    face = standard()
    nose = face.vertices[:, 2].argmax()
    centre = truth[distance(face.vertices[:, :2], face.vertices[nose, :2] + CHEEK).argmin()]
    middles = first.vertices[first.faces].mean(axis=1)
    kept = distance(middles, centre) > 25
    assert not kept.all()
    result = nonrigid(with_mesh(first, faces=kept), marks(first))
    inside = distance(truth, centre) < 25
    assert inside.sum() > 100
    assert np.median(distance(result, results[0])[inside]) < 1
    assert distance(result, results[0])[inside].max() < 2
    inner_lips = (face.regions["mouth"] + face.regions["lips"])[face.faces].max(axis=1) > 0
    assert not flipped(result, results[0], face.faces[~inner_lips]).any()


def test_a_wrong_landmark_is_outvoted(first, results):
    wrong = marks(first)
    wrong[3] += [0.0, 30.0, 0.0]
    off = distance(nonrigid(first, wrong), results[0])
    assert np.median(off) < 0.3
    assert off.max() < 5


def test_an_unknown_landmark_is_left_out(first, results):
    some = marks(first)
    some[[3, 20]] = np.nan
    result = nonrigid(first, some)
    assert np.isfinite(result).all()
    assert np.median(distance(result, results[0])) < 0.3


def test_a_landmark_is_doubted_by_how_far_off_it_is(first):
    known = marks(first)
    known[7] = np.nan
    problem = Problem(first, known)
    start = standard().vertices
    problem.landmarks = problem.marked @ start
    limit = alignment.LANDMARK_OUTLIER
    problem.landmarks[3] += [0.0, limit, 0.0]
    problem.landmarks[5] += [0.0, 0.0, 3 * limit]
    problem.doubt(start)
    expected = np.ones(43)
    expected[[3, 5, 7]] = 1 / 4, 1 / 100, 0
    np.testing.assert_allclose(problem.reliance, expected, atol=1e-12)


def test_an_unknown_landmark_does_not_pull_in_gradient_descent(first):
    some = marks(first)
    some[[3, 20]] = [np.nan, np.inf, 0.0]
    start = Problem(first, some).frame.apply(standard().vertices)
    alone = Weights(surface=0.0, smoothness=0.0)
    result = gradient_descent(first, some, rounds=3, weights=alone)
    moved = distance(result, start)[standard().landmarks] > 1e-6
    np.testing.assert_array_equal(np.flatnonzero(~moved), [3, 20])


def test_vertices_without_a_triangle_do_not_matter(first, results):
    strays = np.random.default_rng(0).normal(0, 100, (50, 3))
    result = nonrigid(with_mesh(first, np.concatenate([first.vertices, strays])), marks(first))
    assert result.tobytes() == results[0].tobytes()


def test_landmarks_that_are_elsewhere_are_refused(first):
    for shift in (40.0, 400.0):
        with pytest.raises(AlignmentError, match="landmarks put it"):
            nonrigid(first, marks(first) + [0.0, 0.0, shift])
    with pytest.raises(AlignmentError, match="in order"):
        nonrigid(first, np.random.default_rng(0).permutation(marks(first)))


@pytest.mark.parametrize("shape", [(42, 3), (43, 2), (129,)])
def test_landmarks_of_another_shape_are_refused(first, shape):
    with pytest.raises(AlignmentError, match=r"expected \(43, 3\)"):
        nonrigid(first, np.zeros(shape))


def test_two_landmarks_are_too_few(first):
    few = np.full((43, 3), np.nan)
    few[:2] = marks(first)[:2]
    with pytest.raises(TooFewPointsError, match="2 pairs"):
        nonrigid(first, few)


@pytest.mark.parametrize(
    ("term", "most"), [("landmarks", 0.01), ("surface", 0.1), ("smoothness", 0.1)]
)
def test_a_term_may_be_left_out(first, results, term, most):
    weights = Weights(**{term: 0.0})
    result = nonrigid(first, marks(first), weights=weights)
    assert np.isfinite(result).all()
    assert distance(result, results[0]).max() > most
    assert np.median(distance(result, first.truth.vertices)) < 2
    descended = gradient_descent(first, marks(first), rounds=2, weights=weights)
    assert np.isfinite(descended).all()


def test_the_terms_are_measured_whatever_they_weigh(first):
    start = standard().vertices
    as_ever = Problem(first, marks(first)).terms(start)
    unweighted = Problem(first, marks(first), weights=Weights(0, 0, 0)).terms(start)
    assert unweighted == as_ever
    assert as_ever["bending"] == 0
    assert as_ever["landmarks"] > 1


def test_what_a_detector_misses_is_forgotten(first, monkeypatch):
    missed = marks(first).copy()
    missed[19:31] += [0, 6, 0]  # eyes seen where brows are
    off = []
    for again in (alignment.AGAIN, alignment.MODE_ROUNDS + 1):
        monkeypatch.setattr(alignment, "AGAIN", again)
        off.append(np.median(distance(nonrigid(first, missed), nonrigid(first, marks(first)))))
    assert off[0] < 0.5 * off[1]


def test_the_template_is_placed_anew_by_what_the_surface_shows(first, monkeypatch):
    """Landmarks that make the face a tenth larger, and turn it, then move it by less."""
    known = marks(first)
    middle = np.nanmean(known, axis=0)
    turn = Rotation.from_rotvec([5, 0, 0], degrees=True).as_matrix()
    wrong = 1.1 * (known - middle) @ turn.T + middle
    moved = []
    for rounds in (alignment.REFRAMED, ()):
        monkeypatch.setattr(alignment, "REFRAMED", rounds)
        moved.append(np.median(distance(nonrigid(first, wrong), nonrigid(first, known))))
    assert moved[0] < 0.7 * moved[1]


def test_a_triangle_without_area_does_no_harm(first, results):
    corner = first.faces[:200, [0, 1, 1]]  # beside the triangles that have these corners
    patched = Scan(
        first.vertices,
        np.concatenate([first.faces, corner]),
        np.concatenate([first.uv, first.uv[:200]]),
        np.concatenate([first.photograph, first.photograph[:200]]),
        first.photographs,
    )
    result = nonrigid(patched, marks(first))
    assert np.isfinite(result).all()
    assert np.median(distance(result, results[0])) < 0.05


def test_gradient_descent_lowers_the_energy(first):
    passed = []
    result = gradient_descent(first, marks(first), rounds=30, callback=passed.append)
    assert len(passed) == 30
    np.testing.assert_array_equal(passed[-1], result)
    problem = Problem(first, marks(first))
    back = problem.frame.inverse()
    shapes = [problem.template.vertices, *(back.apply(v) for v in passed[9::10])]
    terms = [problem.terms(vertices) for vertices in shapes]
    energy = [t["landmarks"] + t["surface"] for t in terms]
    assert (np.diff(energy) < 0).all()
    assert terms[-1]["landmarks"] < terms[0]["landmarks"]
    assert terms[-1]["surface"] < terms[0]["surface"]


def test_a_heavy_surface_does_not_make_the_descent_unstable(first):
    start = Problem(first, marks(first)).frame.apply(standard().vertices)
    result = gradient_descent(first, marks(first), rounds=15, weights=Weights(surface=1e4))
    assert distance(result, start).max() < 15


def test_an_inside_out_scan_is_refused(first):
    inside_out = dataclasses.replace(
        with_mesh(first), faces=first.faces[:, ::-1], uv=first.uv[:, ::-1], name="inside out"
    )
    with pytest.raises(AlignmentError, match="inside out beside it"):
        nonrigid(inside_out, marks(first))


def test_the_callback_is_called_after_every_round(first, results):
    passed = []
    result = nonrigid(first, marks(first), callback=passed.append)
    assert len(passed) == 1 + alignment.MODE_ROUNDS + len(alignment.STIFFNESS)
    truth = first.truth.vertices
    assert np.median(distance(passed[-1], truth)) < np.median(distance(passed[0], truth))
    assert np.median(distance(passed[-1], result)) < 1e-9  # but for what was unfolded
    smooth = passed[alignment.MODE_ROUNDS]
    assert not flipped(result, smooth, standard().faces).any()
    assert result.tobytes() == results[0].tobytes()


def test_a_turned_triangle_is_flipped_and_a_moved_one_is_not():
    triangles = np.array([[0, 1, 2], [1, 3, 2]])
    flat = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=float)
    assert not flipped(flat * 2 + 7, flat, triangles).any()
    folded = flat.copy()
    folded[3] = [0.2, 0.2, 0.0]  # over the edge from 1 to 2
    np.testing.assert_array_equal(flipped(folded, flat, triangles), [False, True])


def test_what_flips_triangles_is_taken_back(first, results, monkeypatch):
    """Vertices strewn by 30 mm, where those of the template are about 2 mm apart."""
    faces = standard().faces
    smooth = {}

    def strew(problem, vertices, report):
        smooth["vertices"] = problem.frame.apply(vertices)
        return vertices + np.random.default_rng(0).normal(0, 30, vertices.shape)

    monkeypatch.setattr(alignment, "_move_vertices", strew)
    result = nonrigid(first, marks(first))
    reference = smooth["vertices"]
    assert distance(result, reference).max() > 0.01
    assert not flipped(result, reference, faces).any()


def test_a_scan_shows_what_lies_on_it_and_not_what_is_cut_off(first):
    truth = first.truth.vertices
    left = first.vertices[first.faces].mean(axis=1)[:, 0] < truth[:, 0].mean()
    half = alignment.shown(truth, ScannedSurface(with_mesh(first, faces=left)))
    whole = alignment.shown(truth, ScannedSurface(first))
    far = truth[:, 0] > truth[:, 0].mean() + 3
    assert whole.mean() > 0.5
    assert not half[far].any()
    assert half[~far].sum() > 0.9 * whole[~far].sum()


def test_an_unusable_scan_is_refused(first):
    broken = first.vertices.copy()
    broken[0] = np.nan
    with pytest.raises(MeshError):
        nonrigid(with_mesh(first, broken), marks(first))


def test_methods_are_compared_on_the_same_scans():
    methods = alignment_peers.available()
    ours = ("facesynth", "facesynth, smoothness alone")
    assert set(ours) <= set(methods)
    methods = {name: methods[name] for name in ours}
    scans = alignment_peers.scanned(1, 9)
    table = alignment_peers.compare(scans, methods)
    other = alignment_peers.compare(scans, methods, *another_face.template(0.028))
    for rows in (table, other):
        assert list(rows) == list(ours)
        for row in rows.values():
            assert row.shape == (1, 5)
            assert (row > 0).all()
    assert table[ours[0]][0, 1] < table[ours[1]][0, 1]


@pytest.mark.usefixtures("real_data_folder")
def test_a_real_scan_by_found_and_by_given_landmarks():
    james = Scan.load(real_data.james())
    surface = ScannedSurface(james)
    by_found = nonrigid(surface, landmarks.detect(james), marked=standard().at_detected)
    by_given = nonrigid(surface, james.landmarks)
    for vertices in (by_found, by_given):
        places = surface.nearest(vertices)
        gap = np.linalg.norm(surface.points(places) - vertices, axis=1)
        assert np.median(gap[~surface.on_border(places)]) < 0.1
    assert np.median(np.linalg.norm(by_found - by_given, axis=1)) < 2
