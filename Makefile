# The ways into Toban's house. Each brings what it needs first (.ci/install): nothing else is to be typed.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench format installed

SHELL := /bin/bash
PYTHON := .venv/bin/python
CODE := toban history collectors alerting backup daemon tests $(wildcard bench)
ARGS ?=

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | while IFS=$$'\t' read -r target why; do \
		printf 'make %-8s %s\n' "$$target" "$$why"; done

demo: installed ## a throw-away PostgreSQL with some load, and Toban on it (ARGS=--once goes once around)
	@.venv/bin/toban demo $(ARGS)

test: installed ## every test, on real servers, with branch coverage (ARGS= for pytest)
	@$(PYTHON) -m pytest --numprocesses=3 --dist=loadfile --cov --cov-report=term-missing:skip-covered $(ARGS)

# To read so many tests takes longer than to run half of them: what is compiled is kept, wherever Python is told not to.
check: installed ## format, lint, types, layers and the quick tests: less than a minute
	@.venv/bin/ruff format --check $(CODE)
	@.venv/bin/ruff check $(CODE)
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache --no-logo
	@PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/.cache/bytecode $(PYTHON) -m pytest \
		-q -m 'not integration' --hypothesis-profile=quick --numprocesses=2

bench: ## Toban beside prometheus-postgres-exporter on one server; prints a table (takes minutes)
	@.ci/install bench
	@$(PYTHON) -m bench $(ARGS)

format: installed ## put the code into its one form
	@.venv/bin/ruff format $(CODE)
	@.venv/bin/ruff check --fix $(CODE)

installed:
	@.ci/install
