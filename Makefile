# make book    the environment, every chapter executed at PRESET, build/html/index.html;
#              NUMBERS=check compares what was measured with data/results
# make print   build/html as one PDF, build/print/book.pdf
# make people  fetch the public data of real people that chapters 03 and 10 show
# make test    the environment, format, lint, types and tests
# make experiments   the whole experiment on corrupted data, hours; resumes
# make faces   the data set of scanned faces, data/faces: some hours; resumes
# make face-gans   the generators of faces, data/weights, and finer scans for it: hours; resumes
# make template   the standard template and how faces deform it, data/template: minutes
# make complexion   aggregates of people's skin, from photographs that are fetched: minutes
# make bench   every benchmark;  make lint;  make chapters (after editing book/NN_name.md);  make clean

PRESET ?= standard
NUMBERS ?=
SEED ?= 0
SCANNED ?= build/scanned
SUBJECTS ?= 400
FINER ?= build/finer
FINER_SUBJECTS ?= 120
PYTHON ?= python3
BIN := .venv/bin

# One thread a process: two processes with one thread each beat one process with two.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export VECLIB_MAXIMUM_THREADS := 1
# Containers often forbid Python to keep bytecode: every process would compile all of PyTorch anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: book print people chapters test lint bench experiments faces face-gans template complexion clean environment

book: environment
	@$(BIN)/python book/build.py --preset $(PRESET) --seed $(SEED) --numbers "$(NUMBERS)"

print: environment
	@$(BIN)/python book/print.py

chapters: environment
	@$(BIN)/python book/build.py --sync

test: lint
	@echo "== tests"
	@$(BIN)/python -m pytest -n 2 --dist worksteal

lint: environment
	@echo "== format"
	@$(BIN)/ruff format --check .
	@echo "== lint"
	@$(BIN)/ruff check .
	@echo "== types"
	@$(BIN)/mypy
	@echo "== imports"
	@$(BIN)/lint-imports

bench: environment
	@set -e; for script in benchmarks/[!_]*.py; do echo "== $$script"; $(BIN)/python $$script; done

experiments: environment
	@$(BIN)/facesynth experiments corrupted-data --preset $(PRESET)

faces: environment
	@$(BIN)/facesynth dataset --population $(SUBJECTS) --resolution 512 --displacement half --out $(SCANNED)
	@$(BIN)/facesynth shrink $(SCANNED) --resolution 256 --quality 90 --out data/faces
	@$(BIN)/facesynth describe data/faces

face-gans: environment
	@$(BIN)/facesynth dataset --population $(FINER_SUBJECTS) --resolution 512 --displacement half --out $(FINER)
	@set -e; for model in textures geometries faces; do \
		$(BIN)/facesynth train data/faces --model $$model --finer $(FINER) \
			--out data/weights --runs build/face_gans; done

people: environment
	@$(BIN)/python -c 'from facesynth.people import real_data; real_data.fetch("")'

template: environment
	@$(BIN)/python -m facesynth.population.shipped

complexion: environment
	@$(BIN)/python -m facesynth.people.complexion

clean:
	rm -rf build

environment: .venv/installed

# Installed again only when pyproject.toml or the list of npm's packages changes. uv installs a minute faster than pip; where it
# cannot reach the index (pip's own settings are not uv's), pip does the same.
.venv/installed: pyproject.toml book/package.json book/package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "facesynth needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "== environment in .venv (a few minutes the first time: PyTorch is large)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable ".[test]" || \
		$(BIN)/python -m pip install --quiet --editable ".[test]"
	@cp book/package.json book/package-lock.json .venv
	@$(BIN)/npm ci --prefix .venv --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
