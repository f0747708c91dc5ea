# Everything a person types. Each target is one line that can be read and typed without make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# What the demo plants: SEED moves times, sizes and apps; INCIDENTS=none is the control run.
SEED      ?= 1
INCIDENTS ?= all

.PHONY: help demo up down status test test-full bench-stream bench-latency bench-memory bench-growth bench-peers bench-store soak lint types lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: $(VENV)/.server ## replay real traffic with planted incidents through the whole stack
	@$(BIN)/streamgauge demo --seed $(SEED) --incidents $(INCIDENTS)

up: $(VENV)/.server ## start the stack on this machine and leave it running
	@$(BIN)/streamgauge up

down: $(VENV)/.server ## stop the stack
	@$(BIN)/streamgauge down

status: $(VENV)/.server ## show what runs, where, and what is not there yet
	@$(BIN)/streamgauge status || test $$? -eq 1  # 1 is an answer, no error of make

test: $(VENV)/.dev lint types ## the whole test suite
	@$(BIN)/pytest -q -n 3 --dist loadfile -m "not full"

test-full: $(VENV)/.dev lint types ## also what takes longer: 20 demo seeds, long kill loops
	@$(BIN)/pytest -q

bench-stream: $(VENV)/.dev ## the metrics worker against other ways to consume; installs Quix Streams (130 MB), about five minutes
	@$(BIN)/python -m benchmarks.stream

bench-latency: $(VENV)/.dev ## event to queryable aggregate at half of the maximum rate, against take(); ten minutes
	@$(BIN)/python -m benchmarks.latency

bench-memory: $(VENV)/.dev ## memory of worker and store: fat events, many and hostile labels; ten minutes
	@$(BIN)/python -m benchmarks.memory

bench-growth: $(VENV)/.dev ## cost and memory as a log grows to 20 million events, and over an hour; two hours, resumable
	@$(BIN)/python -m benchmarks.growth
	@$(BIN)/python -m benchmarks.growth --hour

bench-peers: $(VENV)/.dev ## the whole stack against Arize Phoenix and MLflow; installs both (2 GB), ten minutes
	@$(BIN)/python -m benchmarks.peers

bench-store: $(VENV)/.dev ## bytes per event and ten queries over 10 million events; a quarter of an hour
	@$(BIN)/python -m benchmarks.store

soak: $(VENV)/.dev ## 100 kills of worker, store and broker under load: nothing lost or doubled; half an hour
	@$(BIN)/python -m benchmarks.soak

lint: $(VENV)/.dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: $(VENV)/.dev
	@$(BIN)/mypy

lock: $(VENV)/.dev ## write requirements/*.txt anew from pyproject.toml
	@PATH="$(BIN):$$PATH" sh requirements/lock.sh

clean: ## remove the environment and caches of this checkout
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# -- environments: one folder, two depths ------------------------------------------------------
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "streamgauge needs Python 3.11 or newer; %s is %s. Try: make PYTHON=/path/to/python3.11" % (sys.executable, sys.version.split()[0]))'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.server: requirements/server.txt pyproject.toml | $(BIN)/python
	@echo "installing streamgauge[server] into $(VENV) (a minute or more, once) ..." >&2
	@$(BIN)/pip install -q --require-hashes -r requirements/server.txt
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "installing streamgauge[server] and the test tools into $(VENV) (a minute or more, once) ..." >&2
	@$(BIN)/pip install -q --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.server
