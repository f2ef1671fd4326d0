"""The command `facesynth`: what is used from a terminal, without a line of Python.

What a command needs is imported when it runs: PyTorch takes seconds, and `--help` none.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from facesynth import presets
from facesynth.files.units import MM

STOPPED = 130  # a shell's status for a command that Ctrl-C ended
MODELS = ("textures", "geometries", "faces")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with arguments, by default those of the terminal; return its exit status.

    0 when there is a result, 1 when there is none, 2 for arguments that cannot be understood.
    """
    try:
        return int(cli.main(arguments, "facesynth", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("facesynth: stopped; the same command resumes", err=True)
        return STOPPED
    except Exception as error:
        if not type(error).__module__.startswith("facesynth."):
            raise  # no error of the package's own: a fault of ours, which a traceback helps to find
        click.echo(f"facesynth: {error}", err=True)
        return 1


_PATH = click.Path(path_type=Path)


def _not_zero(_context: click.Context, _option: click.Parameter, jobs: int) -> int:
    if jobs == 0:
        raise click.BadParameter("0 processes do nothing: give at least 1, or -1 for all cores")
    return jobs


_jobs = click.option(
    "--jobs",
    type=int,
    default=-1,
    callback=_not_zero,
    help="Processes; -1 for one on each core, -2 for one less.",
)
_seed = click.option("--seed", type=int, default=0, help="The same seed gives the same result.")
_dataset = click.argument("dataset", type=_PATH)
_quality = click.option(
    "--quality",
    type=int,
    default=95,
    help="Of textures and displacements as WebP; 100 loses nothing.",
)
_displacement = click.option(
    "--displacement",
    type=click.Choice(["full", "half", "none"]),
    default="full",
    help="Detail finer than the template's vertices, in all pixels or half as many along a side.",
)
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


@click.group(context_settings=_CONTEXT)
@click.version_option(package_name="facesynth", message="%(package)s %(version)s")
def cli() -> None:
    """Photometries and geometries of faces: from scans to generated faces and their evaluation."""


@cli.command()
@click.argument("scans", type=_PATH, required=False)
@click.option("--out", type=_PATH, required=True, help="The data set's folder.")
@click.option("--resolution", type=int, default=256, help="Of the images, in pixels.")
@_quality
@_displacement
@click.option(
    "--unit",
    type=click.Choice(list(MM)),
    help="Of the scans' numbers; by default m in .glb and .gltf files, as their standard says, and "
    "mm in others.",
)
@click.option(
    "--scale",
    metavar="FACTOR|auto",
    help="Instead of --unit, how many mm the scans' unit is; with auto, the faces tell: the unit "
    "with which they are of human size, or else that of the mean face.",
)
@click.option(
    "--texture/--no-texture", default=True, help="Or the scans' geometry alone, if they have any."
)
@click.option(
    "--template",
    type=_PATH,
    help="What is aligned with the scans: an .obj or .ply mesh in mm with its table of landmarks, "
    "a .csv file of the same name, or an .npz file. By default, the project's own.",
)
@click.option(
    "--population",
    type=int,
    metavar="SUBJECTS",
    help="Instead of SCANS: subjects of the book's open population, scanned on the way.",
)
@_seed
@_jobs
def dataset(
    scans: Path | None,
    out: Path,
    resolution: int,
    quality: int,
    displacement: Any,
    unit: Any,
    scale: str | None,
    texture: bool,
    template: Path | None,
    population: int | None,
    seed: int,
    jobs: int,
) -> int:
    """Make a data set of a folder of scans.

    Aligns the template with every scan (.obj, .ply, .stl, .glb or .gltf, at any depth) and takes
    its photographs, if it has any, to the canonical image. A scan may be turned in any way. A
    stopped run resumes. How good each scan is, is measured: look at what is doubtful. Scans are
    named SUBJECT/EXPRESSION.obj, or listed with their subjects, expressions and labels in a table
    scans.csv in the folder. Exit status: 0 when at least one scan succeeded, 1 otherwise.
    """
    if (scans is None) == (population is None):
        raise click.UsageError("give either SCANS, a folder, or --population")
    from facesynth.dataset import building, contact_sheet
    from facesynth.dataset.dataset import REJECTED
    from facesynth.dataset.sources import Folder, Source
    from facesynth.template import Template, standard

    face = standard() if template is None else Template.load(template)
    for name, rim in face.filled.items() if template is not None else ():
        click.echo(f"{template}: the hole at {name}, of {len(rim)} vertices, is filled")
    source: Source
    if scans is not None:
        if scale is not None and unit is not None:
            raise click.UsageError("give either --unit or --scale")
        source = Folder(scans, unit if scale is None else _scale(scale), texture)
        for path in source.passed_over:
            click.echo(f"passed over: {path}: there is another file of this name", err=True)
    else:
        from facesynth.virtual_scanner.open_world import OpenWorld

        # painted finer than the canonical image, so that its pixels and not the paint's are seen
        source = OpenWorld(population or 0, seed, min(1024, 3 * resolution // 2), jobs)
    made = building.build(
        source,
        out,
        template=face,
        resolution=resolution,
        quality=quality,
        displacement=displacement,
        n_jobs=jobs,
    )
    for name, reason in made.failed.items():
        click.echo(f"failed: {name}: {reason}", err=True)
    for name, reason in made.doubtful.items():
        click.echo(f"doubtful: {name}: {reason}", err=True)
    bare = int((~made.textured).sum())
    click.echo(
        f"{len(made)} scans in {out}, {len(made.doubtful)} doubtful, {len(made.failed)} failed"
        + (f"; {bare} have no texture" if bare else "")
    )
    if scans is not None:
        pages = contact_sheet.write(made, n_jobs=jobs)
        click.echo(f"{len(pages)} pages to look through in {out / contact_sheet.FOLDER}")
    click.echo(f"names in {out / REJECTED}, one a line, are left out when it is loaded")
    return 0 if len(made) else 1


def _scale(text: str) -> Any:
    """A factor, or auto."""
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a number nor auto", param_hint="--scale"
        ) from None


@cli.command()
@_dataset
@click.option("--out", type=_PATH, required=True, help="Folder of the copy.")
@click.option("--resolution", type=int, required=True, help="Of its images: a half, a third, ...")
@click.option("--subjects", type=int, help="How many, in their order; by default, all.")
@_quality
@_displacement
@_jobs
def shrink(
    dataset: Path,
    out: Path,
    resolution: int,
    subjects: int | None,
    quality: int,
    displacement: Any,
    jobs: int,
) -> None:
    """Copy a data set with smaller images, of all or of its first subjects. Resumes."""
    from facesynth.dataset import shrinking

    made = shrinking.shrink(
        dataset,
        out,
        resolution=resolution,
        n_subjects=subjects,
        quality=quality,
        displacement=displacement,
        n_jobs=jobs,
    )
    click.echo(f"{len(made)} scans in {out}")


@cli.command()
@_dataset
@_jobs
def describe(dataset: Path, jobs: int) -> None:
    """Describe the scans of a data set, labelled by gender, ancestry and age.

    Writes beside them the mean difference of each expression from the neutral face, and descriptors
    of identity, by which generated faces are labelled.
    """
    from facesynth import expressions
    from facesynth.dataset.dataset import load
    from facesynth.evaluation import annotation

    scans = load(dataset)
    expressions.save(dataset / expressions.FILE, expressions.mean_differences(scans))
    annotation.save(dataset / annotation.FILE, annotation.measure(scans, n_jobs=jobs))
    click.echo(f"written: {dataset / expressions.FILE} and {dataset / annotation.FILE}")


@cli.command()
@click.option("--subjects", type=int, required=True, help="Each is scanned in five expressions.")
@click.option("--out", type=_PATH, required=True, help="Folder of the scans.")
@click.option("--resolution", type=int, default=512, help="Of the painted textures, in pixels.")
@_seed
@_jobs
def scan(subjects: int, out: Path, resolution: int, seed: int, jobs: int) -> None:
    """Scan the book's open population: synthetic subjects, who are no real people.

    Writes .obj files with their photographs, as a 3D scanner does, and a table scans.csv of their
    subjects, expressions and labels. A stopped run resumes. Two cores make some 25 scans a minute.
    """
    from facesynth.virtual_scanner.open_world import OpenWorld

    n = OpenWorld(subjects, seed, resolution, jobs).write(out)
    click.echo(f"{n} scans in {out}; next: facesynth dataset {out} --out DATASET")


@cli.command()
@_dataset
@click.option("--model", type=click.Choice(MODELS), required=True, help="What is to be generated.")
@click.option("--out", type=_PATH, required=True, help="Folder of models, for all that you train.")
@click.option("--runs", type=_PATH, help="Folder of unfinished runs; by default in that of models.")
@click.option("--resolution", type=int, help="Of the images, in pixels; a power of two.")
@click.option("--channels", type=int, help="Of the widest feature maps: more is better and slower.")
@click.option(
    "--images",
    type=int,
    help="Shown at each level, or of whole faces and as many tiles for each detail.",
)
@click.option("--held-out", type=int, help="Scans that are not learned from, to evaluate with.")
@click.option(
    "--finer",
    type=_PATH,
    help="A data set with more pixels, of few subjects, say: its detail is learned, too.",
)
def train(
    dataset: Path,
    model: Any,
    out: Path,
    runs: Path | None,
    resolution: int | None,
    channels: int | None,
    images: int | None,
    held_out: int | None,
    finer: Path | None,
) -> None:
    """Train a generator on a data set (Sections 7.1, 7.2, 8 and 9).

    faces: texture and geometry together, with expression and at rest; begins as a morphable model,
    and further networks add detail. Or, grown level by level as in the paper, textures: of them
    alone, and a linear fit that says which geometry belongs to each; and geometries: of them alone.
    By default, a model has the size of the book's, which takes a processor an hour or two. A
    stopped run resumes.
    """
    from dataclasses import replace

    from facesynth.dataset.dataset import load
    from facesynth.face_gan import release

    faces, fine = load(dataset), None if finer is None else load(finer)
    length = release.length_for(model, faces if fine is None else fine)
    if images is not None:
        length = replace(length, n_shown=images, n_last=None)
    length = replace(
        length, resolution=resolution or length.resolution, channels=channels or length.channels
    )
    release.train(model, faces, out, runs=runs, length=length, n_test=held_out, finer=fine)
    click.echo(f"written: {out / model}.safetensors and its card, {out / model}.json")


@cli.command()
@click.option("--count", type=int, default=8, help="Of faces.")
@click.option("--out", type=_PATH, required=True, help="Folder, made if need be.")
@click.option("--model", type=_PATH, help="Folder of models; by default the package's own.")
@click.option("--expression", help="Of all faces, such as smile; by default, whatever comes.")
@click.option(
    "--resolution", type=int, help="Of the textures: the model's, a half or a quarter of it."
)
@click.option(
    "--variation", type=float, default=1.0, help="In (0, 1]: less is closer to the mean face."
)
@click.option("--like", metavar="FACE", help="Relatives of a face, by its name: face-0-0003.")
@click.option("--amount", type=float, default=0.4, help="By which they differ, from 0 to 1.")
@click.option("--to", metavar="FACE", help="Instead, the way from that face to this.")
@_seed
def synthesize(out: Path, count: int, seed: int, **settings: Any) -> None:
    """Make new faces, to be opened in Blender or a browser.

    Of each: a .glb with its texture inside, an .obj with its .mtl and -texture.png beside it, and a
    picture, .png. A face is written as soon as it is made; the same command resumes.
    """
    from facesynth.face_gan import synthesis

    names = synthesis.write(out, count, seed, **settings)  # the other options have its names
    click.echo(f"written: {len(names)} faces, {names[0]} to {names[-1]}, in {out}")


@cli.command()
@_dataset
@click.argument("names", nargs=-1)
@click.option("--out", type=_PATH, required=True, help="Folder, made if need be.")
@click.option(
    "--displaced",
    type=int,
    help="Rounds of subdivision, 0 to 4: the detail moves vertices. By default, a normal map.",
)
def export(dataset: Path, names: tuple[str, ...], out: Path, displaced: int | None) -> None:
    """Write faces of a data set, by the NAMES of their scans or all, as `synthesize` does.

    The detail that scans measured is a normal map in a .glb, or that of a finer mesh.
    """
    from facesynth.dataset.dataset import load
    from facesynth.face_gan.face import scanned

    scans = load(dataset).named(names)
    for name, face in zip(scans.names, scanned(scans), strict=True):
        for suffix in (".glb", ".obj", ".png"):
            face.export(out / f"{name}{suffix}", displaced)
    click.echo(f"written: {len(scans)} faces in {out}")


@cli.command()
@_dataset
@click.argument("model", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="Folder of the report, made if need be.")
@click.option(
    "--count",
    type=click.IntRange(1),
    default=500,
    help="Of generated faces that are compared with scans.",
)
@_seed
@_jobs
def evaluate(dataset: Path, model: Path, out: Path, count: int, seed: int, jobs: int) -> None:
    """Evaluate a trained model on its data set (Section 10).

    Writes a page, index.html, with the paper's Tables 1 to 3, distances to the nearest scans, and
    pictures, and its numbers, report.json. Scans that were held out from training are the control.
    """
    from facesynth.dataset.dataset import load
    from facesynth.face_gan import release

    made = release.evaluate(model, load(dataset), count, seed, n_jobs=jobs)
    made.write(out)
    for what, why in made.left_out.items():
        click.echo(f"left out: {what}: {why}", err=True)
    click.echo(f"written: {out / 'index.html'} and {out / 'report.json'}")


@cli.group()
def experiments() -> None:
    """Run the book's long experiments (Section 6). Stopped runs resume."""


@experiments.command("corrupted-data")
@click.option(
    "--preset", type=click.Choice(list(presets.PRESETS)), default="standard", help="The size."
)
@click.option("--seeds", type=int, default=3, help="GANs of each kind.")
@click.option("--runs", type=_PATH, default=Path("build/experiments"), help="Folder of the runs.")
@click.option(
    "--results", type=_PATH, default=Path("data/results/corrupted_data.json"), help="The result."
)
@click.option(
    "--large/--no-large",
    default=None,
    help="Train the one large GAN, too; by default where PyTorch finds a GPU.",
)
@_jobs
def corrupted_data(
    preset: str, seeds: int, runs: Path, results: Path, large: bool | None, jobs: int
) -> None:
    """Learn shapes from damaged images, in several ways.

    What the results hold is not run again: move them away to begin anew.
    """
    import torch

    from facesynth.corrupted_data import experiments

    large = torch.cuda.is_available() if large is None else large
    experiments.run_all(presets.preset(preset), runs, results, jobs, seeds, large)
    click.echo(f"written: {results}")


@experiments.command("damaged-scans")
@_dataset
@click.option("--runs", type=_PATH, default=Path("build/face_gans"), help="Folder of the runs.")
@click.option("--out", type=_PATH, default=Path("data/weights"), help="Folder of the result.")
@_jobs
def damaged_scans(dataset: Path, runs: Path, out: Path, jobs: int) -> None:
    """Learn textures from all scans and from clean ones alone, with masks and without."""
    from facesynth.dataset.dataset import load
    from facesynth.face_gan.damaged_scans import COMPARISON, compare

    compare(load(dataset), runs, out, n_jobs=jobs)
    click.echo(f"written: {out / COMPARISON}")
