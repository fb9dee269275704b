# make demo   one prediction on the sample picture, from nothing: environment, weights, overlay, COCO JSON, CSV
# make test   lint and all tests
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

.PHONY: install demo test lint clean
install: $(VENV)/installed

demo: install
	$(RUN)/anykeypoint weights fast
	$(RUN)/anykeypoint predict examples/astronaut.jpg --category human_body --boxes 20,0,440,512 -o demo
	@echo "look at demo/astronaut.png, demo/poses.json and demo/poses.csv"

test: install lint
	$(RUN)/python -m pytest

lint: install
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

clean:
	rm -rf $(VENV) demo build
