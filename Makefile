# Slipway's commands. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

ENV ?= local
PYTHON ?= $(firstword $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' 2>/dev/null && command -v $$p; done) none)
VENV := .venv
BIN := $(VENV)/bin
SETUP := tools/setup_environment.py
define setup_environment
@if [ "$(PYTHON)" = none ]; then \
	echo "Slipway needs Python 3.11 or newer with its venv module: install them (Debian: python3 python3-venv)." >&2; exit 1; fi
@$(PYTHON) $(SETUP) $(1)
endef

export PATH := $(CURDIR)/$(BIN):$(PATH)

# Each playbook is a verb; the line that begins with ## has its group and what it does.
VERBS := $(filter-out preflight,$(basename $(notdir $(wildcard playbooks/*.yml))))
GROUPS := Deploy Look Migrations Database Backups Application Repair

.PHONY: help
help: ## List the commands
	@echo "make VERB [ENV=local|test|prod] [ARGS='--check --diff -e ...']"
	@for group in $(GROUPS); do echo; echo "$$group"; awk -v group="$$group" -F ': ' \
		'FNR == 1 {verb = FILENAME; gsub(/.*\/|\.yml$$/, "", verb)} $$1 == "## " group {sub(/^## [^:]*: /, ""); printf "  %-14s %s\n", verb, $$0}' \
		$(addprefix playbooks/,$(addsuffix .yml,$(VERBS))); done
	@echo; echo "Slipway itself"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {gsub(/[$$][$$]/, "$$", $$2); printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: $(VERBS)
$(VERBS): setup
	@SLIPWAY_TYPED='make $@ ENV=$(ENV)' ansible-playbook $(if $(filter deploy,$@),deploy.yml,playbooks/$@.yml) -i $(ENV) $(ARGS)

.PHONY: setup
setup: $(VENV)/deploy.stamp ## Make the project's Python environment

# What the tests need has all that a deploy needs; what a deploy needs has nothing for the tests.
$(VENV)/deploy.stamp: requirements.txt requirements-setup.txt $(SETUP)
	$(call setup_environment,requirements.txt)
	@rm -f $(VENV)/test.stamp
	@touch $@

$(VENV)/test.stamp: requirements-dev.txt requirements-setup.txt $(SETUP)
	$(call setup_environment,requirements-dev.txt)
	@touch $(VENV)/deploy.stamp $@

.PHONY: images
images: ## Build stand-ins for the official images from Debian's packages: eval "$$(make -s images)"
	@tests/images/build

.PHONY: test
test: $(VENV)/test.stamp ## Run everything that CI runs
	@tests/run

.PHONY: check
check: $(VENV)/test.stamp ## The quick inner loop: linters, types and unit tests
	@tests/run lint unit

.PHONY: coverage
coverage: $(VENV)/test.stamp ## Measure which branches of the core unit and integration tests run; below 90 % it fails (long)
	@tests/run coverage

.PHONY: soak
soak: $(VENV)/test.stamp ## Inject 1,000 faults into migrations, 100 into backups and restores, stop and kill 100 runs each way, compare 100 histories, hold a table, run the tests on the other PostgreSQL, deploy to a bare host over SSH, use each role alone (hours)
	@cd tests/integration/plugins && for version in 16 18; do \
		SLIPWAY_FAULTS=1000 SLIPWAY_STOPS=100 SLIPWAY_ORPHANS=100 SLIPWAY_RESTORES=100 SLIPWAY_BACKUPS=100 SLIPWAY_HISTORIES=100 SLIPWAY_HELD=20 pytest -q --pg-version $$version \
			module_utils/_migration/test_migrate_faults.py module_utils/_postgres/test_interruption.py \
			module_utils/_drift/test_comparison.py::test_clean_histories_show_nothing \
			module_utils/_migration/test_apply.py::test_readers_wait_no_longer_than_the_lock_timeout \
			modules/test_restore_faults.py modules/test_backup_faults.py module_utils/_run/test_fence.py || exit 1; done
	@SLIPWAY_KILLED=100 pytest -q tests/integration/roles/test_deployment.py -k any_moment
	@SLIPWAY_ROLLBACKS=10 SLIPWAY_ROLLBACKS_KILLED=15 tests/run hosts roles integration-18 soak

.PHONY: lock
lock: ## Pin the requirements anew from the .in files; ARGS=--upgrade takes the newest versions
	$(call setup_environment,--lock $(ARGS))

.PHONY: docs
docs: setup ## Make docs/variables.md from the wiring, and the lists of variables in the roles' READMEs
	@python docs/make_variables.py

.PHONY: clean
clean: ## Remove the environment and the caches; .slipway with its data stays
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .ansible .cache
