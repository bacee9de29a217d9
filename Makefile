# Everything a person does, one command each. `make run` and `make test` set everything up themselves.
PORT ?= 8000
STAGE ?= dev
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && { echo $$name; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --no-compile --constraint constraints.txt
UV := $(or $(shell command -v uv),$(BIN)/uv)
WORKERS ?= auto
NOT_INSTALLED := the package index could not be reached or lacks a package: is there a network? .venv/pip.log says more

# uv takes a tenth of the time; pip knows indexes that uv is not told of.
define install
@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt $(1) 2>/dev/null || $(PIP) $(1) 2>.venv/pip.log || \
	{ echo "$(NOT_INSTALLED)" >&2; exit 1; }
endef

.PHONY: help run setup test thorough trino localstack tools judge lint docs soak bench deploy destroy clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: .venv/.local  ## extract, transform, crawl, report; then API and dashboard at PORT (default 8000)
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m sandbox.demo --port $(PORT)

setup: .venv/.local  ## the environment alone (.venv)

test: .venv/.dev  ## the tests that take a moment; COVERAGE=1 tells which lines they run
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) -m "not soak and not judged and not thorough" $(if $(COVERAGE),--cov)
	@echo "Left out: the thorough tests (make thorough) and those that a real Trino judges (make judge), which CI runs."

thorough: .venv/.dev  ## the tests that take seconds each
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) -m "thorough and not soak and not judged"

trino: .venv/.trino  ## a real Trino (0.4 GB), by which the tests judge the lake's SQL
	@$(BIN)/python -m tests.support.trino.build

localstack: .venv/.dev  ## LocalStack (0.5 GB), a second emulation of AWS for the tests
	@$(BIN)/python -m tests.support.localstack.build

tools: .venv/.dev  ## other people's tools (Athena's clients, dbt, client generators), which the tests let read the lake
	@$(BIN)/python -m tests.support.tools.build

judge: trino  ## every statement, report and view on a real Trino too
	@TRINO=required $(BIN)/python -m pytest --numprocesses $(WORKERS) -m "judged and not soak"

lint: .venv/.dev  ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: .venv/.docs  ## the documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

soak: .venv/.dev  ## the long trials: kill points, random orders, thousands of requests, load
	@$(BIN)/python -m pytest -m soak --timeout 3600

bench: .venv/.dev .venv-bench/.complete  ## the benchmarks
	@$(BIN)/python -m bench

deploy: .venv/.local  ## to AWS: make deploy STAGE=dev (Python 3.12 to 3.14)
	@$(BIN)/python -m deploy up --stage $(STAGE)

destroy: .venv/.local  ## remove a stage from AWS, but for its data
	@$(BIN)/python -m deploy down --stage $(STAGE)

clean:  ## remove the environment and caches; the lakes stay
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .hypothesis .chalice/deployments build

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found: install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version)"
	@$(if $(shell command -v uv),uv venv --quiet --clear --seed --python $(PYTHON) .venv 2>/dev/null,false) || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "python -m venv failed: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }

.venv/.local: .venv/bin/python pyproject.toml requirements.txt requirements-layers.txt requirements-local.txt constraints.txt
	@echo "Installing what the lake needs (some seconds with uv, which pip brings; half a minute without)"
	@command -v $(UV) >/dev/null || $(PIP) --retries 1 --only-binary :all: uv 2>/dev/null || true
	$(call install,--editable .)
	@touch $@

.venv/.dev: .venv/.local requirements-dev.txt tests/deployed/requirements.txt
	@echo "Installing what the tests need"
	$(call install,-r requirements-dev.txt)
	@touch $@

.venv-bench/.complete: .venv/.dev bench/requirements.txt requirements.txt requirements-layers.txt
	@echo "Installing what the benchmarks compare with"
	@$(BIN)/python -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt -r bench/requirements.txt 2>.venv/pip.log || { echo "$(NOT_INSTALLED)" >&2; exit 1; }
	@touch $@

.venv/.trino: .venv/.dev tests/support/trino/requirements.txt
	$(call install,-r tests/support/trino/requirements.txt)
	@touch $@

.venv/.docs: .venv/.dev requirements-docs.txt
	$(call install,-r requirements-docs.txt)
	@touch $@
