"""The paper's claims, in its order, each with the rule that decides it.

A rule is stricter than "ours points the same way": a difference counts only if it exceeds the
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

    name     identifies the claim on the page and in links
    source   where the paper makes it
    says     what the paper claims
    rule     the decision rule in words; `decide` is the same rule in code
    paper    the paper's number, as printed
    chapter  the chapter of the book that measures it; figure, the label of its figure there
    code     module:object that implements what the claim is about
    here     a format string for our numbers
    decide   takes the numbers shown and returns the verdict; None where our data cannot decide
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
    """Return a rule: the first number of each pair is below the second."""

    def decide(n: Numbers) -> bool:
        return all(n[a].below(n[b]) for a, b in rows)

    return decide


CLAIMS = (
    Claim(
        name="normal-prior",
        source="Section 3.2, Figure 1",
        says="The normal prior on 3DMM coefficients does not match the distribution of real faces.",
        rule="A classifier distinguishes sampled from real coefficients with an area under the curve above 0.6.",
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
        rule="At the paper's ratio of faces to components, sampled textures have less than 90 % of the "
        "fine contrast of real ones.",
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
        rule="On held-out subjects, the first canonical correlation is higher than with textures "
        "permuted between subjects.",
        paper="a picture",
        chapter="07_geometry_fitting",
        figure="fig-8",
        code="facesynth.evaluation.fitting_scores:canonical_correlations",
        here="{unseen:.2f} on held-out subjects, {permuted:+.2f} with textures permuted",
        decide=_fewer(("permuted", "unseen")),
    ),
    Claim(
        name="mapping",
        source="Section 5.3, Figure 3",
        says="The universal mapping preserves detail better than the earlier mapping where it matters.",
        rule="At equal resolution, its textures are closer to the scan's around the eyes, on the nose "
        "and on the lips.",
        paper="“a slightly better resolution”",
        chapter="04_universal_mapping",
        figure="fig-back",
        code="facesynth.mapping.universal_mapping:parameterize",
        here="error of {eyes:.1f}, {nose:.1f} and {lips:.1f} grey levels at eyes, nose and lips; with the earlier "
        "mapping {eyes before:.1f}, {nose before:.1f} and {lips before:.1f}",
        decide=_fewer(("eyes", "eyes before"), ("nose", "nose before"), ("lips", "lips before")),
    ),
    Claim(
        name="no-red-circles",
        source="Section 6, Figure 6",
        says="A GAN trained with valid masks never generates the corruption in its training images.",
        rule="At most 1 % of the images show red, both for the GAN of the paper's size and for every "
        "masked GAN of the experiment; without masks, more than a quarter do.",
        paper="a picture",
        chapter="05_corrupted_data",
        figure="fig-large",
        code="facesynth.gan.masks:apply_mask",
        here="red in {large:.2%} of the images; at most {masked:.2%} for any masked GAN, {plain:.0%} without masks",
        decide=lambda n: (
            n["large"].below(Measured(0.01))
            and n["masked"].value <= 0.01
            and Measured(0.25).below(n["plain"])
        ),
    ),
    Claim(
        name="masks-hide",
        source="Section 6, Figure 5",
        says="The discriminator cannot distinguish real from fake images by their masks.",
        rule="A linear model predicts a scan's texture from its own mask no better than from another "
        "subject's, within 0.01 of the variance.",
        paper="a statement",
        chapter="06_face_gan",
        figure="fig-given-away",
        code="facesynth.gan.masks:apply_mask",
        here="a scan's own mask predicts {mask tells:.0%} of the texture's variance, a permuted one {exchanged:.0%}",
        decide=lambda n: n["mask tells"].value < max(n["exchanged"].value, 0) + 0.01,
    ),
    Claim(
        name="masks-worth",
        source="Section 6",
        says="It is better to train on corrupted scans, with masks, than to discard them.",
        rule="Over several training runs, the distance to clean held-out scans is lower with the "
        "corrupted scans, beyond its standard errors.",
        paper="a statement",
        chapter="06_face_gan",
        figure="fig-masks",
        code="facesynth.face_gan.release:compare",
        here="including them changes the distance of {clean:.1f} by {difference:+.1f}",
        decide=lambda n: n["difference"].below(Measured(0.0)),
    ),
    Claim(
        name="masks-share",
        source="Sections 5.1 and 11",
        says="Masks save a fifth of the data.",
        rule="None: the share of corrupted scans is a setting of our virtual scanner.",
        paper="4,963 scans reduced to 3,679: 26 %, stated as 25 % once and as 20 % twice",
        chapter="06_face_gan",
        figure="fig-scans",
        code="facesynth.dataset.canonical:canonical_texture",
        here="in {damaged:.0%} of the scans, more than 5 % of the face is invalid",
        decide=lambda n: None,
    ),
    Claim(
        name="mirrors",
        source="Section 8",
        says="Mirroring X, Y and Z independently gives valid faces, eight for each original.",
        rule="Under the morphable model, the median mirrored face is no further from the mean than the "
        "90th percentile of unmirrored faces.",
        paper="a statement",
        chapter="06_face_gan",
        figure="fig-geometry-images",
        code="facesynth.face_gan.geometry_images:eightfold",
        here="median Mahalanobis distance at most {mirrored:.1f}; 90th percentile of unmirrored faces {nine in ten:.1f}",
        decide=lambda n: n["mirrored"].value <= n["nine in ten"].value,
    ),
    Claim(
        name="geometry-gan",
        source="Section 8, Figure 11",
        says="A GAN trained on geometry images generates valid faces.",
        rule="At most 5 % of the generated meshes exceed every held-out scan in flipped triangles; the "
        "same holds for edge stretch and for distance from the mean.",
        paper="a picture",
        chapter="06_face_gan",
        figure="fig-sound",
        code="facesynth.face_gan.geometry_images:GeometryImages.to_geometry",
        here="{turned:.1%} exceed all held-out scans in flipped triangles, {stretched:.1%} in edge stretch and "
        "{far:.1%} in distance from the mean",
        decide=lambda n: all(n[k].value <= 0.05 for k in ("turned", "stretched", "far")),
    ),
    Claim(
        name="least-squares",
        source="Section 7.2, Figures 9 and 10",
        says="Of four methods to fit a geometry to a texture, least squares is the best.",
        rule="On held-out subjects, each of the other three has a larger error, beyond the 95 % "
        "confidence interval of the difference.",
        paper="“It is clear that the LS approach obtains the best results”",
        chapter="07_geometry_fitting",
        figure="fig-methods",
        code="facesynth.geometry_fitting:LeastSquaresFit",
        here="mean vertex error {least squares:.2f} mm; relative to it, maximum likelihood {likelihood more:+.2f} mm, "
        "nearest neighbour {nearest more:+.2f} mm and random {random more:+.2f} mm",
        decide=lambda n: all(
            Measured(0).below(n[f"{k} more"]) for k in ("likelihood", "nearest", "random")
        ),
    ),
    Claim(
        name="similar-geometry",
        source="Section 7.2, Figure 9",
        says="Geometries predicted from the texture alone are “surprisingly very similar to the true ones”.",
        rule="Their error is at least 20 % lower than that of the mean geometry.",
        paper="a picture; the mean is not given",
        chapter="07_geometry_fitting",
        figure="fig-9",
        code="facesynth.geometry_fitting:LeastSquaresFit",
        here="mean vertex error {least squares:.2f} mm; of the mean geometry {mean:.2f} mm",
        decide=lambda n: n["least squares"].value <= 0.8 * n["mean"].value,
    ),
    Claim(
        name="expressions",
        source="Section 9, Figure 12",
        says="A linear model of differences from the neutral face represents expressions.",
        rule="On held-out subjects, the reconstruction error is at most half of the mean vertex displacement.",
        paper="a picture",
        chapter="08_expressions",
        figure="fig-variance",
        code="facesynth.expressions:ExpressionModel",
        here="reconstruction error {rebuilt:.2f} mm per vertex; displacement {moved:.2f} mm",
        decide=lambda n: n["rebuilt"].value <= n["moved"].value / 2,
    ),
    Claim(
        name="neutral",
        source="Section 9",
        says="A neutral geometry can be learned from textures of any expression.",
        rule="On held-out subjects, its error is lower than that of the mean neutral face.",
        paper="a suggestion",
        chapter="08_expressions",
        figure="fig-neutral",
        code="facesynth.dataset.dataset:Dataset.neutral_geometry",
        here="mean vertex error {neutral:.2f} mm; of the mean neutral face {mean neutral:.2f} mm",
        decide=_fewer(("neutral", "mean neutral")),
    ),
    Claim(
        name="plate",
        source="Section 10, Figure 13",
        says="Generated faces can be given expressions, poses and lighting, and keep their identity.",
        rule="More than 90 % of generated faces with an expression added are recognised as the same "
        "identity, at the equal-error threshold of the scans.",
        paper="a picture",
        chapter="09_evaluation",
        figure="fig-13",
        code="facesynth.evaluation.identity:describe",
        here="{kept:.0%} are recognised; of scans of one subject, {recognised:.0%}",
        decide=lambda n: Measured(0.9).below(n["kept"]),
    ),
    Claim(
        name="shifted-gaussian",
        source="Section 10, Figure 14 left",
        says="Distances of generated faces to the nearest training scan follow a shifted Gaussian: the "
        "faces lie between the real ones, not near them.",
        rule="A Kolmogorov-Smirnov test does not reject the Gaussian at 1 %, and the median distance is "
        "larger than that between two scans of one subject.",
        paper="a histogram",
        chapter="09_evaluation",
        figure="fig-14",
        code="facesynth.evaluation.identity:distances",
        here="median {middle:.3f}, between two scans of one subject {same:.3f}; p = {p:.2g}",
        decide=lambda n: n["same"].below(n["middle"]) and n["p"].value > 0.01,
    ),
    Claim(
        name="generalises",
        source="Section 10, Figure 14 right",
        says="Generated faces come close to subjects that the generator has not seen.",
        rule="The median distance from held-out scans to the nearest generated face exceeds that to the "
        "nearest of equally many training scans by at most 10 %.",
        paper="a diagram",
        chapter="09_evaluation",
        figure="fig-14",
        code="facesynth.evaluation.identity:distances",
        here="{generated to test:.3f} to the nearest generated face, {train to test:.3f} to the nearest of "
        "equally many training scans",
        decide=lambda n: n["generated to test"].value <= 1.1 * n["train to test"].value,
    ),
    Claim(
        name="new-identities",
        source="Section 10, Figures 14 and 15",
        says="Generated faces “cannot be considered as the same identity” as their nearest training scan.",
        rule="The share recognised as a training subject at the equal-error threshold is not higher than "
        "for held-out subjects, beyond the errors of both shares.",
        paper="pictures",
        chapter="09_evaluation",
        figure="fig-15",
        code="facesynth.evaluation.identity:distances",
        here="{taken:.0%} are recognised as a training subject; of held-out subjects {held out taken:.0%}",
        decide=lambda n: not n["held out taken"].below(n["taken"]),
    ),
    Claim(
        name="table-1",
        source="Table 1",
        says="Generated textures are closer to real ones than textures drawn from a PCA model, at every "
        "level.",
        rule="Their sliced Wasserstein distance is lower at every level, beyond the errors.",
        paper="mean over the levels 17.67 against 99.08",
        chapter="09_evaluation",
        figure="fig-tables",
        code="facesynth.evaluation.swd:sliced_wasserstein",
        here="mean over the levels {textures:.1f} against {textures pca:.1f} (real: {textures real:.1f}); closer at "
        "{textures levels:.0f} of {levels:.0f} levels",
        decide=lambda n: n["textures levels"].value == n["levels"].value,
    ),
    Claim(
        name="table-2",
        source="Table 2",
        says="Generated geometries are closer to real ones than geometries drawn from a PCA model, at "
        "every level.",
        rule="Their sliced Wasserstein distance is lower at every level, beyond the errors.",
        paper="mean over the levels 20.61 against 65.61",
        chapter="09_evaluation",
        figure="fig-tables",
        code="facesynth.evaluation.swd:sliced_wasserstein",
        here="mean over the levels {geometries:.1f} against {geometries pca:.1f} (real: {geometries real:.1f}); closer at "
        "{geometries levels:.0f} of {geometry levels:.0f} levels",
        decide=lambda n: n["geometries levels"].value == n["geometry levels"].value,
    ),
    Claim(
        name="table-3",
        source="Table 3",
        says="The identities of generated faces are closer to real ones than those of a 3DMM.",
        rule="Their sliced Wasserstein distance is lower, both to training scans and to held-out ones, "
        "beyond the errors.",
        paper="35.82 against 59.88 to the training set, 62.09 against 75.3 to the test set; training to test set 42.4",
        chapter="09_evaluation",
        figure="fig-table-3",
        code="facesynth.evaluation.swd:distance",
        here="{generated to train SWD:.1f} against {3dmm to train SWD:.1f} to the training set, "
        "{generated to test SWD:.1f} against {3dmm to test SWD:.1f} to the test set; training to test set "
        "{train to test SWD:.1f}",
        decide=_fewer(
            ("generated to train SWD", "3dmm to train SWD"),
            ("generated to test SWD", "3dmm to test SWD"),
        ),
    ),
    Claim(
        name="t-sne",
        source="Section 10, Figure 16",
        says="Generated identities cover the real ones better than a 3DMM's.",
        rule="Coverage, the share of real identities with a sample in the neighbourhood of their nearest "
        "real ones, is higher for generated faces than for the 3DMM, beyond the errors.",
        paper="a picture",
        chapter="09_evaluation",
        figure="fig-16",
        code="facesynth.evaluation.identity:describe",
        here="coverage {coverage:.2f}, of the 3DMM {coverage 3dmm:.2f}, of other real identities {coverage real:.2f}",
        decide=_fewer(("coverage 3dmm", "coverage")),
    ),
    Claim(
        name="labels",
        source="Section 10, Figure 16 right",
        says="The nearest cluster of real identities annotates generated faces.",
        rule="On held-out subjects, gender, ancestry and age group are each predicted more accurately "
        "than by always guessing the most frequent value, beyond the errors.",
        paper="a picture",
        chapter="09_evaluation",
        figure="fig-confusion",
        code="facesynth.evaluation.annotation:Annotator",
        here="accuracy {gender:.0%} (gender), {ancestry:.0%} (ancestry) and {age:.0%} (age group); by guessing "
        "{gender guessed:.0%}, {ancestry guessed:.0%} and {age guessed:.0%}",
        decide=_fewer(
            ("gender guessed", "gender"), ("ancestry guessed", "ancestry"), ("age guessed", "age")
        ),
    ),
)
