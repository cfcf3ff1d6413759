# Everyday commands. On a fresh clone, each one needs only make and Python 3.11 or later;
# everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test test-browser test-faults fuzz lint format lock audit bench clean

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: $(VENV)/installed ## Serve on http://localhost:8000, with its own PostgreSQL
	@exec $(BIN)/python -m dev.run

test: lint ## Lint, then run all tests but the browser tests and the slow ones
	$(BIN)/pytest -m 'not slow' --ignore=tests/browser

test-browser: $(VENV)/browser-installed ## Lint the page's JavaScript, and test it in Debian's chromium and firefox-esr
	$(BIN)/deno lint
	$(BIN)/deno fmt --check
	$(BIN)/pytest --numprocesses=2 tests/browser --ignore=tests/browser/test_long_list.py
	$(BIN)/pytest --numprocesses=0 -rP tests/browser/test_long_list.py

test-faults: $(VENV)/installed ## Run the fault-injection tests and other slow tests (needs root, and the Debian packages of .ci/run)
	$(BIN)/pytest --numprocesses=2 tests/resilience
	$(BIN)/pytest -m slow --ignore=tests/resilience --ignore=tests/browser

fuzz: $(VENV)/installed ## Send 20,000 malformed and hostile requests, single and pipelined (FUZZ_REQUESTS=… for another number)
	FUZZ_REQUESTS=$(or $(FUZZ_REQUESTS),20000) $(BIN)/pytest tests/server/test_fuzz.py tests/server/test_pipelines.py

lint: $(VENV)/installed ## Run ruff (linter and formatter) and mypy without changing anything
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/installed ## Fix and format the code with ruff
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format

LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

LOCK_BROWSER := $(subst compile pyproject.toml,compile,$(LOCK)) \
	--group browser --constraint requirements-dev.txt

LOCK_BENCH := $(subst pyproject.toml,benchmarks/requirements.in,$(LOCK)) \
	--python-version 3.12 --constraint requirements-dev.txt

lock: $(VENV)/installed ## Update the lock files from pyproject.toml (UPGRADE=1: to the latest versions)
	@$(LOCK) $(if $(UPGRADE),--upgrade) --output-file requirements.txt
	@$(LOCK) $(if $(UPGRADE),--upgrade) --group dev --constraint requirements.txt \
		--output-file requirements-dev.txt
	@$(LOCK_BROWSER) $(if $(UPGRADE),--upgrade) --output-file requirements-browser.txt
	@$(LOCK_BENCH) $(if $(UPGRADE),--upgrade) --output-file benchmarks/requirements.txt

audit: $(VENV)/installed ## Check the production dependencies for known vulnerabilities (needs the advisories of the package index)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements.txt

bench: benchmarks/.venv/installed ## Benchmark this service against others (45 minutes; needs wrk, and Node.js for one of them)
	@benchmarks/.venv/bin/python -m benchmarks $(BENCH)

clean: ## Remove .venv and the caches, but not the todos in instance/
	rm -rf $(VENV) benchmarks/.venv benchmarks/peers/fastify/node_modules .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Otherwise an older Python fails later, inside pip, and does not say why.
CHECK_PYTHON := import sys; sys.exit(sys.version_info < (3, 11) and \
	'This project requires Python 3.11 or later; $(PYTHON) is %d.%d.%d.' % sys.version_info[:3])

$(VENV)/installed: requirements-dev.txt
	@$(PYTHON) -c "$(CHECK_PYTHON)"
	@echo 'Installing into $(VENV) …'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/browser-installed: $(VENV)/installed requirements-browser.txt
	@echo 'Installing the browser driver into $(VENV) …'
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-browser.txt
	@touch $@

benchmarks/.venv/installed: requirements-dev.txt benchmarks/requirements.txt
	@$(PYTHON) -c "$(CHECK_PYTHON)"
	@echo 'Installing into benchmarks/.venv …'
	@$(PYTHON) -m venv --clear benchmarks/.venv
	@benchmarks/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-dev.txt -r benchmarks/requirements.txt
	@if command -v npm > /dev/null; then npm ci --silent --omit=dev --prefix benchmarks/peers/fastify; fi
	@touch $@
