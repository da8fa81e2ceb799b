# The commands of this repository. `make` alone lists them.

PYTHON ?= $(shell for v in 3.11 3.12 3.13 3.14; do command -v python$$v && break; done || command -v python3)
BIN := .venv/bin
STAMP := .venv/.complete
# Most tests wait for a server: modules of tests run side by side, the tests of one in turn.
TOGETHER := -n 4 --dist loadfile
# What failed beside other tests is tried once more by itself: whole suites, browsers and clusters share the machine.
WHOLE := RUNWIRE_TESTS=all $(BIN)/python -m pytest -q -m "whole or property"
AGAIN := --last-failed --last-failed-no-failures none
# How often `make proof` judges each good server as it is.
RUNS := 5
# How often `make test-often` runs the tests.
TIMES := 20
# For how many minutes `make soak` soaks.
MINUTES := 30

# Whatever the environment says, bytecode is kept: the tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup check test test-all test-often proof proof-quick proof-good mutants soak soak-quick bench bench-quick lint \
  generate docs clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1\t/' | expand -t 20

setup: $(STAMP) ## create .venv with everything

$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Runwire needs Python 3.11 or later; name one with: make PYTHON=/path/to/python3.11 setup"; exit 2; }
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

check: setup ## run the conformance suite against the reference server
	@$(BIN)/python -m tests.support.check_reference_server

test: setup ## run the tests that take no more than three minutes together
	@sh tests/support/install_system_packages.sh
	$(BIN)/python -m pytest -q $(TOGETHER) -m "not whole"

test-all: test ## run every test of this repository, whole suites against processes, cluster, browser and wheel too
	$(WHOLE) $(TOGETHER) --no-loadscope-reorder || { [ $$? = 1 ] && $(WHOLE) $(AGAIN); }

test-often: setup ## run `make test` TIMES times while four other processes keep the cores busy
	$(BIN)/python -m tests.support.repeat_tests --times $(TIMES)

proof: setup ## have the judge blame every flaw, and accuse no good server in RUNS runs of each
	@sh tests/support/install_system_packages.sh
	$(BIN)/python -m tests.proof --runs $(RUNS)

proof-quick: setup ## have the judge blame every flaw once, and accuse no good server once
	@sh tests/support/install_system_packages.sh
	$(BIN)/python -m tests.proof --quick

proof-good: setup ## accuse no good server: each once, and some at small limits, on a busy core, behind proxies
	@sh tests/support/install_system_packages.sh
	$(BIN)/python -m tests.proof --quick --only servers
	$(BIN)/python -m tests.proof --quick --only conditions

mutants: setup ## change the judge's logic in every small way, and have the tests find out; takes an hour
	$(BIN)/python -m tests.proof.mutate $(ONLY)

soak: setup ## have three nodes on Redis serve good, slow and hostile clients for MINUTES, and publish what they hold
	@sh tests/support/install_system_packages.sh
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --publish

soak-quick: setup ## the same for two minutes, writing nothing
	@sh tests/support/install_system_packages.sh
	$(BIN)/python -m tests.soak --minutes 2

BENCH := build/bench/venv

$(BENCH)/.complete: pyproject.toml benchmarks/requirements.txt
	"$(PYTHON)" -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[server,redis]' --requirement benchmarks/requirements.txt
	@touch $@

bench: $(BENCH)/.complete ## measure what events, readers and connections cost here and elsewhere; takes a quarter of an hour
	@sh tests/support/install_system_packages.sh
	$(BENCH)/bin/python -m benchmarks

bench-quick: $(BENCH)/.complete ## hold the cost of an event against what was published
	$(BENCH)/bin/python -m benchmarks --quick

lint: setup ## format, style, types, boundaries, specification, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m runwire_spec check

generate: setup ## write what is generated from specification and schemas, and the playground's copy of the client
	$(BIN)/python -m runwire_spec generate
	$(BIN)/python clients/generate_types.py
	cp clients/javascript/src/*.js reference_server/runwire_reference_server/playground/runwire/

docs: setup ## build the site into build/site
	$(BIN)/mkdocs build --strict --config-file docs/mkdocs.yml --site-dir ../build/site

clean: ## remove what was built
	rm -rf build dist .venv
	find . -name __pycache__ -prune -exec rm -rf {} +
