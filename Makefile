# make demo      three predictions on a sample picture, from nothing: environment, weights, pictures, COCO JSON, CSV
# make test      lint (ruff, and mypy on what the package exports) and all tests
# make soak      500 faults in good labels of every form; the server under 2,000 requests made from its description, 1,000
#                damaged pictures, and 200 clients at once for two minutes (a quarter of an hour)
# make newest    all tests with the newest version of every library that pyproject.toml allows
# make mutants   small wrong changes to the core files, one at a time: do the tests notice? (an hour)
PYTHON ?= python3
VENV ?= .venv
NEWEST ?= .venv-newest
RUN = $(VENV)/bin
# A process a core; the tests of one file stay together. Files go in their order and not by how many tests they have, as
# otherwise files of one long test come last and leave the other cores idle.
PARALLEL = -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

.PHONY: install demo test soak newest mutants lint clean
install: $(VENV)/installed

demo: install
	mkdir -p demo
	$(RUN)/anykeypoint weights accurate
	$(RUN)/anykeypoint predict examples/paper_2.jpg --noun "sheet of paper" -o demo/words.png -o demo/words.csv \
		--keypoints "top left corner; top right corner; bottom right corner; bottom left corner"
	$(RUN)/anykeypoint predict examples/paper_2.jpg --example examples/paper_1.jpg:examples/paper_1.json --no-words \
		-o demo/example.png -o demo/example.json
	$(RUN)/anykeypoint predict examples/paper_2.jpg --example examples/paper_1.jpg:examples/paper_1.json -o demo/both.png
	@echo "look at demo/words.png, demo/example.png and demo/both.png"

test: install lint
	$(RUN)/python -m pytest $(PARALLEL)

soak: install
	ANYKEYPOINT_SOAK=1 $(RUN)/python -m pytest $(PARALLEL) tests/forms/test_seeded_faults.py tests/serving/test_openapi.py \
		tests/serving/test_project_openapi.py tests/serving/test_mutated_pictures.py
	ANYKEYPOINT_SOAK=1 $(RUN)/python -m pytest -s tests/serving/test_load.py  # alone, as it needs the machine

newest:
	$(PYTHON) -m venv --clear $(NEWEST)
	$(NEWEST)/bin/python -m pip install -q --disable-pip-version-check -e ".[dev]"
	$(NEWEST)/bin/python -m pip list --disable-pip-version-check --outdated
	$(NEWEST)/bin/python -m pytest $(PARALLEL)

mutants: install
	$(RUN)/python tools/mutants.py --count 60

lint: install
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/python -m mypy

clean:
	rm -rf $(VENV) $(NEWEST) demo build
