# Two commands on a fresh machine with Python >= 3.11: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo
DEMO_ARGS ?=

.PHONY: help demo test test-all lint typecheck format clean

help:
	@echo "make demo      install into .venv, simulate a movie, analyse it, print scores (report: $(OUT)/report.html)"
	@echo "make test      quick tests (make test-all: also slow, real-data and multi-process ones)"
	@echo "make lint      ruff, format check;  make typecheck: mypy;  make format"

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/rvaejax demo --out $(OUT) --overwrite $(DEMO_ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

# the quick tests first, then those marked slow, real (the data folder is named by RVAEJAX_TEST_DATA) and process
test-all: test
	$(BIN)/python -m pytest -q -m "slow or real or process"

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(VENV)/.installed-dev
	$(BIN)/mypy rvaejax

clean:
	rm -rf $(VENV) demo runs build dist *.egg-info
