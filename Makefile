# make demo       a cluster, a failover, a report: see it work (root, Debian; KEEP=1 leaves it running)
# make test       all checks and tests, real servers included (root, Debian; at most 25 minutes)
# make test-fast  lint, types and unit tests (no servers, under a minute)
# make test-all   test, and the long scenarios
# make test-matrix  a failover killed with -9 at every step, before, inside and after it (an hour)
# make test-prefect PREFECT=3.8.8  the tests around Prefect, with that version of it (any target takes PREFECT=)
# make test-upgrade OLD=46d3469  what a manager of that commit began is finished by today's
# make pictures   README's and docs' pictures, from a run of make demo and of the tests in the browser
# make test-ui    a failover by hand in a real browser (Debian's chromium); screenshots in tests/ui/output
# make test-container  the Dockerfile and compose.yaml with podman: the primary's container is killed (Debian, root)
# make try-script SCRIPT=file  a failover in the lab with your own master_ip_failover script
# make try-proxysql ADMIN=host:6032  what we say to a ProxySQL, to a real one, in hostgroups that it does not use (9010,
#                 9020); its account comes from MHA_TRY_PROXYSQL_USER and MHA_TRY_PROXYSQL_PASSWORD, else radmin
# make bench      how long a failover, a switch and a rescue take (RUNS=3); kept in docs/performance/, drawn in docs/performance.md
# make bench-rescue  only the latter (KINDS="mysql97 mariadb mysql56-position", TAILS="rows bytes")
# make bench-commands  how long the checks, the status and --help take as whole processes (RUNS=5)
# make bench-overhead  what Prefect costs a failover: its API in each state against none, and a flow run (RUNS=3, JSON=file)
# make bench-ack    what a commit costs that waits for a replica, our binlog server, or both (KINDS="mysql97 mariadb")
# make bench-switch  how long a planned switch holds writes (SWITCHES=20 a mode)
# make bench-standing  a hundred runs that stand ready: seconds, memory, requests; and one of them for 30 days of looks
# make bench-scale  one process that watches 1, 10, 100, 300 clusters, and twenty primaries dying at once (SIZES="1 10")
# make test-soak  ten minutes of troubles that are no death: no failover (SEED=, MINUTES=10, KIND=mariadb; not in CI)
# make chaos      ten minutes of dying primaries, and pairs of faults: nothing lost, one primary (SEED=, MINUTES=10,
#                 PAIRS=20, KIND=mariadb, SLACK=0, SEAT=3 puts the manager on db3's host)
# make power-cuts  the primary of two servers loses its power 20 times, its replica late (SEED=, CUTS=20, KIND=mariadb, PLAIN=1)
# make images     only build what the tests boot
# make docs       write the reference pages anew from the code: commands, parameters, checks
# make lint       ruff, ruff format, mypy
# make clean      remove caches of this checkout

PYTHON ?= python3
MHA_CACHE ?= $(HOME)/.cache/prefect-mha
RUNS ?= 3
KINDS ?= mysql97 mariadb
TAILS ?= rows bytes
SWITCHES ?= 20
SIZES ?= 1 10 100 300
MINUTES ?= 10
PAIRS ?= 20
CUTS ?= 20
KIND ?= mariadb
SLACK ?= 0
SEAT ?= 0
SEEDED = $(if $(SEED),--seed $(SEED)) --minutes $(MINUTES) --kind $(KIND) $(if $(FIRST),--first $(FIRST))

# Another Prefect than the locked one gets a venv of its own, freshly resolved around it.
PREFECT ?=
LOCK := $(shell { cat $(if $(PREFECT),pyproject.toml,requirements.lock); $(PYTHON) -V; } | sha256sum | cut -c1-12)
VENV := $(MHA_CACHE)/venv-$(LOCK)$(if $(PREFECT),-prefect-$(PREFECT))
STAMP := $(VENV)/.complete
EVERYTHING := '.[dev,server,zstd]'
PACKAGES := $(if $(PREFECT),$(EVERYTHING) 'prefect==$(PREFECT)',-r requirements.lock)
BROWSER := $(MHA_CACHE)/browser-$(shell cat requirements.lock tests/ui/requirements.txt | sha256sum | cut -c1-12)
# Compiled once, beside the checkout: a scenario starts several processes, and each would spend a second on that.
COMPILED := PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(VENV)/compiled
RUN := PYTHONPATH=$(CURDIR)/src:$(CURDIR) $(COMPILED) $(VENV)/bin/python
PYTEST := $(RUN) -m pytest -q -p no:cacheprovider
# A scenario mostly waits: for a detection, for a server to start. Each has its own network.
SEVERAL := -n 4 --dist worksteal

.PHONY: help demo pictures test test-fast test-all test-prefect test-matrix test-upgrade test-ui test-container try-script try-proxysql bench bench-overhead bench-rescue bench-switch bench-commands bench-scale bench-standing bench-ack test-soak chaos power-cuts images docs lint unit clean venv preflight

help:
	@sed -n '/^$$/q; s/^# //p' Makefile

demo: preflight $(STAMP)
	$(RUN) -m tests.lab.demo $(if $(KEEP),--keep)

test: preflight images lint unit
	$(PYTEST) $(SEVERAL) tests/scenarios -m "not slow and not site and not matrix and not upgrade"

test-fast: lint unit

FUZZED := source/test_fuzz test_fuzz_parsers test_fuzz_told maintenance/test_fuzz_feed local/test_http_port \
	address/test_hostile_proxies memory/test_odd_journals

test-all: preflight images lint unit
	$(PYTEST) $(SEVERAL) tests/scenarios -m "not site and not matrix and not upgrade"
	MHA_FUZZ=10000 $(PYTEST) -n 2 --dist worksteal $(FUZZED:%=tests/unit/replication/%.py)
	$(MAKE) test-ui

WITH_PREFECT := test_with_prefect test_standing_run test_prefect_is_told test_monitor_deployment test_approval_in_prefect

test-prefect: preflight images unit
	$(PYTEST) $(SEVERAL) $(WITH_PREFECT:%=tests/scenarios/%.py)

test-matrix: preflight images
	$(PYTEST) $(SEVERAL) tests/scenarios -m matrix

test-upgrade: OLD = 46d3469
test-upgrade: preflight images
	rm -rf $(MHA_CACHE)/old-$(OLD) && mkdir -p $(MHA_CACHE)/old-$(OLD) && git archive $(OLD) | tar -xC $(MHA_CACHE)/old-$(OLD)
	MHA_OLD=$(MHA_CACHE)/old-$(OLD) $(PYTEST) $(SEVERAL) tests/scenarios/test_upgrade.py -m upgrade

test-ui: preflight images $(BROWSER)
	PYTHONPATH=$(CURDIR)/src:$(CURDIR):$(BROWSER) $(COMPILED) $(VENV)/bin/python -m pytest -q -p no:cacheprovider tests/ui

test-container: $(STAMP)
	$(RUN) -m tests.lab.containers

pictures: preflight images $(BROWSER)
	$(RUN) -m tests.lab.demo --pictures docs/pictures
	PYTHONPATH=$(CURDIR)/src:$(CURDIR):$(BROWSER) $(COMPILED) $(VENV)/bin/python -m tests.ui.pictures docs/pictures

try-script: preflight images
	MHA_TRY_SCRIPT=$(abspath $(SCRIPT)) $(PYTEST) -s tests/scenarios/test_address_scripts.py -m site

try-proxysql: $(STAMP)
	MHA_TRY_PROXYSQL=$(ADMIN) $(PYTEST) -s tests/unit/replication/address/test_proxysql.py -k real

MEASURED := tests/output/bench

bench: preflight images
	rm -rf $(MEASURED)
	$(RUN) -m tests.lab.performance --begin $(MEASURED)
	$(RUN) -m tests.lab.bench --runs $(RUNS) --json $(MEASURED)/failover.json
	$(RUN) -m tests.lab.bench_overhead --runs $(RUNS) --json $(MEASURED)/overhead.json
	$(RUN) -m tests.lab.bench_rescue --kinds "$(KINDS)" --tails "$(TAILS)" --json $(MEASURED)/rescue.json
	$(RUN) -m tests.lab.bench_switch --switches $(SWITCHES) --json $(MEASURED)/switch.json
	$(RUN) -m tests.lab.performance --add $(MEASURED)

bench-switch: preflight images
	$(RUN) -m tests.lab.bench_switch --switches $(SWITCHES) $(if $(JSON),--json $(JSON))

bench-ack: KINDS = mysql97 mariadb mariadb118
bench-ack: preflight images
	$(RUN) -m tests.lab.bench_ack --kinds "$(KINDS)"

bench-overhead: preflight images
	$(RUN) -m tests.lab.bench_overhead --runs $(RUNS) $(if $(JSON),--json $(JSON))

bench-rescue: preflight images
	$(RUN) -m tests.lab.bench_rescue --kinds "$(KINDS)" --tails "$(TAILS)" $(if $(JSON),--json $(JSON))

bench-standing: $(STAMP)
	$(RUN) -m tests.lab.bench_standing

bench-commands: RUNS = 5
bench-commands: preflight images
	$(RUN) -m tests.lab.bench_commands --runs $(RUNS)

bench-scale: preflight images
	$(RUN) -m tests.lab.bench_scale --sizes $(SIZES)
	$(RUN) -m tests.lab.bench_scale --sizes $(lastword $(SIZES)) --no-ssh
	$(RUN) -m tests.lab.bench_scale --dying

test-soak: preflight images
	$(RUN) -m tests.lab.soak $(SEEDED)

chaos: preflight images
	$(RUN) -m tests.lab.chaos $(SEEDED) --slack $(SLACK) --seat $(SEAT)
	$(RUN) -m tests.lab.pairs $(if $(SEED),--seed $(SEED)) --pairs $(PAIRS) --kind $(KIND)

power-cuts: preflight images
	$(RUN) -m tests.lab.power_cuts $(if $(SEED),--seed $(SEED)) --cuts $(CUTS) --kind $(KIND) $(if $(PLAIN),--plain)

images: preflight $(STAMP)
	$(RUN) -m tests.lab.images

docs: $(STAMP)
	$(RUN) -m tests.reference

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

unit: $(STAMP)
	$(PYTEST) -n 2 tests/unit

preflight:
	@$(PYTHON) tests/lab/preflight.py

venv: $(STAMP)

# The lock's sum is in its name, so a checkout that is merely newer makes nothing anew under those who use it.
$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12" >&2; exit 2; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install -q --disable-pip-version-check --retries 2 --timeout 30 $(PACKAGES) || \
	  { echo "The Python packages ($(PACKAGES)) cannot be fetched; is there a network to a package index?" >&2; exit 2; }
	$(if $(PREFECT),$(VENV)/bin/pip uninstall -qy prefect-mha)
	touch $(STAMP)

# What drives the browser is beside the other packages, for only these tests need it; the browser is Debian's.
$(BROWSER): $(STAMP) tests/ui/requirements.txt
	@test -x /usr/bin/chromium || { apt-get -q update && apt-get -qy install --no-install-recommends chromium fonts-dejavu-core; } >/dev/null || \
	  { echo "Debian's chromium cannot be installed; is there a network to a package archive?" >&2; exit 2; }
	rm -rf $(BROWSER)
	$(VENV)/bin/pip install -q --disable-pip-version-check --target $(BROWSER) -r tests/ui/requirements.txt
	touch $(BROWSER)

clean:
	rm -rf tests/ui/output build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
