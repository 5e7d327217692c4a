# make run: everything from an empty checkout to a pushed model.   make test: the tests.   Both set up .venv first, once.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: run test test-slow parity backends clients lint lock clean

run: $(VENV)/.ready
	$(BIN)/python -m pipeline.run $(ARGS)

test: $(VENV)/.ready
	$(BIN)/python -m pytest --durations=20 -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: $(VENV)/.ready
	$(BIN)/python -m pytest --durations=20 -m slow $(ARGS)

# Compares kseg with tensorflow-addons and scikit-learn, which run in an environment of their own.
parity: $(VENV)/.ready .venv-parity/.ready
	CUDA_VISIBLE_DEVICES=-1 .venv-parity/bin/python tests/parity/write_vectors.py
	$(BIN)/python -m pytest tests/parity $(ARGS)

# Compares networks, losses and metrics on JAX, in an environment of its own, with the numbers of TensorFlow.
backends: .venv-backends/.ready
	.venv-backends/bin/python -m pytest tests/backends --durations=20 $(ARGS)

# Asks `kseg serve` by clients that others wrote, in an environment of theirs.
clients: $(VENV)/.ready .venv-clients/.ready
	$(BIN)/python -m pytest tests/clients -m "slow or not slow" --durations=20 $(ARGS)

lint: $(VENV)/.ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

# Exact versions of all extras from the loose ranges of setup.py, by uv.
lock: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile setup.py --all-extras --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	  --upgrade --custom-compile-command "make lock" --output-file requirements.lock

$(VENV)/.ready: requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

.venv-%/.ready: tests/%/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean:
	rm -rf $(VENV) .venv-parity .venv-backends .venv-clients runs build *.egg-info
