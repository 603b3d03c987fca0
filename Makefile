# Penstock: everything a checkout needs. Only python3, make and git are assumed.
.DEFAULT_GOAL := help
.PHONY: help setup run test unit style types layers web bench bench-web soak soak-page lock clean system

UV      := .tools/bin/uv
UV_VERSION := 0.13.8
PY      := .venv/bin/python
STAMPS  := .stamps
PORT    ?= 8080
ARGS    ?=

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup: $(STAMPS)/venv $(STAMPS)/page  ## make .venv with the locked dependencies and the penstock command, and build the page

$(UV):
	@echo "==> uv $(UV_VERSION) into .tools/"
	@python3 -m pip --version >/dev/null 2>&1 || deploy/system-packages python3-pip
	@python3 -m pip install --quiet --no-warn-script-location --target .tools uv==$(UV_VERSION)

$(STAMPS)/venv: $(UV) pyproject.toml requirements-dev.lock
	@echo "==> .venv with the locked dependencies"
	@test -x $(PY) || $(UV) venv --quiet --python python3 .venv
	@$(UV) pip sync --quiet --require-hashes --python $(PY) requirements-dev.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(PY) --editable .
	@mkdir -p $(STAMPS) && touch $@

WEB := $(shell find web -name node_modules -prune -o -type f -print 2>/dev/null)

$(STAMPS)/modules: web/package-lock.json | $(STAMPS)/venv
	@echo "==> web/node_modules"
	@$(PY) hatch_build.py install
	@touch $@

$(STAMPS)/page: $(STAMPS)/modules hatch_build.py $(WEB)
	@echo "==> the page"
	@$(PY) hatch_build.py build >/dev/null
	@touch $@

system: ## install what the tests need from Debian (chromium, curl, nginx), or say what is missing
	@deploy/system-packages chromium curl nginx

run: setup  ## set up all, then serve the demo on http://127.0.0.1:8080
	@.venv/bin/penstock demo --port $(PORT)

test: setup system style types layers web unit  ## set up all, then every check and every test

unit: setup  ## the tests alone (ARGS="-k resume" passes on)
	@$(PY) -m pytest -n 2 --dist worksteal $(ARGS)

style: setup  ## ruff: lint and format
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .

types: setup  ## mypy --strict
	@.venv/bin/mypy

web: setup  ## the web side: its types and its unit tests
	@$(PY) hatch_build.py types test

layers: setup  ## import-linter: who may import whom
	@.venv/bin/lint-imports

bench: setup  ## cost per event beside nginx, Envoy, sglang-router and LiteLLM (long; run it alone)
	@$(PY) -m bench $(ARGS)

bench-web: setup system  ## work per frame of a long answer in the browser, beside react-markdown and Streamdown
	@$(PY) -m bench.web $(ARGS)

soak: setup  ## 10000 random stories with faults, every one judged (PENSTOCK_SEED=7: the same again)
	@PENSTOCK_RUNS=$${PENSTOCK_RUNS:-10000} $(PY) -m pytest -q -s --tb=short tests/faults/test_random_runs.py $(ARGS)

soak-page: setup  ## 200 random moments at the page: cuts, reloads, sleep, kills (PENSTOCK_SEED=7: the same again)
	@PENSTOCK_MOMENTS=$${PENSTOCK_MOMENTS:-200} $(PY) -m pytest -q -s --tb=short tests/browser/test_moments.py $(ARGS)

lock: $(UV)  ## renew the lock files: hashes, no addresses
	@$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url pyproject.toml --group dev -o requirements-dev.lock

clean:  ## remove what make made
	@rm -rf .venv .tools .stamps .bench dist build web/node_modules src/penstock/faces/page/built
