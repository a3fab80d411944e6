# Everything a contributor runs. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo check format test acceptance bench soak lock proto clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "feishu-ws needs Python 3.11 or later, $(PYTHON) is older; try: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## simulator, daemon and a consumer, no account needed (ARGS="--events 20")
	@$(BIN)/feishu-ws demo $(ARGS)

check: $(READY) ## ruff, format and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## rewrite the tree as `make check` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(READY) ## the quick tests (about three minutes on 2 cores)
	$(BIN)/pytest -n 2 --dist worksteal tests --ignore tests/acceptance $(ARGS)

acceptance: $(READY) ## slow tests: real processes, SDKs and proxies, damaged disks, a NAT that does its worst (root)
	$(BIN)/pytest tests/acceptance $(ARGS)

bench: $(READY) ## feishu-ws beside the official SDKs and a bare loop, some minutes (ARGS="--quick --only feishu-ws")
	@PYTHONPATH=$(CURDIR):tests $(BIN)/python -m bench $(ARGS)

soak: $(READY) ## a million events, 10,000 reconnects, 200 crashes of each kind, an hour, by hand
	PYTHONPATH=tests $(BIN)/python -m soak
	CRASH_CYCLES=200 $(BIN)/pytest -s tests/acceptance/test_crash.py $(ARGS)
	ASTRBOT_KILLING_S=120 $(BIN)/pytest -s tests/acceptance/test_astrbot.py $(ARGS)

lock: ## resolve all dependencies again and write requirements.lock
	$(PYTHON) tests/tools/lock.py requirements.lock

proto: $(READY) ## regenerate wire/pbbp2_pb2.py from pbbp2.proto
	$(BIN)/python tests/tools/proto.py

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
