# make setup: the .venv alone.   make run: everything on this machine.   make test: every check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup run test lint types imports tests browser test-long test-system image image-test screenshots bench lock clean

setup: $(VENV)/.installed

$(VENV)/.installed: requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "$(PYTHON) cannot make a virtual environment (on Debian: apt-get install python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	@touch $@

run: setup
	@exec $(BIN)/python -m deploy.local

test: setup lint types imports tests

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

# By file: tests of a file share what they start.
tests: setup browser
	$(BIN)/python -m pytest -n 2 --dist loadfile

browser: setup
	@$(BIN)/python tests/browser/find_browser.py

.PHONY: settings
settings: setup ## write docs/settings.md from the settings' classes
	$(BIN)/python -m deploy.settings_table

# The pictures in the documents, taken of the page as it is.
screenshots: setup browser
	$(BIN)/python -m tests.browser.screenshots

# Each writes its section of benchmarks/RESULTS.md; needs a quiet machine and root (a loop mount).
bench: setup
	for what in auditing writer nats stall proxies latency bodies growth profile gateways queries; do $(BIN)/python -m benchmarks.$$what || exit 1; done
	$(BIN)/python -m benchmarks.outage --seconds 600

# Proofs that take minutes: many kills, tool calls of 90 s, every older schema, 50 sidecars, NATS.
test-long: setup
	FAULT_KILL_ROUNDS=60 CONVERT_ROWS=100000 $(BIN)/python -m pytest tests/integration/test_fault_killed.py \
	  tests/mcp/long_tool_call.py tests/integration/test_conversion.py \
	  tests/integration/long_upgrade.py tests/integration/long_fleet.py tests/integration/long_nats.py \
	  --timeout=900 --log-cli-level=INFO

# What needs Debian packages and root (postgresql, pgbouncer, prometheus, and what docs/deploy.md lists).
test-system: setup
	$(BIN)/python -m pytest tests/system

image-test: setup
	$(BIN)/python -m pytest tests/system/test_image.py

# PYTHON_IMAGE takes another base than the one pinned in the Dockerfile.
IMAGE_BUILDER ?= docker
image:
	$(IMAGE_BUILDER) build $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) --tag podwarden-audit .

# Resolves afresh for every supported Python; needs uv (pip install uv). Writes hashes, no addresses.
lock:
	UV_PYTHON_DOWNLOADS=never uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements/runtime.lock
	UV_PYTHON_DOWNLOADS=never uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml --extra otel -o requirements/otel.lock
	UV_PYTHON_DOWNLOADS=never uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml --extra otel --group dev -o requirements/dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .conformance_cache
