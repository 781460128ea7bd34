# Slipway's commands. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

ENV ?= local
PYTHON ?= $(firstword $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' 2>/dev/null && command -v $$p; done) none)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-compile
# What is imported at every run; the rest of the packages compile when they are first used, if ever.
COMPILED := ansible jinja2 markupsafe yaml cryptography psycopg2 pglast fastapi starlette pydantic sqlalchemy psycopg \
	uvicorn requests urllib3 ansible_collections/community/docker ansible_collections/community/postgresql

export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/deploy.stamp ## Make the project's Python environment

$(VENV)/deploy.stamp: requirements.txt
	@if [ "$(PYTHON)" = none ]; then \
		echo "Slipway needs Python 3.11 or newer with its venv module: install them (Debian: python3 python3-venv)." >&2; exit 1; fi
	@echo "Installing what a deploy needs into $(VENV) (once; a minute or two) ..."
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.txt
	@cd $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
		"$(CURDIR)/$(BIN)/python" -m compileall -q -j 0 $(COMPILED)
	@touch $@

$(VENV)/test.stamp: requirements-dev.txt $(VENV)/deploy.stamp
	@echo "Installing what the tests need into $(VENV) (once) ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@

.PHONY: deploy
deploy: setup ## Deploy to ENV (local, test, prod); ARGS are passed on
	@ansible-playbook deploy.yml -i $(ENV) $(ARGS)

.PHONY: status
status: setup ## Show which migrations are applied and pending in ENV
	@ansible-playbook playbooks/status.yml -i $(ENV) $(ARGS)

.PHONY: teardown
teardown: setup ## Stop everything in ENV; the data stays unless ARGS='-e delete_data=true'
	@ansible-playbook playbooks/teardown.yml -i $(ENV) $(ARGS)

.PHONY: images
images: ## Build stand-ins for the official images from Debian's packages: eval "$$(make -s images)"
	@tests/images/build

.PHONY: test
test: $(VENV)/test.stamp ## Run everything that CI runs
	@tests/run

.PHONY: check
check: $(VENV)/test.stamp ## The quick inner loop: linters, types and unit tests
	@tests/run lint unit

.PHONY: soak
soak: $(VENV)/test.stamp ## Inject 1,000 faults into migrations, 100 into restores, stop and kill 100 runs each way, compare 100 histories, hold a table (long)
	@cd tests/integration/plugins && for version in 16 18; do \
		SLIPWAY_FAULTS=1000 SLIPWAY_STOPS=100 SLIPWAY_ORPHANS=100 SLIPWAY_RESTORES=100 SLIPWAY_HISTORIES=100 SLIPWAY_HELD=20 pytest -q --pg-version $$version \
			module_utils/_migration/test_faults.py module_utils/_postgres/test_interruption.py \
			module_utils/_drift/test_comparison.py::test_clean_histories_show_nothing \
			module_utils/_migration/test_apply.py::test_readers_wait_no_longer_than_the_lock_timeout \
			modules/test_restore_faults.py modules/test_orphans.py || exit 1; done
	@SLIPWAY_KILLED=100 pytest -q tests/integration/roles/test_deployment.py -k any_moment

.PHONY: lock
lock: $(VENV)/test.stamp ## Pin the requirements anew from the .in files
	@$(BIN)/python -m pip install --quiet uv
	@for name in requirements app/backend/requirements requirements-dev; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
			$$name.in --output-file $$name.txt || exit 1; done

.PHONY: docs
docs: setup ## Make docs/variables.md from the wiring, and the lists of variables in the roles' READMEs
	@python docs/make_variables.py

.PHONY: clean
clean: ## Remove the environment and the caches; .slipway with its data stays
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .ansible .cache
