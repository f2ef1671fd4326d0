"""Labels by the nearest cluster, and the descriptors that they are learned from."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from facesynth.dataset import dataset
from facesynth.evaluation import annotation, identity
from facesynth.evaluation.annotation import AGES, Annotator, Identities, IdentitiesError, age_group
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population.sampling import LABELS


@pytest.fixture
def clouds():
    """Descriptors in clusters by label: each label shifts numbers of its own."""
    rng = np.random.default_rng(0)
    labels = np.array(
        [
            (gender, ancestry, age)
            for gender in ("female", "male")
            for ancestry in ("african", "asian", "caucasian")
            for age in (25, 40, 60)
            for _ in range(20)
        ],
        LABELS,
    )
    x = rng.normal(0, 1, (len(labels), 128))
    x[:, 0] += 9 * (labels["gender"] == "male")
    x[:, 1] += 9 * (labels["ancestry"] == "asian") - 9 * (labels["ancestry"] == "african")
    x[:, 2] += 9 * np.searchsorted([30, 45], labels["age"], side="right")
    return x, labels


def test_far_clusters_are_told_apart_with_confidence(clouds):
    x, labels = clouds
    told = Annotator().fit(x[::2], labels[::2]).predict(x[1::2])
    truth = annotation.groups(labels[1::2])
    for name, of in truth.items():
        assert [row[name].name for row in told] == of.tolist()
        assert min(row[name].confidence for row in told) > 0.9


def test_between_two_clusters_confidence_is_a_half(clouds):
    x, labels = clouds
    model = Annotator().fit(x, labels)
    middle = model.clusters_["gender"].means_.mean(axis=0)
    assert model.predict([middle])[0]["gender"].confidence == pytest.approx(0.5, abs=1e-6)


def test_near_is_meant_in_units_of_the_scatter(clouds):
    """A number that scatters widely does not outvote one that hardly does."""
    x, labels = clouds
    x = x.copy()
    x[:, 5] *= 1000
    person = x[labels["gender"] == "male"].mean(axis=0)
    person[5] += 1000
    assert Annotator().fit(x, labels).predict([person])[0]["gender"].name == "male"


@pytest.mark.parametrize(
    ("years", "group"),
    [(18, AGES[0]), (29.9, AGES[0]), (30, AGES[1]), (45, AGES[2]), (80, AGES[2])],
)
def test_age_groups_begin_where_they_say(years, group):
    assert age_group([years])[0] == group


def test_annotators_refuse_what_they_cannot_use(clouds):
    x, labels = clouds
    with pytest.raises(NotFittedError):
        Annotator().predict(x)
    women = labels["gender"] == "female"
    with pytest.raises(IdentitiesError, match="gender is female for all 180 faces"):
        Annotator().fit(x[women], labels[women])
    bad = x.copy()
    bad[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        Annotator().fit(bad, labels)
    with pytest.raises(ValueError, match="features"):
        Annotator().fit(x, labels).predict(x[:, :5])


def test_identities_come_back_as_they_were_written(clouds, tmp_path):
    x, labels = clouds
    n = np.arange(len(x))
    path = tmp_path / annotation.FILE
    annotation.save(path, Identities(n // 5, n % 5, x.astype(np.float32), labels))
    back = annotation.load(path)
    np.testing.assert_array_equal(back.labels, labels)
    np.testing.assert_array_equal(back.subjects, n // 5)
    np.testing.assert_allclose(back.descriptors, x, rtol=1e-3, atol=1e-4)  # half precision
    assert len(back.take(back.expressions == 0)) == 72
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(IdentitiesError, match=r"identities.npz is missing or damaged .*make faces"):
        annotation.load(path)


def test_the_released_identities_are_those_of_the_released_scans():
    known = annotation.released()
    scans = dataset.released(5)
    np.testing.assert_array_equal(known.subjects[: len(scans)], scans.subjects)
    np.testing.assert_array_equal(known.expressions[: len(scans)], scans.expressions)
    some = [0, 7, 24]
    uv = UniversalMapping(scans.template, scans.resolution).uv
    found = identity.describe(
        scans.geometry[some], scans.textures[some], uv, scans.template, n_jobs=1, progress=False
    )
    away = np.linalg.norm(found - known.descriptors[some], axis=1)
    assert away.max() < 0.02  # between machines; two people are 0.4 apart and more


def test_labels_of_the_released_identities_are_mostly_right():
    """Of people whom the annotator has not seen."""
    known = annotation.released()
    other = known.subjects % 4 == 0
    learned, asked = known.take(~other), known.take(other)
    told = Annotator().fit(learned.descriptors, learned.labels).predict(asked.descriptors)
    right = {
        name: np.mean([row[name].name == value for row, value in zip(told, of, strict=True)])
        for name, of in annotation.groups(asked.labels).items()
    }
    assert right["gender"] > 0.9
    assert right["ancestry"] > 0.9
    assert right["age"] > 0.5  # of three groups


def test_unseen_subjects_are_labelled_by_others(clouds):
    x, labels = clouds
    people = Identities(np.arange(len(x)) // 4, np.zeros(len(x), int), x, labels)
    truth = annotation.groups(labels)
    told = annotation.of_unseen(people)
    assert [row["gender"].name for row in told] == truth["gender"].tolist()
    # one subject of a cluster of her own: who was trained without her cannot know her
    alone = np.arange(len(x)) < 4
    odd = labels.copy()
    odd["ancestry"][alone] = "other"
    told = annotation.of_unseen(Identities(people.subjects, people.expressions, x, odd))
    assert "other" not in {row["ancestry"].name for row in told[:4]}


def test_pairs_of_one_group():
    labels = np.array(
        [("female", "asian", 20), ("female", "asian", 29), ("male", "asian", 20)], LABELS
    )
    assert annotation.pairs_of_one_group(labels).tolist() == [True, False, False]
