# Everything here makes what it needs: `make demo` and `make test` work on a machine with Python 3.11, gcc and a package index.
PYTHON ?= python3
VENV ?= .venv
SCALE ?= 1
ARGS ?=

# images and installed wheels carry byte-code; a setting of the caller must not slow every start
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK = 1

RUN := $(VENV)/bin/python

.PHONY: demo test check campaign bench compiled mutations clean

$(VENV)/.product: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed, this is %s.%s" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q -e .
	$(RUN) -m compileall -q evse_controller hal hil certs
	touch $@

$(VENV)/.test: $(VENV)/.product
	$(RUN) -m pip install -q -e '.[test]'
	touch $@

# atheris has no wheel for every machine; the campaign says so where it is missing
$(VENV)/.campaign: $(VENV)/.test
	$(RUN) -m pip install -q -e '.[fuzz]' || echo "atheris cannot be installed here: no coverage-guided fuzzing"
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(RUN) -m pip install -q -e '.[dev]'
	touch $@

# the main job: a car charges from and discharges into the building; ARGS passes options on (make demo ARGS=--help)
demo: $(VENV)/.product
	$(RUN) -m hil.demo $(ARGS)

test: $(VENV)/.test
	$(RUN) -m pytest $(ARGS)

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# the long campaigns; SCALE=0.02 runs the same code on a fiftieth of the cases
campaign: $(VENV)/.campaign
	$(RUN) -m tests.campaign --scale $(SCALE) $(ARGS)

bench: $(VENV)/.test
	$(RUN) -m pytest tests/benchmarks -s --benchmark-columns=min,median,max,rounds $(ARGS)

# the compiled coders (optional, see deploy/compiled): built, tested as the pure ones are, and timed against them
compiled: $(VENV)/.test
	$(RUN) -m pip install -q --upgrade --no-deps --target build/compiled ./deploy/compiled
	PYTHONPATH=build/compiled EVSE_CONTROLLER_CODERS=compiled $(RUN) -m pytest tests/exi tests/messages $(ARGS)
	PYTHONPATH=build/compiled $(RUN) -m pytest tests/benchmarks/test_compiled_bench.py -s

# removes each defence in turn and demands that its test turns red
mutations: $(VENV)/.test
	$(RUN) -m tests.mutations $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info
