"""The command line: quick to answer, and clear about what is wrong."""

import subprocess
import sys

import pytest

from facesynth.command import main

HEAVY = ("numpy", "scipy", "torch", "matplotlib", "sklearn", "trimesh", "joblib", "dlib")


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--help"], 0), (["dataset"], 2), (["--version"], 0), (["no"], 2)]
)
def test_help_and_wrong_arguments_import_nothing_that_takes_long(arguments, status):
    code = f"""
import sys
from facesynth.command import main
assert main({arguments!r}) == {status}
loaded = {HEAVY!r}
assert not set(loaded) & set(sys.modules), set(loaded) & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["dataset", "a", "--out", "b"],
        ["shrink", "a", "--out", "b", "--resolution", "8"],
        ["describe", "a"],
        ["scan", "--subjects", "1", "--out", "b"],
        ["evaluate", "a", "b", "--out", "c"],
        ["experiments", "corrupted-data"],
        ["experiments", "damaged-scans", "a"],
    ],
)
def test_no_process_is_a_wrong_argument(command, capsys):
    assert main([*command, "--jobs", "0"]) == 2
    assert "give at least 1, or -1 for all cores" in capsys.readouterr().err


def test_the_models_that_can_be_trained_are_those_there_are():
    from typing import get_args

    from facesynth.command import MODELS
    from facesynth.face_gan.models import Model

    assert get_args(Model) == MODELS


def test_importing_the_package_imports_nothing_that_takes_long():
    code = f"import sys, facesynth; assert not set({HEAVY!r}) & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_s_own_errors_are_messages_and_others_are_faults(tmp_path, capsys, monkeypatch):
    assert main(["dataset", str(tmp_path / "no"), "--out", str(tmp_path / "out")]) == 1
    assert "facesynth: " in capsys.readouterr().err
    from facesynth.dataset import building

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(building, "build", broken)
    (tmp_path / "a.obj").write_text("")
    with pytest.raises(ZeroDivisionError):
        main(["dataset", str(tmp_path), "--out", str(tmp_path / "out")])
