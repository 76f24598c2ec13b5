# `make demo` and `make test` do all set-up themselves on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin
SLOW ?= 0

.PHONY: demo test check format bench clean

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

demo: .venv/ready
	$(BIN)/hotstart demo --out runs/demo

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check
	SLOW=$(SLOW) $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadgroup

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/ready
	$(BIN)/python benchmarks/views.py
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/evaluate.py
	$(BIN)/python benchmarks/world.py

clean:
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
