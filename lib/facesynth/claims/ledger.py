"""The paper's claims, in its order, each with the rule that decides it.

A rule is stricter than "ours points the same way": a difference counts when it is larger than the
uncertainties of both sides together.
"""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from string import Formatter
from typing import Any

from facesynth.claims.measured import Measured, Numbers


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    name     of its row on the page, and in links
    source   where the paper has it
    says     what it claims
    rule     what decides it here, in words; `decide` is the same in code
    paper    its number, as it prints it
    chapter  of the book that measures it; figure, the label of its picture there
    code     module:object that does what the claim is about
    here     what is shown of our numbers, a format
    decide   takes the numbers that are shown; None where ours cannot tell
    """

    name: str
    source: str
    says: str
    rule: str
    paper: str
    chapter: str
    figure: str
    code: str
    here: str
    decide: Callable[[Numbers], bool | None]

    @property
    def needs(self) -> set[str]:
        """Names of the numbers that are shown."""
        return {name for _, name, _, _ in Formatter().parse(self.here) if name is not None}

    def line(self) -> tuple[str, int]:
        """The file of `code`, from the source root on, and the line where it begins."""
        module, _, name = self.code.partition(":")
        of: Any = importlib.import_module(module)
        for part in name.split("."):
            of = getattr(of, part)
        of = getattr(of, "fget", of)  # a property's function
        return module.replace(".", "/") + ".py", inspect.getsourcelines(of)[1]


def _fewer(*rows: tuple[str, str]) -> Callable[[Numbers], bool]:
    """Decide that the first of each pair of numbers is below the second."""

    def decide(n: Numbers) -> bool:
        return all(n[a].below(n[b]) for a, b in rows)

    return decide


CLAIMS = (
    Claim(
        name="normal-prior",
        source="Section 3.2, Figure 1",
        says="The normal distribution that 3DMM coefficients are drawn from is not that of real faces.",
        rule="A classifier tells drawn from real coefficients, with an area under its curve above 0.6.",
        paper="a picture",
        chapter="02_morphable_model",
        figure="fig-mds",
        code="facesynth.morphable_model:MorphableModel.sample_coefficients",
        here="area under the curve {apart:.2f} (chance: 0.5)",
        decide=lambda n: Measured(0.6).below(n["apart"]),
    ),
    Claim(
        name="smooth",
        source="Section 3.2, Figure 1",
        says="Faces of a 3DMM tend to be over-smoothed.",
        rule="At the paper's ratio of faces to components, drawn textures have less than nine tenths "
        "of the fine contrast of real ones.",
        paper="a picture",
        chapter="02_morphable_model",
        figure="fig-power",
        code="facesynth.morphable_model:MorphableModel.sample",
        here="{contrast few:.0%} of the contrast at the paper's ratio, {contrast all:.0%} with all components",
        decide=lambda n: n["contrast few"].below(Measured(0.9)),
    ),
    Claim(
        name="correlation",
        source="Sections 3.2 and 7.2, Figure 8",
        says="Texture and geometry are correlated.",
        rule="On people that it was not found on, the first canonical correlation is above that of "
        "textures handed to other people.",
        paper="a picture",
        chapter="07_geometry_fitting",
        figure="fig-8",
        code="facesynth.evaluation.fitting_scores:canonical_correlations",
        here="{unseen:.2f} on unseen people, {permuted:+.2f} with textures exchanged",
        decide=_fewer(("permuted", "unseen")),
    ),
    Claim(
        name="mapping",
        source="Section 5.3, Figure 3",
        says="The universal mapping keeps details better than the earlier one where they matter.",
        rule="At equal size, its textures are closer to the scan's around the eyes, on the nose and "
        "on the lips.",
        paper="“a slightly better resolution”",
        chapter="04_universal_mapping",
        figure="fig-back",
        code="facesynth.mapping.universal_mapping:parameterize",
        here="off by {eyes:.1f}, {nose:.1f} and {lips:.1f} grey levels at eyes, nose and lips; the earlier "
        "one {eyes before:.1f}, {nose before:.1f} and {lips before:.1f}",
        decide=_fewer(("eyes", "eyes before"), ("nose", "nose before"), ("lips", "lips before")),
    ),
    Claim(
        name="no-red-circles",
        source="Section 6, Figure 6",
        says="A GAN that is given the masks never makes the damage of its training images.",
        rule="Red shows in at most 1 % of the images of the GAN of the paper's size, and of every masked "
        "GAN of the experiment; without masks, in over a quarter.",
        paper="a picture",
        chapter="05_corrupted_data",
        figure="fig-large",
        code="facesynth.gan.masks:apply_mask",
        here="red in {large:.2%} of the images; at most {masked:.2%} of any masked GAN, {plain:.0%} without masks",
        decide=lambda n: (
            n["large"].below(Measured(0.01))
            and n["masked"].value <= 0.01
            and Measured(0.25).below(n["plain"])
        ),
    ),
    Claim(
        name="masks-hide",
        source="Section 6, Figure 5",
        says="The discriminator cannot tell real from fake images by their masks.",
        rule="A linear model predicts no more of a scan's texture from its own mask than from somebody "
        "else's, by 0.01 of the variance.",
        paper="a statement",
        chapter="06_face_gan",
        figure="fig-given-away",
        code="facesynth.gan.masks:apply_mask",
        here="masks of scans give away {mask tells:.0%} of the texture's variance, exchanged ones {exchanged:.0%}",
        decide=lambda n: n["mask tells"].value < max(n["exchanged"].value, 0) + 0.01,
    ),
    Claim(
        name="masks-worth",
        source="Section 6",
        says="Scans with damage are better used, with masks, than thrown away.",
        rule="Over several trainings, the distance to clean held-out scans is less with them, beyond its "
        "standard errors.",
        paper="a statement",
        chapter="06_face_gan",
        figure="fig-masks",
        code="facesynth.face_gan.release:compare",
        here="they change the distance, of {clean:.1f}, by {difference:+.1f}",
        decide=lambda n: n["difference"].below(Measured(0.0)),
    ),
    Claim(
        name="masks-share",
        source="Sections 5.4 and 11",
        says="Masks save a fifth of the data.",
        rule="None: how many scans are damaged was set when our scanner was made.",
        paper="4,963 scans became 3,679: 26 %, called 25 % once and 20 % twice",
        chapter="06_face_gan",
        figure="fig-scans",
        code="facesynth.dataset.canonical:canonical_texture",
        here="{damaged:.0%} of the scans have more than a twentieth of the face hidden",
        decide=lambda n: None,
    ),
    Claim(
        name="mirrors",
        source="Section 8",
        says="Mirroring X, Y and Z each on its own makes valid faces, eight of one.",
        rule="By the morphable model, the median mirrored face is no further from the mean than nine in "
        "ten faces that are not mirrored.",
        paper="a statement",
        chapter="06_face_gan",
        figure="fig-geometry-images",
        code="facesynth.face_gan.geometry_images:eightfold",
        here="Mahalanobis distance {mirrored:.1f} at most in the median; unmirrored, nine in ten are below {nine in ten:.1f}",
        decide=lambda n: n["mirrored"].value <= n["nine in ten"].value,
    ),
    Claim(
        name="geometry-gan",
        source="Section 8, Figure 11",
        says="A GAN of geometry images makes faces.",
        rule="At most one generated mesh in twenty has more triangles turned over, longer edges, or is "
        "further from the mean, than every held-out scan.",
        paper="a picture",
        chapter="06_face_gan",
        figure="fig-sound",
        code="facesynth.face_gan.geometry_images:GeometryImages.to_geometry",
        here="{turned:.1%} are turned over, {stretched:.1%} stretched and {far:.1%} further from the mean than any",
        decide=lambda n: all(n[k].value <= 0.05 for k in ("turned", "stretched", "far")),
    ),
    Claim(
        name="least-squares",
        source="Section 7.2, Figures 9 and 10",
        says="Of four ways to fit a geometry to a texture, least squares are the best.",
        rule="On held-out people, each of the other three is further off, beyond the 95 % interval of the "
        "difference.",
        paper="“It is clear that the LS approach obtains the best results”",
        chapter="07_geometry_fitting",
        figure="fig-methods",
        code="facesynth.geometry_fitting:LeastSquaresFit",
        here="{least squares:.2f} mm a vertex; maximum likelihood {likelihood more:+.2f}, nearest {nearest more:+.2f} and "
        "random {random more:+.2f} mm from that",
        decide=lambda n: all(
            Measured(0).below(n[f"{k} more"]) for k in ("likelihood", "nearest", "random")
        ),
    ),
    Claim(
        name="similar-geometry",
        source="Section 7.2, Figure 9",
        says="Geometries found from the texture alone are “surprisingly very similar to the true ones”.",
        rule="They are closer to the truth than the mean geometry by a fifth or more.",
        paper="a picture; the mean is not given",
        chapter="07_geometry_fitting",
        figure="fig-9",
        code="facesynth.geometry_fitting:LeastSquaresFit",
        here="{least squares:.2f} mm; the mean geometry {mean:.2f} mm",
        decide=lambda n: n["least squares"].value <= 0.8 * n["mean"].value,
    ),
    Claim(
        name="expressions",
        source="Section 9, Figure 12",
        says="A linear model of differences from the neutral face makes expressions.",
        rule="It rebuilds those of held-out people to within half of what they move.",
        paper="a picture",
        chapter="08_expressions",
        figure="fig-variance",
        code="facesynth.expressions:ExpressionModel",
        here="off by {rebuilt:.2f} mm a vertex, of {moved:.2f} mm that they move",
        decide=lambda n: n["rebuilt"].value <= n["moved"].value / 2,
    ),
    Claim(
        name="neutral",
        source="Section 9",
        says="A neutral geometry can be learned from textures of any expression.",
        rule="On held-out people it is closer to the truth than the mean neutral face.",
        paper="a suggestion",
        chapter="08_expressions",
        figure="fig-neutral",
        code="facesynth.dataset.training_set:TrainingSet.neutral_geometry",
        here="off by {neutral:.2f} mm; the mean by {mean neutral:.2f} mm",
        decide=_fewer(("neutral", "mean neutral")),
    ),
    Claim(
        name="plate",
        source="Section 10, Figure 13",
        says="Generated faces take expressions, poses and lights, and stay who they are.",
        rule="Nine in ten generated faces with an expression added are recognised as who they were, at "
        "the threshold of equal errors on scans.",
        paper="a picture",
        chapter="09_evaluation",
        figure="fig-13",
        code="facesynth.evaluation.identity:describe",
        here="{kept:.0%} are recognised; of scans of one person, {recognised:.0%}",
        decide=lambda n: Measured(0.9).below(n["kept"]),
    ),
    Claim(
        name="shifted-gaussian",
        source="Section 10, Figure 14 left",
        says="Distances of generated faces to the nearest training scan are a shifted Gaussian: they lie "
        "between the real ones and not near them.",
        rule="Kolmogorov's test does not tell them from a Gaussian at 1 %, and their middle is further "
        "off than that of two scans of one person.",
        paper="a histogram",
        chapter="09_evaluation",
        figure="fig-14",
        code="facesynth.evaluation.identity:distances",
        here="{middle:.3f} in the middle, two scans of one person {same:.3f}; p = {p:.2g}",
        decide=lambda n: n["same"].below(n["middle"]) and n["p"].value > 0.01,
    ),
    Claim(
        name="generalises",
        source="Section 10, Figure 14 right",
        says="Generated faces come near to people that the generator has not seen.",
        rule="The median distance of held-out scans to the nearest of as many generated faces is at most a "
        "tenth more than to the nearest training scan.",
        paper="a diagram",
        chapter="09_evaluation",
        figure="fig-14",
        code="facesynth.evaluation.identity:distances",
        here="{generated to test:.3f} to the nearest generated face, {train to test:.3f} to the nearest of as "
        "many training scans",
        decide=lambda n: n["generated to test"].value <= 1.1 * n["train to test"].value,
    ),
    Claim(
        name="new-identities",
        source="Section 10, Figures 14 and 15",
        says="Generated faces “cannot be considered as the same identity” as their nearest training scan.",
        rule="No more of them than of people held out are taken for a training subject, at the threshold "
        "of equal errors, beyond the errors of both shares.",
        paper="pictures",
        chapter="09_evaluation",
        figure="fig-15",
        code="facesynth.evaluation.identity:distances",
        here="{taken:.0%} are taken for somebody of the training set; of people held out {held out taken:.0%}",
        decide=lambda n: not n["held out taken"].below(n["taken"]),
    ),
    Claim(
        name="table-1",
        source="Table 1",
        says="Generated textures are closer to real ones than those of principal components, at every level.",
        rule="So they are, beyond the errors, at every level.",
        paper="17.67 against 99.08 in the mean",
        chapter="09_evaluation",
        figure="fig-tables",
        code="facesynth.evaluation.swd:sliced_wasserstein",
        here="{textures:.1f} against {textures pca:.1f} in the mean (real: {textures real:.1f}); closer at {textures levels:.0f} of "
        "{levels:.0f} levels",
        decide=lambda n: n["textures levels"].value == n["levels"].value,
    ),
    Claim(
        name="table-2",
        source="Table 2",
        says="So are generated geometries.",
        rule="So they are, beyond the errors, at every level.",
        paper="20.61 against 65.61 in the mean",
        chapter="09_evaluation",
        figure="fig-tables",
        code="facesynth.evaluation.swd:sliced_wasserstein",
        here="{geometries:.1f} against {geometries pca:.1f} in the mean (real: {geometries real:.1f}); closer at {geometries levels:.0f} of "
        "{geometry levels:.0f} levels",
        decide=lambda n: n["geometries levels"].value == n["geometry levels"].value,
    ),
    Claim(
        name="table-3",
        source="Table 3",
        says="The identities of generated faces are closer to real ones than those of a 3DMM.",
        rule="So they are, to the training scans and to held-out ones, beyond the errors.",
        paper="35.82 against 59.88 to train, 62.09 against 75.3 to test; train to test 42.4",
        chapter="09_evaluation",
        figure="fig-table-3",
        code="facesynth.evaluation.swd:distance",
        here="{generated to train SWD:.1f} against {3dmm to train SWD:.1f} to train, {generated to test SWD:.1f} against "
        "{3dmm to test SWD:.1f} to test; train to test {train to test SWD:.1f}",
        decide=_fewer(
            ("generated to train SWD", "3dmm to train SWD"),
            ("generated to test SWD", "3dmm to test SWD"),
        ),
    ),
    Claim(
        name="t-sne",
        source="Section 10, Figure 16",
        says="Generated identities cover the real ones better than a 3DMM's.",
        rule="Of real identities, more have a generated one within reach of their neighbours than one of the "
        "3DMM (coverage), beyond the errors.",
        paper="a picture",
        chapter="09_evaluation",
        figure="fig-16",
        code="facesynth.evaluation.identity:describe",
        here="coverage {coverage:.2f}, of the 3DMM {coverage 3dmm:.2f}, of other real ones {coverage real:.2f}",
        decide=_fewer(("coverage 3dmm", "coverage")),
    ),
    Claim(
        name="labels",
        source="Section 10, Figure 16 right",
        says="The nearest cluster annotates faces.",
        rule="On people held out, gender, ancestry and age are each right more often than their commonest "
        "value, beyond the errors.",
        paper="a picture",
        chapter="09_evaluation",
        figure="fig-confusion",
        code="facesynth.evaluation.annotation:Annotator",
        here="right in {gender:.0%} (gender), {ancestry:.0%} (ancestry) and {age:.0%} (age group); by guessing "
        "{gender guessed:.0%}, {ancestry guessed:.0%} and {age guessed:.0%}",
        decide=_fewer(
            ("gender guessed", "gender"), ("ancestry guessed", "ancestry"), ("age guessed", "age")
        ),
    ),
)
