# Everything a developer does here. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
VENV := .venv/.complete
UP ?=
RELEASE ?=
PYTEST ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV): requirements-install.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is missing: sudo apt-get install -y python3 python3-venv")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "venv is missing: sudo apt-get install -y python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-install.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: venv
venv: $(VENV) ## Make or update .venv

.PHONY: prepare
prepare: $(VENV) ## Build the control plane and download Flink where they are missing (kept in ~/.cache)
	$(BIN)/python -m deploy.local prepare --node --tests 2.3 1.20

.PHONY: check
check: $(VENV) ## All that is fast, in a minute: style, types, layers, generated files, unit tests
	$(BIN)/pytest tests/static tests/unit -n auto $(PYTEST)

.PHONY: test
test: prepare ## What proves a change, side by side, with real control planes and real Flinks (PYTEST="-k …")
	$(BIN)/pytest tests --ignore tests/bench $(PYTEST) -n auto

.PHONY: test-all
test-all: prepare ## Also what make test leaves out: every story, Flink version, long random runs, chaos, small benchmarks
	$(BIN)/python -m tests.everything

.PHONY: node-test
node-test: $(VENV) ## Only the tests on a complete Kubernetes node (root); skipped where none can run
	timeout --signal=INT --kill-after=120 1200 $(BIN)/pytest tests/node $(PYTEST)

.PHONY: chart
chart: $(VENV) ## What the checkers say of the chart: lint, the API server, Pod Security, kubeconform, Kustomize, releases
	$(BIN)/pytest -q tests/chart $(PYTEST)

.PHONY: generated
generated: $(VENV) ## Write what below deploy/ is made from other files, tests/PROOFS.md and two pages of docs/ from tests
	$(BIN)/python -m deploy.local.generated
	$(BIN)/python -m tests.support.proofs
	$(BIN)/python -m tests.support.troubleshooting
	$(BIN)/python -m tests.support.reasons

.PHONY: image
image: $(VENV) ## Build the image without Docker (root, buildah, debootstrap); says its size and how fast it starts
	$(BIN)/python -m deploy.local.operatorimage

.PHONY: release
release: $(VENV) ## Build all files of a release into dist/, with their SHA-256 sums (RELEASE="--complete --url https://…")
	$(BIN)/python -m deploy.local.release $(RELEASE)

.PHONY: sbom
sbom: $(VENV) ## Write the bill of materials of the operator (CycloneDX) to .local/sbom.cdx.json
	$(BIN)/python -m deploy.local.supplychain sbom

.PHONY: provenance
provenance: $(VENV) ## Write what the image is made of, by digests (in-toto, SLSA; unsigned), to .local/provenance.intoto.json
	$(BIN)/python -m deploy.local.provenance

.PHONY: audit
audit: $(VENV) ## Look for known vulnerabilities in the pinned dependencies (needs the network, says so without)
	$(BIN)/python -m deploy.local.supplychain audit

STEPS ?= 200000
.PHONY: soak
soak: $(VENV) ## The model test for longer, from another seed each time (STEPS=200000)
	FLINKJOB_MODEL_STEPS=$(STEPS) FLINKJOB_MODEL_RANDOM=1 $(BIN)/pytest -q tests/model/test_model.py $(PYTEST)

FUZZ_SECONDS ?= 900
.PHONY: fuzz
fuzz: $(VENV) ## Random foreign input for every reader of it, and what it costs (FUZZ_SECONDS=900 for each)
	FLINKJOB_FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest tests/fuzz $(or $(PYTEST),-n 2)

SECONDS ?= 600
.PHONY: chaos
chaos: prepare ## Kill operator, JobManager, TaskManager and API server at random; at the end every count is exact (SECONDS=600)
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) $(CHAOS)

BENCH ?=
.PHONY: bench
bench: prepare ## What the operator costs beside bare calls, in 15 minutes (BENCH=reaction|kinds|burst|start|scale|shared|sync|pages for one, SCALE="10000x10")
	SCALE="$(SCALE)" $(BIN)/pytest -s tests/bench$(if $(BENCH),/test_$(BENCH).py) $(PYTEST)

.PHONY: bench-keep
bench-keep: $(VENV) ## Write the table, the picture and the baseline in tests/bench/ from the newest results of make bench
	$(BIN)/python -m tests.bench.keep

.PHONY: fmt
fmt: $(VENV) ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: crds
crds: $(VENV) ## Write crds/ from the models
	$(BIN)/python -m flinkjob.api.crd

DOCS := .local/docs-venv/.complete
$(DOCS): requirements-docs.lock | $(VENV)
	@test -x .local/docs-venv/bin/python || $(PYTHON) -m venv .local/docs-venv
	$(BIN)/uv pip install --quiet --python .local/docs-venv/bin/python --require-hashes -r requirements-docs.lock
	@touch $@

.PHONY: docs
docs: $(DOCS) ## Build the documentation into .local/site, links checked; a warning is an error
	$(BIN)/python -m deploy.local.mermaid .local/mermaid.min.js
	NO_MKDOCS_2_WARNING=1 .local/docs-venv/bin/mkdocs build --strict --quiet

.PHONY: local-up
local-up: $(VENV) ## Start a control plane and Flink, write .local/env (UP="--s3 --ha --tls --flink-version 1.20")
	$(BIN)/python -m deploy.local up $(UP)

.PHONY: local-down
local-down: $(VENV) ## Stop what local-up started
	$(BIN)/python -m deploy.local down

.PHONY: node-up
node-up: $(VENV) ## Start a complete Kubernetes node with our images (root), write .local/node/env
	$(BIN)/python -m deploy.local node-up

.PHONY: node-down
node-down: $(VENV) ## Stop the node
	$(BIN)/python -m deploy.local node-down

.PHONY: run
run: $(VENV) ## Run the operator against what local-up started
	@test -f .local/env || { echo "nothing runs here: make local-up" >&2; exit 1; }
	set -a; . .local/env; set +a; \
	exec $(BIN)/python -m flinkjob --identity local --kubeconfig "$$KUBECONFIG" --artifact-dirs "$$DEMO_JAR_DIRECTORY" --runner-dir "$$RUNNER_DIRECTORY" \
		--cache-dir "$$PWD/.local/cache" --health-port 0 --log-format text --allow-loopback true

.PHONY: demo
demo: $(VENV) ## The life of a job in one terminal; stays up until Ctrl-C, or ends at once with DEMO_EXIT=1
	$(BIN)/python -m deploy.local.demo

.PHONY: ui
ui: $(VENV) ## The pages in a browser, with the jobs of a running demo or with its own, until Ctrl-C
	$(BIN)/python -m deploy.local.demopages

.PHONY: screenshots
screenshots: $(VENV) ## Write pictures of the pages, with real jobs, to docs/pictures
	$(BIN)/python -m deploy.local.demopages --pictures docs/pictures

.PHONY: clean
clean: ## Stop what runs and remove everything that was made here, except the download cache
	@test ! -x $(BIN)/python || { $(BIN)/python -m deploy.local node-down; $(BIN)/python -m deploy.local down; }
	rm -rf .venv .local .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage* dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
