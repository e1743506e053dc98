# Everything a developer does. It needs Python 3.11 or newer, and nothing else.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
AVATARLAB := $(BIN)/avatarlab --profile demo
# On two cores; the one that is done first takes over tests of the other.
PYTEST := $(BIN)/pytest -n 2 --dist worksteal -m 'not services'

# What `make demo` invents; STATE is seed (before the web panel's migrations) or panel (after them).
USERS ?= 2000
MONTHS ?= 12
SEED ?= 1
STATE ?= panel

.DEFAULT_GOAL := help
.PHONY: help install demo test test-16 test-more test-services test-boot lint types imports docs docs-check bench build wheel-check check clean

help:  ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "make %-15s %s\n", $$1, $$2 }'

install: $(INSTALLED)  ## Install the toolkit and its tools into .venv

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed: make PYTHON=python3.12' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: install  ## Load an invented platform into a PostgreSQL of its own and compute its figures
	$(AVATARLAB) demo load --users $(USERS) --months $(MONTHS) --seed $(SEED) --state $(STATE) --replace --yes --sort -rows --limit 5
	$(AVATARLAB) db migrate
	$(AVATARLAB) demo snapshots
	$(AVATARLAB) job run monthly-usage --log-format console --fields status,seconds,rows_read,rows_written
	$(AVATARLAB) job run platform-statistics --log-format console --fields status,seconds,rows_read,rows_written
	$(AVATARLAB) usage top --by total_cost --limit 5
	$(AVATARLAB) stats show --fields stat_date,total_users,active_users,paying_users,mrr,estimated_cost_today,users_by_tier
	@printf '%s\n' '' 'Try next:' \
	  '  $(AVATARLAB) usage top --by images_generated' \
	  '  $(AVATARLAB) stats trend --metric mrr --since 14d' \
	  '  $(AVATARLAB) usage month --csv --out usage.csv' \
	  '  $(AVATARLAB) user list --sort -total_cost --limit 10' \
	  '  $(AVATARLAB) user show admin@example.com' \
	  '  $(AVATARLAB) tier check --limit 10' \
	  '  $(AVATARLAB) storage summary' \
	  '  $(AVATARLAB) cost report --by kind,provider' \
	  '  $(AVATARLAB) cost forecast' \
	  '  $(AVATARLAB) audit list' \
	  '  $(AVATARLAB) db tables' \
	  '  $(AVATARLAB) db stop'

test: install  ## Run all tests on PostgreSQL 18
	$(PYTEST)

test-16: install  ## Run the database tests on PostgreSQL 16 too
	AVATARLAB_TEST_POSTGRES=16 $(PYTEST) tests/database

test-more: install  ## Run the database tests on twenty times as many invented inputs (hours)
	AVATARLAB_TEST_EXAMPLES=20 $(PYTEST) tests/database

test-services: install  ## Run the tests that need Debian's packages postgresql-15, pgbouncer, prometheus and systemd
	$(BIN)/pytest -m services tests/services

test-boot: install  ## Boot a systemd in namespaces and have its timers run jobs; takes root
	$(BIN)/pytest tests/services/boot.py

lint: install  ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: install  ## Check types
	$(BIN)/mypy
	$(BIN)/mypy docs/generate_cli.py docs/generate_requirements.py

imports: install  ## Check which package imports which
	$(BIN)/lint-imports

docs: install  ## Write docs/cli.md from the commands' help, and docs/requirements.md
	$(BIN)/python docs/generate_cli.py
	$(BIN)/python docs/generate_requirements.py

docs-check: install  ## Check that these are what `make docs` would write, and that what they name is there
	$(BIN)/python docs/generate_cli.py --check
	$(BIN)/python docs/generate_requirements.py --check

bench: install  ## Measure speed and memory
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.export
	$(BIN)/python -m benchmarks.aggregation
	$(BIN)/python -m benchmarks.capture
	$(BIN)/python -m benchmarks.user_list
	$(BIN)/python -m benchmarks.bulk
	$(BIN)/python -m benchmarks.storage
	$(BIN)/python -m benchmarks.watch

build: install  ## Build the wheel into dist
	rm -rf dist
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

wheel-check: build  ## Install the wheel into a fresh environment and try it
	$(BIN)/pytest tests/wheel/checks.py

check: lint types imports docs-check test test-16 wheel-check  ## Run everything but test-services

clean:  ## Remove .venv and what the tools left
	rm -rf .venv dist build .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
