PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

# tests by the marks in pyproject.toml, in so many processes; those of one file stay together
JOBS ?= 2
PYTEST := python -m pytest --quiet --numprocesses $(JOBS) --dist loadfile
TESTS := not (web or ray or tensorflow)
QUICK := not (slow or web or ray or tensorflow)
unexport PYTHONDONTWRITEBYTECODE  # else every process that a test starts compiles all modules again
# memory of large tensors is kept: the system clears what it gets back, which took a tenth of the time
quick test wheel: export MALLOC_TRIM_THRESHOLD_ := 4294967296
quick test wheel: export MALLOC_MMAP_THRESHOLD_ := 4294967296

.PHONY: help install demo quick test soak test-ray test-web test-tensorflow check wheel wheel-quick docs-pictures clean

help:
	@echo "make install   install ganchain into .venv, in the versions of constraints.txt"
	@echo "make demo      run a photo through the whole chain; the pictures are in demo/"
	@echo "make quick     run the tests that train nothing, start no process and convert no network (under a minute)"
	@echo "make test      run the tests (three to four minutes; make test JOBS=4 for four processes)"
	@echo "make soak      run the long tests: kills, ten thousand photos, threads, visitors at once (hours)"
	@echo "make test-ray  test a batch on two Ray nodes, in an environment of its own (.venv-ray)"
	@echo "make test-web  test the web page in a real browser (chromium), in an environment of its own (.venv-web)"
	@echo "make test-tensorflow"
	@echo "               run the tests that need TensorFlow, in an environment of its own (.venv-tensorflow, 3 GB)"
	@echo "make check     run ruff, mypy and pyright"
	@echo "make wheel     build the wheel and run the tests against it, away from this folder"
	@echo "make wheel-quick"
	@echo "               the same with the tests of make quick"
	@echo "make docs-pictures"
	@echo "               make the pictures of the README and of docs/"
	@echo "make clean     remove what the other targets made, but no environment"

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[test]'
	@touch $@

$(VENV)/.checkers: $(VENV)/.installed
	$(PIP) --editable '.[test,check]'
	@touch $@

demo: install
	@mkdir -p demo
	$(BIN)/python -c "import skimage; from PIL import Image; Image.fromarray(skimage.data.astronaut()).save('demo/astronaut.png')"
	$(BIN)/ganchain run portrait demo/astronaut.png --out demo/astronaut-portrait.png --save-stages demo/stages
	@echo "The photo:       demo/astronaut.png"
	@echo "After each stage: demo/stages/"
	@echo "The character:   demo/astronaut-portrait.png"

quick: install
	$(BIN)/$(PYTEST) -m "$(QUICK)"

test: install
	$(BIN)/$(PYTEST) -m "$(TESTS)"

soak: install
	$(BIN)/python -m pytest tests/soak -rP

test-ray: $(VENV)-ray/.installed
	$(VENV)-ray/bin/python -m pytest --quiet tests/test_cluster.py

$(VENV)-ray/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)-ray
	$(VENV)-ray/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[test,ray]'
	@touch $@

test-web: $(VENV)-web/.installed
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
		apt-get install -y -qq chromium || $(VENV)-web/bin/playwright install chromium
	$(VENV)-web/bin/python -m pytest --quiet tests/web

$(VENV)-web/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)-web
	$(VENV)-web/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[test,test-web]'
	@touch $@

test-tensorflow: $(VENV)-tensorflow/.installed
	$(VENV)-tensorflow/bin/python -m pytest --quiet tests/test_tensorflow.py tests/test_tf_bundle.py

$(VENV)-tensorflow/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)-tensorflow
	$(VENV)-tensorflow/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[test,tensorflow]'
	@touch $@

check: $(VENV)/.checkers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright

# build/venv takes packages from .venv by path, which leaves out the ganchain installed there: that needs .pth files,
# and those of a folder added by a .pth file are not read
SITE := python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

wheel: install
	rm -rf build dist
	$(PIP) build
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv build/venv
	$(BIN)/$(SITE) > "$$(build/venv/bin/$(SITE))/dependencies.pth"
	build/venv/bin/python -m pip install --quiet --no-deps --ignore-installed dist/*.whl
	build/venv/bin/python -m pip install --quiet --constraint constraints.txt "$$(ls dist/*.whl)[test]"
	mkdir build/elsewhere
	cp -r tests pyproject.toml build/elsewhere
	cd build/elsewhere && ../venv/bin/$(PYTEST) -m "$(TESTS)"

wheel-quick: TESTS := $(QUICK)
wheel-quick: wheel

docs-pictures: install
	OMP_NUM_THREADS=1 $(BIN)/python -m docs.pictures

clean:
	rm -rf build dist demo *.egg-info .mypy_cache .pytest_cache .ruff_cache
