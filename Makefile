# `make` alone says what there is to make, and changes nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Each check runs many Python processes: without compiled modules each would compile them anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run check test lint types imports unit tests browser test-long test-compiled conformance-clients conformance-anchors test-system image image-test wheel screenshots bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## make .venv with all that is needed, podwarden-audit included

$(VENV)/.installed: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into $(VENV), about a minute."
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "$(PYTHON) cannot make a virtual environment (on Debian: apt-get install python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: setup ## everything on this machine, with a demo PodWarden; SAMPLE=day makes up a day of calls
	@exec $(BIN)/python -m deploy.local $(if $(SAMPLE),--sample '$(SAMPLE)')

# All four at once: mypy and the contracts keep one core busy, and pytest waits at times.
check: setup ## what to run before each commit: less than a minute
	@$(MAKE) --no-print-directory --jobs --output-sync=target lint types imports unit

test: setup lint types imports tests ## every check but those below: what CI runs

lint: setup ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict
	$(BIN)/mypy

imports: setup ## import contracts: who may import whom
	$(BIN)/lint-imports

unit: setup ## tests/unit alone: no server, no database
	$(BIN)/python -m pytest -n 2 tests/unit

# By file: tests of a file share what they start. The longest files first, as tests/conftest.py says.
# Half of their time is waiting: four processes keep two cores busy.
tests: setup browser ## all tests with real neighbours
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

browser: setup
	@$(BIN)/python tests/browser/find_browser.py

.PHONY: settings
settings: setup ## write docs/settings.md from the settings' classes
	$(BIN)/python -m deploy.settings_table

# The pictures in the documents, taken of the page as it is.
screenshots: setup browser ## take the documents' pictures anew
	$(BIN)/python -m tests.browser.screenshots

# A copy of the checkout with the compiled wheel laid over it: nothing of that gets into .venv.
COMPILED := build/compiled
define compiled_copy
	rm -rf $(COMPILED) && mkdir -p $(COMPILED)
	PODWARDEN_AUDIT_COMPILE=yes $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(COMPILED)/dist .
	git ls-files -z --cached --others --exclude-standard \
	  | tar --create --null --ignore-failed-read --files-from=- | tar --extract --directory=$(COMPILED)
	$(BIN)/python -m zipfile --extract $(COMPILED)/dist/*.whl $(COMPILED)
endef

# Compiled, as the image is. Each benchmark writes its section of benchmarks/RESULTS.md, which begins empty.
bench: setup ## measure all; hours; needs a quiet machine and root (a loop mount)
	$(compiled_copy)
	cd $(COMPILED) && $(CURDIR)/$(BIN)/python -m benchmarks --results $(CURDIR)/benchmarks/RESULTS.md

# Many kills, 1,000 early responses, tool calls of 90 s, 200 sessions, every older schema, 50 sidecars, NATS;
# and the seal judged by others: aics-tlog and metamorphic-log from PyPI need Python 3.12 or later, Go's
# checksum database the packages golang-go and golang-golang-x-mod-dev. What is not there is skipped.
test-long: setup ## proofs that take minutes each
	FAULT_KILL_ROUNDS=200 CONVERT_ROWS=100000 EARLY_RESPONSE_ROUNDS=1000 $(BIN)/python -m pytest \
	  tests/integration/test_fault_killed.py tests/integration/test_early_response.py \
	  tests/integration/test_conversion.py tests/*/long_*.py \
	  --timeout=900 --log-cli-level=INFO

# The warning, from Python 3.12 on, is about how mypyc cancels a coroutine.
test-compiled: setup ## unit, wire and fault tests, with the modules of each call compiled
	$(compiled_copy)
	cd $(COMPILED) && $(CURDIR)/$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
	  tests/compiled tests/unit tests/mcp $(foreach what,early fault hub journal metamorphic recorded relay seal \
	  strangers token tracing transparency workers,tests/integration/test_$(what)*.py) \
	  -W 'ignore:the (type, exc, tb) signature of throw:DeprecationWarning'

# Installs from PyPI and npm into tests/clients/.cache, once per lock file.
conformance-clients: setup ## fourteen MCP clients and bridges through the sidecar; a quarter of an hour
	$(BIN)/python -m pytest tests/clients/conformance_clients.py

# Installs from PyPI into tests/anchors/.cache, once per lock file; rsyslog is of Debian.
conformance-anchors: setup ## anchors with a witness, S3 store, time-stamp authority and syslog of other makes
	$(BIN)/python -m pytest tests/anchors/conformance_anchors.py --timeout=900

# The packages: postgresql, pgbouncer, prometheus, and what docs/deploy.md lists.
test-system: setup ## what needs Debian packages and root: image, units, pgbouncer, alerts
	$(BIN)/python -m pytest tests/system

image-test: setup ## build the image with buildah and run the services in it
	$(BIN)/python -m pytest tests/system/test_image.py

# PYTHON_IMAGE takes another base than the one pinned in the Dockerfile.
IMAGE_BUILDER ?= docker
image: ## build the image podwarden-audit
	$(IMAGE_BUILDER) build $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) --tag podwarden-audit .

wheel: setup ## build the wheel in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# Resolves afresh for every supported Python. Writes hashes, no addresses.
COMPILE := UV_PYTHON_DOWNLOADS=never uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links
lock: ## write requirements/*.lock; needs uv (pip install uv)
	$(COMPILE) --group build -o requirements/build.lock
	$(COMPILE) pyproject.toml --extra codings -o requirements/runtime.lock
	$(COMPILE) pyproject.toml --extra codings --extra otel -o requirements/otel.lock
	$(COMPILE) pyproject.toml --extra codings --extra otel --group dev -o requirements/dev.lock

clean: ## remove .venv, dist and caches
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .conformance_cache tests/clients/.cache tests/seal/.cache tests/anchors/.cache
