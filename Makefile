# geosam: `make demo` shows it, `make test` tests it, `make fuzz` tries odd inputs, `make check` reads the code,
# `make bench` measures it.

PYTHON ?= python3
BIN := .venv/bin

# speed and memory, beside peers or the machine's limits
SPEED := engine nano tiled vectorize scene memory sinks stitching catalog clicking
# what the model finds, and how it came to be; trains candidates anew
QUALITY := model_quality contact_sheet finetune seams simple_methods encoders recognition

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --dist worksteal
SHAPES := --jaxtyping-packages=geosam,beartype.beartype
# the laws of each floor, and the golden masks
QUICK := geosam tests/test_windows.py tests/test_prompts.py tests/test_masks.py tests/test_instances.py tests/test_store.py tests/test_golden.py

# cases of the fuzzer, and which ones
CASES ?= 3000
SEED ?= 1

.PHONY: demo test quick cover fuzz check bench bench-model format clean

demo: .venv/installed
	$(BIN)/geosam demo

# three at a time on two cores: many tests wait for processes that they start; the shape checker doubles the time of
# what calls small functions often, and is on where arrays are made
test: .venv/installed-dev
	$(PYTEST) -n 3 -m "shaped and not slow" $(SHAPES) --durations=10
	$(PYTEST) -n 3 -m "slow or not shaped" tests --durations=20

# what one wants to know after each change, in a minute
quick: .venv/installed-dev
	$(PYTEST) -n 2 -m "not slow" -x $(QUICK)

# all of it with the shape checker, and which lines no test reaches; takes twice as long
cover: .venv/installed-dev
	$(PYTEST) -n 2 $(SHAPES) --cov --cov-report=term:skip-covered

fuzz: .venv/installed-dev
	$(BIN)/python -m tests.fuzz --cases $(CASES) --seed $(SEED) --verbose

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright

bench: .venv/installed-bench
	for name in $(SPEED); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

bench-model: .venv/installed-bench
	for name in $(QUALITY); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# torch first, so that nothing else chooses its build
.venv/torch: constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	touch $@

.venv/installed: .venv/torch pyproject.toml
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: .venv/torch pyproject.toml
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch .venv/installed $@

# segment-geospatial alone, for it asks for torchvision, which does not load beside this torch
.venv/installed-bench: .venv/installed-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps segment-geospatial
	touch $@

clean:
	rm -rf .venv demo .pytest_cache .ruff_cache .hypothesis .coverage*
