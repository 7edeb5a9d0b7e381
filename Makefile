# make demo: environment, install, train on real digits.   make test: environment, install, all tests.
PYTHON ?= python3
ENVIRONMENT ?= .venv
BIN = $(ENVIRONMENT)/bin

.PHONY: demo test bench lint format clean

demo: $(ENVIRONMENT)/.installed-examples
	$(BIN)/fakel run examples/mnist_cnn.py

# Compares with PyTorch wherever `pip install torch==2.13.0` was run in the environment.
# One thread a worker: NumPy's and PyTorch's own teams would compete for the cores.
test: $(ENVIRONMENT)/.installed-test
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(PYTEST_ARGUMENTS)

# Beside PyTorch wherever that is installed in the environment.
bench: $(ENVIRONMENT)/.installed-test
	$(BIN)/python benchmarks/compare.py

lint: $(ENVIRONMENT)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/check_layers.py
	$(BIN)/mypy

format: $(ENVIRONMENT)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -m venv $(ENVIRONMENT)

$(ENVIRONMENT)/.installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@

clean:
	rm -rf build dist runs *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
