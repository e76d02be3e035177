# Two commands matter: `make up` and `make test`. Each sets up what it needs and says what it does.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help up down sql test check prometheus bench soak clean

BIN := .venv/bin
INSTALLED := .venv/.installed
# Where Python is told to keep no bytecode, as in many images, every start compiles everything anew:
# 1.8 s in place of 0.6, many hundred times in the tests.
unexport PYTHONDONTWRITEBYTECODE

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(INSTALLED) ## start everything and watch events arrive, until Ctrl-C (STACK=docker|embedded)
	@$(BIN)/python deploy/local/up.py

down: ## stop what a `make up` left (CLEAN=1: remove its data too)
	@if [ -x $(BIN)/python ]; then $(BIN)/python deploy/local/down.py $(if $(CLEAN),--clean); fi

sql: $(INSTALLED) ## a psql on the database of a running `make up` (Q='select …' for one query)
	@$(BIN)/python deploy/local/sql.py $(if $(Q),"$$Q")
export Q

# Most tests wait for processes and time-outs: on two cores, four at once. Some alone need no workers.
test: $(INSTALLED) ## run the tests with coverage (T='-k name' or a path for some, SEED=N repeats)
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(if $(SEED),--seed=$(SEED)) $(or $(T),-n 4 --dist worksteal)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report $(if $(T),,--fail-under=95)

check: $(INSTALLED) ## lint, formatting, types, import layers, shell and YAML
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@git grep --untracked -lE '^#!(/usr/bin/env bash|/bin/(ba)?sh)' | xargs $(BIN)/shellcheck
	@git ls-files -co --exclude-standard '*.yaml' '*.yml' | xargs $(BIN)/yamllint --strict
	@if [ -f Dockerfile ]; then $(BIN)/hadolint Dockerfile; fi

prometheus: $(INSTALLED) ## build Prometheus 3 with Go (minutes, once): for the tests, and `make up` where there is none
	@$(BIN)/python deploy/local/build_prometheus.py

bench: $(INSTALLED) ## measure speed beside PostgreSQL's own (B=--forward: the sinks; B=--help; PROFILE=1)
	@$(BIN)/python tests/bench/bench.py $(if $(PROFILE),--profile persist-flame.svg) $(B)

soak: $(INSTALLED) ## random faults for MINUTES (20), several workers, then the invariants (SEED=N repeats)
	@$(BIN)/python tests/soak/soak.py --minutes $(or $(MINUTES),20) $(if $(SEED),--seed $(SEED)) $(S)

clean: ## remove everything that was made here: data, downloads, caches, .venv
	@$(MAKE) --no-print-directory down CLEAN=1
	@rm -rf .venv .state .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@rm -rf .coverage .coverage.* dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt deploy/local/install
	@deploy/local/install
