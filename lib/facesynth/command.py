"""The command `facesynth`: what is used from a terminal, without a line of Python.

What a command needs is imported when it runs: PyTorch takes seconds, and `--help` none.
"""

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

from facesynth import presets
from facesynth.files.units import MM

STOPPED = 130  # a shell's status for a command that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with arguments, by default those of the terminal; return its exit status.

    0 when there is a result, 1 when there is none, 2 for arguments that cannot be understood.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except Exception as error:
        if not type(error).__module__.startswith("facesynth."):
            raise  # no error of the package's own: a fault of ours, which a traceback helps to find
        print(f"facesynth: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("facesynth: stopped; the same command resumes", file=sys.stderr)
        return STOPPED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="facesynth", description="Photometries and geometries of faces."
    )
    version = importlib.metadata.version("facesynth")
    parser.add_argument("--version", action="version", version=f"facesynth {version}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_dataset(commands)
    _add_training_set(commands)
    _add_experiments(commands)
    _add_face_gans(commands)
    _add_synthesize(commands)
    return parser


def _add_resolution(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--resolution", type=int, default=256, help="of the images, in pixels (default: 256)"
    )


def _add_jobs(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--jobs", type=int, default=-1, help="processes (default: one for each core)"
    )


def _add_dataset(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "dataset",
        help="make a data set of a folder of scans",
        description="Align the template with every scan in a folder, and take its photographs to "
        "the canonical image. A run that was stopped resumes. Exit status: 0 when at "
        "least one scan succeeded, 1 otherwise.",
    )
    command.add_argument("folder", type=Path, help="of .obj, .ply and .glb files, at any depth")
    command.add_argument("--out", type=Path, required=True, help="the data set's folder")
    _add_resolution(command)
    _add_jobs(command)
    command.add_argument(
        "--unit", choices=list(MM), default="mm", help="of the scans' numbers (default: mm)"
    )
    command.add_argument(
        "--template",
        type=Path,
        help="what is aligned with the scans: an .obj or .ply mesh in mm with its table of "
        "landmarks, a .csv file of the same name, or an .npz file (default: the project's own)",
    )
    command.set_defaults(run=_dataset)


def _dataset(options: argparse.Namespace) -> int:
    from facesynth.dataset import contact_sheet, dataset
    from facesynth.template import Template, standard

    template = standard() if options.template is None else Template.load(options.template)
    for name, rim in template.filled.items():
        print(f"{options.template}: the hole at {name}, of {len(rim)} vertices, is filled")
    made = dataset.build(
        options.folder,
        options.out,
        template=template,
        resolution=options.resolution,
        n_jobs=options.jobs,
        unit=options.unit,
    )
    for name, reason in made.failed.items():
        print(f"failed: {name}: {reason}", file=sys.stderr)
    pages = contact_sheet.write(made, n_jobs=options.jobs)
    print(f"{len(made)} scans in {made.folder}, {len(made.failed)} failed")
    print(f"{len(pages)} pages to look through in {made.folder / contact_sheet.FOLDER}")
    print(f"names in {made.folder / dataset.REJECTED}, one a line, are left out when it is loaded")
    return 0 if len(made) else 1


def _add_training_set(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "training-set",
        help="scan and align the book's population (Sections 7.1 and 8)",
        description="Put subjects of the population before the virtual scanner in all expressions, "
        "align the scans, and describe whom they show. A run that was stopped "
        "resumes. Two cores make some 25 scans a minute.",
    )
    command.add_argument("--subjects", type=int, default=400, help="(default: 400)")
    command.add_argument("--seed", type=int, default=0, help="of the population (default: 0)")
    _add_resolution(command)
    _add_jobs(command)
    command.add_argument(
        "--out", type=Path, default=Path("data/faces"), help="folder (default: data/faces)"
    )
    command.set_defaults(run=_training_set)


def _training_set(options: argparse.Namespace) -> int:
    from facesynth import expressions, population
    from facesynth.dataset import training_set
    from facesynth.evaluation import annotation
    from facesynth.virtual_scanner import open_world

    made = training_set.build(
        options.subjects,
        options.seed,
        options.out,
        open_world.scans,
        sources=open_world.SOURCES,
        resolution=options.resolution,
        n_jobs=options.jobs,
    )
    described, differences = options.out / annotation.FILE, options.out / expressions.FILE
    grown = not described.exists() or len(annotation.load(described)) != len(made)
    if grown or not differences.exists():
        expressions.save(differences, expressions.mean_differences(made))
    if grown:  # last, for it tells of how many scans both are
        labels = population.sample(options.subjects, options.seed, n_jobs=options.jobs).labels
        annotation.save(described, annotation.measure(made, labels, n_jobs=options.jobs))
    print(f"{len(made)} scans in {options.out}")
    return 0


def _add_experiments(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "experiments",
        help="run the whole experiment on learning from corrupted data (Section 6)",
        description="Train and measure all GANs of the experiment. A run that was stopped resumes; "
        "what the results hold is not run again: move them away to begin anew.",
    )
    command.add_argument("--preset", default="standard", choices=list(presets.PRESETS))
    command.add_argument("--seeds", type=int, default=3, help="GANs of each kind (default: 3)")
    _add_jobs(command)
    command.add_argument(
        "--runs", type=Path, default=Path("build/experiments"), help="folder of the GANs' runs"
    )
    command.add_argument(
        "--results", type=Path, default=Path("data/results/corrupted_data.json"), help="the result"
    )
    command.add_argument(
        "--large",
        action=argparse.BooleanOptionalAction,
        help="train the one large GAN, too (default: where PyTorch finds a GPU)",
    )
    command.set_defaults(run=_experiments)


def _experiments(options: argparse.Namespace) -> int:
    import torch

    from facesynth.corrupted_data import experiments

    size = presets.preset(options.preset)
    large = torch.cuda.is_available() if options.large is None else options.large
    experiments.run_all(size, options.runs, options.results, options.jobs, options.seeds, large)
    print(f"written: {options.results}")
    return 0


def _add_face_gans(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "face-gans",
        help="train and release the generators of faces (Sections 7.1 and 8)",
        description="Train each model on the training set, measure it, and write its weights and "
        "its card. Hours on a processor. A run that was stopped resumes.",
    )
    command.add_argument(
        "--models",
        nargs="*",
        default=["textures", "geometries", "faces", "neutral"],
        metavar="MODEL",
    )
    command.add_argument(
        "--faces", type=Path, default=Path("data/faces"), help="folder of the training set"
    )
    command.add_argument(
        "--runs", type=Path, default=Path("build/face_gans"), help="folder of the runs"
    )
    command.add_argument(
        "--weights", type=Path, default=Path("data/weights"), help="folder of what is released"
    )
    command.add_argument(
        "--compare",
        action="store_true",
        help="train small generators on all scans and on clean ones alone, too",
    )
    _add_jobs(command)
    command.set_defaults(run=_face_gans)


def _face_gans(options: argparse.Namespace) -> int:
    from facesynth.dataset import training_set
    from facesynth.face_gan import models as face_gan
    from facesynth.face_gan import release as face_gan_release

    for model in options.models:
        face_gan.check_model(model)
    faces = training_set.load(options.faces)
    for model in options.models:
        face_gan_release.train(model, faces, options.runs, options.weights)
        print(f"written: {options.weights / model}.safetensors and its card")
    if options.compare:
        face_gan_release.compare(faces, options.runs, options.weights, n_jobs=options.jobs)
        print(f"written: {options.weights / face_gan_release.COMPARISON}")
    return 0


def _add_synthesize(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "synthesize",
        help="make new faces, to be opened in Blender or a browser",
        description="Make faces with the released generator: of each a .glb with its texture "
        "inside, an .obj with its .mtl and -texture.png beside it, and a picture, .png.",
    )
    command.add_argument("--count", type=int, default=8, help="of faces (default: 8)")
    command.add_argument("--seed", type=int, default=0, help="(default: 0)")
    command.add_argument(
        "--expression",
        help="of all faces: neutral, smile, surprise, sadness or anger (default: whatever comes)",
    )
    command.add_argument(
        "--resolution",
        type=int,
        help="of the textures, in pixels (default: the generator's; or half, or a quarter of it)",
    )
    command.add_argument(
        "--truncation",
        type=float,
        default=1.0,
        help="in (0, 1]: less is closer to the average face (default: 1)",
    )
    command.add_argument("--out", type=Path, required=True, help="folder, made if need be")
    command.set_defaults(run=_synthesize)


def _synthesize(options: argparse.Namespace) -> int:
    from facesynth.face_gan import synthesis

    names = synthesis.write(
        options.out,
        options.count,
        options.seed,
        expression=options.expression,
        resolution=options.resolution,
        truncation=options.truncation,
    )
    print(f"written: {len(names)} faces, {names[0]} to {names[-1]}, in {options.out}")
    return 0
