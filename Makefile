# Every target sets up what it needs; a fresh machine with Python 3.11 is enough.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
NATIVE := .venv/.native
COMPILED := $(wildcard mesh_gateway/*.py) $(shell find $(addprefix mesh_gateway/,$(file < native/floors.txt)) -name '*.py') \
  $(wildcard plugins/*/mesh_gateway_*/*.py)

.PHONY: help services setup check format test test-alone test-on-servers test-python test-faults bench demo lock clean docs

help:            ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) $(NATIVE)  ## .venv with locked versions and the project itself

$(STAMP): Makefile requirements/dev.txt pyproject.toml $(wildcard plugins/*/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet "uv>=0.9,<1"
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements/dev.txt
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e . \
	  -e plugins/kafka -e plugins/rabbitmq -e plugins/sqs
	touch $(STAMP)

# A data path that was changed runs as Python until this has made its libraries anew (a minute).
$(NATIVE): $(STAMP) $(COMPILED) $(wildcard native/*.toml native/*.txt native/*.py native/mesh_gateway_native/*.p*)
	rm -rf native/build
	@if command -v "$${CC:-cc}" >/dev/null && test -e "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"; then \
	  VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --no-cache --reinstall --no-deps --no-build-isolation ./native; \
	else \
	  echo "NOT BUILT: mesh-gateway-native needs a C compiler and Python's headers; without it the gateway is Python alone" >&2; \
	fi
	touch $(NATIVE)

check: setup     ## formatting, lint, types, import contracts, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/reference.py --check
	$(BIN)/python scripts/cli_reference.py --check

format: setup    ## let ruff rewrite what it can
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

services:        ## real Kafka, RabbitMQ and SQS servers for the tests; a machine that cannot skips those aloud
	scripts/services up || test -z "$(MESH_REQUIRE_SERVICES)"

# Some tests kill the servers that others use, so those run one after the other; what needs none runs beside them.
BESIDE := --no-print-directory --jobs=2 --output-sync=target test-alone test-on-servers

test: setup services  ## everything but benchmarks, in two runs beside each other; each prints when it has ended
	$(MAKE) $(BESIDE) test-python

test-faults: setup services  ## only kills, cuts and stalls, and all of them: `make test` tries some of the many
	MESH_FAULTS=all $(MAKE) $(BESIDE) TESTS="tests/faults tests/properties"
	MESH_FAULTS=all MESH_NATIVE=off $(BIN)/python -m pytest tests/properties/test_triggering.py

test-alone:
	eval "$$(scripts/services env --tools)" && $(BIN)/python -m pytest -m "not servers" $(TESTS)

test-on-servers:
	eval "$$(scripts/services env)" && $(BIN)/python -m pytest -m servers $(TESTS)

# The data path once more without native parts, where those are; a minute.
FLOORS := $(addprefix tests/,ingress broker delivery filters wire transport/embedded properties/test_triggering.py)
test-python:
	MESH_NATIVE=off $(BIN)/python -m pytest -m "not servers and not slow" $(FLOORS)

bench: setup services  ## CPU µs per event of each floor and end to end, in about ten minutes; judges nothing (docs/performance.md)
	eval "$$(scripts/services env)" && $(BIN)/python -m tests.bench

demo: setup      ## examples/01-hello for real: gateway, events, what arrived where and why
	$(BIN)/python examples/01-hello/demo.py

docs: setup      ## write the generated reference pages
	$(BIN)/python scripts/reference.py
	$(BIN)/python scripts/cli_reference.py

LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
  --no-annotate --python-version 3.11 --no-emit-package mesh-gateway
ALL := pyproject.toml plugins/kafka/pyproject.toml plugins/rabbitmq/pyproject.toml plugins/sqs/pyproject.toml

lock: setup      ## newest versions inside the ranges, with hashes and without addresses
	$(LOCK) $(ALL) -o requirements/runtime.txt
	$(LOCK) --group dev $(ALL) -o requirements/dev.txt

clean:           ## remove what was built
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist \
	  native/build native/*.egg-info native/*/*.c native/.mypy_cache native/mesh_gateway_native/compiled
