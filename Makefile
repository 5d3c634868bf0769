# Everything a person or CI does here, one command each. `make demo` and `make test` set themselves up.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
RUN_STAMP := $(VENV)/.runtime-ready
# Without a recogniser everything works, on sound alone: where it cannot be fetched that is said and no more.
WORDS  := $(BIN)/fsbridge amd words install || echo "no recogniser: answers are judged by sound alone"
CODE   := fsbridge amd_model api training tests

.PHONY: help setup demo test lint types tests format bench train evaluate clean

help:
	@echo "make demo      place simulated calls through the whole service (JSON=1: one JSON object a call)"
	@echo "make test      lint, types and the whole suite with coverage"
	@echo "make bench     measure, side by side with the peers; writes bench.json"
	@echo "make train     DATA=dir [RUN=runs/name]: train the answering-machine detector on recordings, and measure it"
	@echo "make evaluate  CASES=cases.tsv: measure the detector on labelled recordings"
	@echo "make format    let ruff rewrite the code"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# What the service itself needs, with ears for words; the demo asks for no more.
$(RUN_STAMP): pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[words]'
	@$(WORDS)
	@touch $@

$(STAMP): pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(WORDS)
	@touch $@ $(RUN_STAMP)

setup: $(STAMP)

demo: $(RUN_STAMP)
	@$(BIN)/fsbridge demo $(if $(JSON),--json)

test: lint types tests

lint: $(STAMP)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(STAMP)
	$(BIN)/mypy

tests: $(STAMP)
	$(BIN)/python -m pytest --cov --cov-report=term

format: $(STAMP)
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: $(STAMP)
	$(BIN)/python -m tests.bench

train: $(STAMP)
	@test -n "$(DATA)" || { echo "usage: make train DATA=dir [RUN=runs/name]; see training/README.md"; exit 2; }
	$(BIN)/python -m training recipe $(addprefix --data ,$(DATA)) $(if $(RUN),--out $(RUN))

evaluate: $(STAMP)
	@test -n "$(CASES)" || { echo "usage: make evaluate CASES=cases.tsv; see training/README.md"; exit 2; }
	$(BIN)/python -m amd_model evaluate $(CASES)

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .coverage .coverage.* htmlcov
