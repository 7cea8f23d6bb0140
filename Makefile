# make train: the main job, from nothing.
# make check: feedback in a minute, with one framework (FRAMEWORK=jax). make test: everything.
# make frameworks: all four beside each other, and how far they are from the same function.
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
  BIN := $(VENV)/Scripts
else
  BIN := $(VENV)/bin
endif
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Two OpenMP pools on two busy cores slow each other 10 to 100 times.
TEST_ENVIRONMENT := OMP_NUM_THREADS=1
FRAMEWORK ?= torch

.PHONY: train data frameworks check test lint types format bench docs tutorials clean
.DEFAULT_GOAL := train

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[torch,tensorboard,serve]'
	touch $@

$(VENV)/.developed: $(VENV)/.installed
	$(PIP) --editable '.[torch,jax,tensorflow,mxnet,onnx,openvino,tensorboard,hub,hdf5,serve]'
	$(PIP) basedpyright hypothesis pytest pytest-xdist ruff
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps mxnet==1.9.1
	touch $@

frameworks: $(VENV)/.developed
	$(BIN)/resnets check

# Fashion-MNIST: downloaded, or from Debian's package where only package registries are reachable.
data: $(VENV)/.installed
	$(BIN)/python scripts/fetch_fashion_mnist.py

train: $(VENV)/.installed $(if $(findstring --data,$(ARGS)),,data)
	$(BIN)/resnets train --resume $(ARGS)

check: lint
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest --quick $(FRAMEWORK) -n auto --dist worksteal $(ARGS)

# One framework for each worker process, in the order in which tests/conftest.py puts them.
test: lint types
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -n auto --dist loadgroup --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.developed
	$(BIN)/basedpyright --pythonpath $(BIN)/python

format: $(VENV)/.developed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed
	$(BIN)/resnets bench $(ARGS)

docs: $(VENV)/.installed
	$(BIN)/python docs/make.py

tutorials: data
	OMP_NUM_THREADS=1 $(BIN)/python docs/tutorials/render.py $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
