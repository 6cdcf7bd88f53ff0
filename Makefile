# Needs make and Python 3.11 or newer; everything else goes into .venv.
#
# Two environments share .venv: "sim" is what a simulation needs, "dev" adds what tests and checks
# need. Stamp files remember what was installed; a change of pyproject.toml or constraints.txt
# installs again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SIM := $(VENV)/.privet-sim
DEV := $(VENV)/.privet-dev
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint bench venv oracles clean

help: ## Show this list.
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(SIM) ## Install what a simulation needs, run the demo, say where its report is.
	@rm -rf demo-run
	@$(BIN)/privet demo --out demo-run
	@echo "Open demo-run/report.html in a browser."

test: $(DEV) ## Run the tests; ARGS="-m slow" runs the slow ones instead.
	@$(BIN)/python -m pytest $(ARGS)

lint: $(DEV) ## Check style, types and the direction of imports.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(DEV) ## Run one benchmark: make bench NAME=demo_time.
	@test -n "$(NAME)" && test -f "benchmarks/$(NAME).py" || { \
		echo "Say which benchmark: make bench NAME=x. There are:" \
			$$(cd benchmarks && ls *.py | grep -vE '^(common|oracles|fault_)' | sed 's/\.py$$//'); \
		exit 2; }
	@$(BIN)/python benchmarks/$(NAME).py $(ARGS)

# Each line: an environment, then what goes into it. What cannot be installed is said, and the
# benchmarks say it again; the others are still there.
define ORACLES
accounting opacus prv-accountant autodp gdpnum
tables pycanon
endef
export ORACLES

oracles: ## Install libraries to compare with, apart from Privet, in .venv-oracles.
	@echo "$$ORACLES" | while read -r kind names; do \
		echo "Installing $$names into .venv-oracles/$$kind ..."; \
		$(PYTHON) -m venv .venv-oracles/$$kind || exit 2; \
		for name in $$names; do \
			.venv-oracles/$$kind/bin/python -m pip install --quiet --disable-pip-version-check \
				-c benchmarks/oracles-$$kind.txt $$name < /dev/null \
				|| echo "Could not install $$name; see above."; \
		done; \
	done

venv: $(DEV) ## Build the whole development environment in .venv.

clean: ## Remove the environment, caches and demo runs; your own runs/ stay.
	rm -rf $(VENV) .venv-oracles demo-run build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Privet needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || true)."; \
		echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; \
		exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }

$(SIM): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what a simulation needs into $(VENV) ..."
	@started=$$(date +%s); $(INSTALL) -e '.[sim]' || exit $$?; \
		echo "Installed in $$(( $$(date +%s) - started )) s; $(VENV) takes $$(du -sm $(VENV) | cut -f1) MB."
	@touch $@

# The development environment has all that a simulation needs, so it stamps both.
$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the development environment into $(VENV) ..."
	@started=$$(date +%s); $(INSTALL) -e '.[dev]' || exit $$?; \
		echo "Installed in $$(( $$(date +%s) - started )) s; $(VENV) takes $$(du -sm $(VENV) | cut -f1) MB."
	@touch $(SIM) $@
