# PayFlow's commands; `make` alone lists them.
#
# Paths are relative throughout: this directory's own path may contain spaces, which make cannot
# quote. Tools run as `.venv/bin/python -m …`, because the scripts beside it name the absolute path
# of the virtualenv they were installed in.

PYTHON ?= python3
UV ?= uv
VENV_PYTHON := .venv/bin/python
# What is installed: what running needs, or that and what testing needs.
RUN := .venv/.installed-run
TEST := .venv/.installed-test

# Nothing listens there: checks that need no database must not find one by chance.
NO_DATABASE := postgresql://nobody@127.0.0.1:1/none

# Pins keep their extras (`coverage[toml]==…`): without them an old pip looks for the extra's newest
# release, which has no hash here, and installs nothing.
LOCK := $(UV) pip compile -q --universal --generate-hashes --no-strip-extras --no-header --no-annotate --extra redis --extra stripe

.DEFAULT_GOAL := help
.PHONY: help run test check format migrations lock demo hammer doubt machine torture order bench bench-registry bench-brokers bench-slow clean

help: ## List these commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z.-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

run: $(RUN) ## Start everything on http://127.0.0.1:8000 (PORT=…, PAYFLOW_HOME=…); Ctrl-C stops it
	@exec $(VENV_PYTHON) -m payflow.runtime

test: check ## Everything CI runs: the checks, then the whole suite (ARGS=… for pytest)
	$(VENV_PYTHON) -m pytest -n auto --dist loadgroup $(if $(ARGS),$(ARGS),--cov --cov-report=term:skip-covered)

check: $(TEST) ## Style, types, module boundaries, missing migrations
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy .
	$(VENV_PYTHON) -c 'import sys; from importlinter.cli import lint_imports_command; sys.argv[0] = "lint-imports"; lint_imports_command()' --config importlinter.ini
	DATABASE_URL=$(NO_DATABASE) DATABASE_OWNER_URL= $(VENV_PYTHON) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

format: $(TEST) ## Rewrite the code in the one style
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

migrations: $(TEST) ## Write the migrations that changed models need
	DATABASE_URL=$(NO_DATABASE) DATABASE_OWNER_URL= $(VENV_PYTHON) -W ignore::RuntimeWarning manage.py makemigrations
	@$(VENV_PYTHON) -m ruff check --quiet --fix */migrations
	@$(VENV_PYTHON) -m ruff format --quiet */migrations

demo: $(RUN) ## Play one merchant's story on a PayFlow of its own, and check every answer
	@exec $(VENV_PYTHON) manage.py demo

hammer: $(RUN) ## Race captures, voids, refunds and expiries on a PayFlow of its own (ARGS="--rounds 10000")
	@exec $(VENV_PYTHON) manage.py hammer $(ARGS)

doubt: $(TEST) ## Lose one answer in ten and kill the dispatcher, over 2,000 operations (OPERATIONS=…)
	@PAYFLOW_DOUBT_OPERATIONS=$(or $(OPERATIONS),2000) $(VENV_PYTHON) -m pytest payflow/tests/flows/test_doubt.py

machine: $(TEST) ## Random commands against a second opinion: 100,000 steps (STEPS=… SEED=…)
	@exec $(VENV_PYTHON) -m payflow.tests.machine --steps $(or $(STEPS),100000) $(if $(SEED),--seed $(SEED))

torture: $(RUN) ## kill -9 and database restarts under load: 200 and 40 (ARGS="--kills 20 --restarts 4")
	@exec $(VENV_PYTHON) manage.py torture $(ARGS)

order: $(TEST) ## Keep every story's order with 8 workers: 100,000 events (EVENTS=…)
	@PAYFLOW_ORDER_EVENTS=$(or $(EVENTS),100000) $(VENV_PYTHON) -m pytest -q -s shared/tests/event_bus/test_order_under_load.py

bench: $(RUN) ## Measure the platform beside what PostgreSQL alone could do (4 minutes)
	@exec $(VENV_PYTHON) -m payflow.runtime.bench chain

bench-registry: $(RUN) ## Measure claims on a registry of a million publications
	@exec $(VENV_PYTHON) -m payflow.runtime.bench registry

bench-brokers: $(RUN) ## Measure e-mails on pgmq, and on Redis and RabbitMQ if they run here
	@exec $(VENV_PYTHON) -m payflow.runtime.bench brokers

bench-slow: $(RUN) ## Measure what hundreds of slow clients cost the others
	@exec $(VENV_PYTHON) -m payflow.runtime.bench slow

lock: ## Pin every dependency of pyproject.toml, with hashes, in requirements/ (needs uv; ARGS=--upgrade)
	$(LOCK) $(ARGS) --extra embedded --group dev pyproject.toml -o requirements/dev.txt
	$(LOCK) --extra embedded -c requirements/dev.txt pyproject.toml -o requirements/run.txt
	$(LOCK) -c requirements/dev.txt pyproject.toml -o requirements/production.txt

clean: ## Remove caches and the virtualenv; the data in .payflow/ stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtualenv that was interrupted, moved or copied is made anew; a sound one is only brought up to
# date. pip is used as it comes with Python: a hash-locked installation needs no newer one.
define install
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here: install Python 3.11 or newer, or name one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "PayFlow needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(VENV_PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || { rm -rf .venv; echo "The virtualenv cannot be made; on Debian and Ubuntu, install the package python3-venv." >&2; exit 1; }
	@echo "Installing $(1) into .venv …"
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r $(1)
	@touch $@
endef

$(RUN): requirements/run.txt
	$(call install,requirements/run.txt)

$(TEST): requirements/dev.txt
	$(call install,requirements/dev.txt)
