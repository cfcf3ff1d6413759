# The daily commands. Each one works on a fresh clone: Python 3.11 or later and make
# are all it takes; everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test test-browser test-faults fuzz lint format lock audit bench clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: $(VENV)/installed ## Serve on http://localhost:8000 with a PostgreSQL of its own
	@exec $(BIN)/python -m dev.run

test: lint ## What decides whether a change is good, but for what takes long
	$(BIN)/pytest -m 'not slow' --ignore=tests/browser

test-browser: $(VENV)/browser-installed ## Lint the page's JavaScript, and test it in a real browser (Debian's chromium)
	$(BIN)/deno lint
	$(BIN)/deno fmt --check
	$(BIN)/pytest --numprocesses=2 tests/browser --ignore=tests/browser/test_long_list.py
	$(BIN)/pytest --numprocesses=0 -rP tests/browser/test_long_list.py

test-faults: $(VENV)/installed ## Each fault, under load, and all else that takes long (root, and Debian's nginx-light, pgbouncer, iptables)
	$(BIN)/pytest --numprocesses=2 tests/resilience
	$(BIN)/pytest -m slow --ignore=tests/resilience --ignore=tests/browser

fuzz: $(VENV)/installed ## 20,000 wrong and hostile requests, and pipelines of them (FUZZ_REQUESTS=…: another number)
	FUZZ_REQUESTS=$(or $(FUZZ_REQUESTS),20000) $(BIN)/pytest tests/server/test_fuzz.py tests/server/test_pipelines.py

lint: $(VENV)/installed ## ruff (lint and format) and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/installed ## Rewrite the code as `make lint` wants it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

LOCK_BROWSER := $(subst compile pyproject.toml,compile,$(LOCK)) \
	--group browser --constraint requirements-dev.txt

LOCK_BENCH := $(subst pyproject.toml,benchmarks/requirements.in,$(LOCK)) \
	--python-version 3.12 --constraint requirements-dev.txt

lock: $(VENV)/installed ## Pin what pyproject.toml names (UPGRADE=1: at the newest versions)
	@$(LOCK) $(if $(UPGRADE),--upgrade) --output-file requirements.txt
	@$(LOCK) $(if $(UPGRADE),--upgrade) --group dev --constraint requirements.txt \
		--output-file requirements-dev.txt
	@$(LOCK_BROWSER) $(if $(UPGRADE),--upgrade) --output-file requirements-browser.txt
	@$(LOCK_BENCH) $(if $(UPGRADE),--upgrade) --output-file benchmarks/requirements.txt

audit: $(VENV)/installed ## Ask for known faults of what production installs (takes the package index's advisories)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements.txt

bench: benchmarks/.venv/installed ## Measure this service beside others (25 minutes; takes wrk, and Node.js for one)
	@benchmarks/.venv/bin/python -m benchmarks $(BENCH)

clean: ## Remove .venv and the caches; the todos in instance/ stay
	rm -rf $(VENV) benchmarks/.venv benchmarks/peers/fastify/node_modules .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/installed: requirements-dev.txt
	@echo 'Installing into $(VENV) …'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/browser-installed: $(VENV)/installed requirements-browser.txt
	@echo 'Installing what drives a browser into $(VENV) …'
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-browser.txt
	@touch $@

benchmarks/.venv/installed: requirements-dev.txt benchmarks/requirements.txt
	@echo 'Installing into benchmarks/.venv …'
	@$(PYTHON) -m venv --clear benchmarks/.venv
	@benchmarks/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-dev.txt -r benchmarks/requirements.txt
	@if command -v npm > /dev/null; then npm ci --silent --omit=dev --prefix benchmarks/peers/fastify; fi
	@touch $@
