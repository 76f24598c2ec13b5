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

# An hour with nothing else on the machine; DATA: labelled pictures, CIFAR-10 for the committed table.
bench: .venv/ready
	$(BIN)/python benchmarks/all.py $(DATA)

clean:
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
