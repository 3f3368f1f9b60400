# The table of contents. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Rows of BASE are compared with the contracts here.
BASE ?= HEAD

##@ Use
run: $(STAMP) ## Start the suite on embedded systems with the demo shop, in the foreground
	$(BIN)/mercato up --demo

##@ Work
install: $(STAMP) ## Make the environment in .venv
test: $(STAMP) ## Run all tests: unit, contract, integration, end to end
	$(BIN)/python -m pytest tests
chart-test: $(STAMP) ## Test the Helm chart: rendering, schemas, policies (fetches helm and checkov once)
	$(BIN)/python -m pytest tests/chart
image: $(STAMP) ## Build the images with docker or podman, and say how large they are
	$(BIN)/python -m deploy.images.build
lint: $(STAMP) ## Check style, types, rooms and contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy services shared protos
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --lint
	$(BIN)/python protos/generate.py --check
	$(BIN)/python -m deploy.helm.generate --check
	$(BIN)/python -m deploy.images.lock --check
	$(BIN)/python protos/generate.py --breaking $(BASE)
	$(BIN)/python deploy/monitoring/generate.py --check
format: $(STAMP) ## Rewrite code and contracts in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python protos/generate.py --format
protos: $(STAMP) ## Generate shared/protogen from protos
	$(BIN)/python protos/generate.py
monitoring: $(STAMP) ## Generate docs/metrics.md, dashboards and rules
	$(BIN)/python deploy/monitoring/generate.py
fuzz: $(STAMP) ## Send random messages to every public rpc of a running suite for ten minutes
	MERCATO_FUZZ_SECONDS=600 $(BIN)/python -m pytest tests/e2e/test_fuzz.py -q -s -k "long or log"
bench: $(STAMP) ## Measure latency and throughput beside the floor of the same machine
	$(BIN)/mercato bench
bench-load: $(STAMP) ## Measure goodput under load and overload, lost events and growth of memory, in minutes
	$(BIN)/mercato bench-load
bench-faults: $(STAMP) ## Kill, pause, slow, cut, fill and corrupt a suite under traffic; what callers saw, in 20 minutes
	$(BIN)/mercato bench-faults
evaluate: $(STAMP) ## Measure the quality of recommendations beside simple baselines
	$(BIN)/mercato evaluate
clean: ## Remove caches and the environment, not the data
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "installing about 80 packages (2 to 4 minutes the first time)"
	$(BIN)/python -m pip install --quiet --editable '.[embedded,models,learning,demo,dev]'
	touch $(STAMP)

.PHONY: run install test chart-test image lint format protos monitoring fuzz bench bench-load bench-faults evaluate clean help
