PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.installed-demo
PYTEST_WORKERS ?= 3
# Whose long tests may run at the same time: their clock travels, or they wait more than they work.
SIDE_BY_SIDE := tests/conformance tests/system tests/examples tests/model

.DEFAULT_GOAL := help
.PHONY: help demo test coverage test-full check bench docs fix clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(DEMO_STAMP) ## Show the queue at work; options in ARGS="..."
	@$(BIN)/python -m checkmate_queue.cli demo $(ARGS)

test: $(STAMP) ## Run the tests, except the long ones (under 10 minutes)
	$(BIN)/pytest -m "not full" -n $(PYTEST_WORKERS) --dist worksteal $(ARGS)

coverage: $(STAMP) ## Run the same tests and show which lines they miss (half as long again)
	$(MAKE) test ARGS="--cov --cov-report=term $(ARGS)"

test-full: $(STAMP) ## Run the long tests: chaos, soak, long histories (up to 45 minutes)
	$(BIN)/python -m tests.servers.debian
	$(BIN)/pytest -m full -n $(PYTEST_WORKERS) --dist worksteal --timeout=900 --session-timeout=1500 $(ARGS) $(SIDE_BY_SIDE)
	$(BIN)/pytest -m full --timeout=900 --session-timeout=1500 $(ARGS) $(addprefix --ignore=,$(SIDE_BY_SIDE))

check: $(STAMP) ## Check format, lint, types and import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src tests examples benchmarks
	$(BIN)/lint-imports

bench: $(STAMP) ## Run the benchmarks; options in ARGS="..."
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(STAMP) ## Write what is generated into docs/, and build the site: build/site/index.html
	@$(BIN)/python -m docs.generate
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir build/site

fix: $(STAMP) ## Format the code and repair what the linter can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove caches and build output (the virtual environment stays)
	rm -rf build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Checkmate Queue needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.13" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(DEMO_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . -c constraints.txt
	@touch $@

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $(DEMO_STAMP) $@
