# Seer. `make` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export CGO_ENABLED ?= 0
# The compiler that made the committed BPF objects: another version, other bytes.
export BPF2GO_CC := clang-19
export BPF2GO_STRIP := llvm-strip-19
export BPF2GO_CFLAGS := -O2 -g -Wall -Werror -mcpu=v3 -Iheaders

RELEASE := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.release=$(RELEASE)
# Only what needs it runs as root.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/seer, the simulator bin/seersim and the testbed bin/seerbed, static
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/seer ./cmd/seer
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/seersim ./cmd/seersim
	go build -trimpath -ldflags '-s -w' -o bin/seerbed ./test/bed/seerbed

.PHONY: run
run: build ## build, then trace this host and show it in the terminal
	@show=; if [ -t 1 ]; then show=--top; fi; set -x; exec $(SUDO) bin/seer run $$show $(ARGS)

.PHONY: test
test: ## install what the tests need, then run them all, kernels in VMs included
	test/run

.PHONY: lint
lint: ## format, vet, builds for other systems, golangci-lint
	test/lint

.PHONY: generate
generate: ## rebuild the BPF objects and the manual pages that are committed
	test/install generate
	go generate ./bpf ./cmd/seer

.PHONY: kernels
kernels: ## run the privileged tests on every kernel of the matrix
	test/install kernels
	test/kernels/matrix all

# Figures come last, one a line: BENCH name value unit.
FIGURES = awk '{ i = index($$0, "BENCH "); if (i) figure[++n] = substr($$0, i); else { print; fflush() } } \
	END { for (i = 1; i <= n; i++) print figure[i] }'

.PHONY: bench
bench: bench-tracedb bench-import bench-passive bench-latency bench-overhead bench-sim bench-infer bench-train ## all benchmarks: an hour, with nothing beside them

.PHONY: bench-overhead
bench-overhead: build ## what tracing costs redis, nginx and memcached, Seer itself at 50,000 sockets, one event
	test/install bench
	mkdir -p bin
	go build -o bin/overhead ./test/bench/overhead
	{ $(SUDO) bin/overhead $(ARGS); $(SUDO) bin/overhead -scale -seer bin/seer; $(SUDO) bin/overhead -events; } | $(FIGURES)

.PHONY: bench-passive
bench-passive: ## how right passive mode is, against a server that counts for itself
	mkdir -p bin
	go build -o bin/passive ./test/bench/passive
	$(SUDO) bin/passive $(ARGS) | $(FIGURES)

.PHONY: bench-latency
bench-latency: ## how right exact mode's latencies and counts are, against both ends; 6 minutes
	test/install bench bed
	mkdir -p bin
	go build -o bin/latency ./test/bench/latency
	$(SUDO) bin/latency $(ARGS) | $(FIGURES)

.PHONY: bench-exact-cost
bench-exact-cost: build ## what Seer and exact mode cost the hotel of the testbed, and at which requests more than the paper says; 20 minutes
	test/install bench bed
	go build -o bin/overhead ./test/bench/overhead
	$(SUDO) bin/overhead -app hotel -slice 3s $(ARGS) | $(FIGURES)

.PHONY: bench-bed
bench-bed: build ## the five applications under ten minutes of steady load each, and what Seer sees of them
	test/install bed
	go build -o bin/steady ./test/bench/steady
	$(SUDO) bin/steady $(ARGS) | $(FIGURES)

.PHONY: bench-sim
bench-sim: ## the simulator: events per second, an hour of 37 and of 4,000 containers; 10 minutes
	mkdir -p bin
	go build -o bin/simulator ./test/bench/simulator
	bin/simulator $(ARGS) | $(FIGURES)

# Campaigns to replay: make bench-violations CAMPAIGNS='DIR DIR'
CAMPAIGNS ?=

.PHONY: bench-violations
bench-violations: build ## violations and their labels, as Seer sees them, against the truth of campaigns; 10 minutes
	mkdir -p bin .cache/campaigns
	go build -o bin/violations ./test/bench/violations
	campaigns='$(CAMPAIGNS)'; if [ -z "$$campaigns" ]; then for app in hotel banking social-network media ecommerce; do for seed in 501 502; do \
		dir=.cache/campaigns/sim-$$app-$$seed; [ -d $$dir ] || bin/seersim --app $$app --seed $$seed --duration 1h --out $$dir; \
		campaigns="$$campaigns $$dir"; done; done; fi; bin/violations $$campaigns | $(FIGURES)
# With eight numbers at a time where the processor can: Go's experiment, amd64 only.
SIMD := GOEXPERIMENT=simd

.PHONY: bench-infer
bench-infer: ## prediction: a tick and a window of 36, 386 and 4,000 services, portable and with SIMD
	mkdir -p bin
	go build -o bin/networks ./test/bench/networks
	$(SIMD) go build -o bin/networks-simd ./test/bench/networks
	{ bin/networks; bin/networks-simd; } | $(FIGURES)

.PHONY: bench-train
bench-train: ## training: a step of a batch of 32, portable and with SIMD, and what a second processor gains; 5 minutes
	mkdir -p bin
	go build -o bin/networks ./test/bench/networks
	$(SIMD) go build -o bin/networks-simd ./test/bench/networks
	{ bin/networks -train; bin/networks-simd -train; } | $(FIGURES)

.PHONY: bench-tracedb
bench-tracedb: ## the embedded database: CPU, size, dense reads, kill -9
	go test -run '^$$' -bench . -benchtime 1x ./collector/tracedb/embedded | $(FIGURES)

.PHONY: bench-import
bench-import: ## a million spans of OTLP and of Jaeger JSON to queues
	go test -run '^$$' -bench Million -benchtime 1x ./collector/trace | $(FIGURES)

.PHONY: soak
soak: build ## 20 minutes of containers, connections and processes that come and go
	go build -o bin/soak ./test/soak
	$(SUDO) bin/soak -seer bin/seer $(ARGS) | $(FIGURES)

# Of a campaign on the testbed: make campaign APP=hotel SEED=2 DURATION=1h
APP ?= social-network
SEED ?= 1
DURATION ?= 15m
CAMPAIGN ?= .cache/campaigns/$(APP)-$(SEED)

.PHONY: campaign
campaign: build ## load and break an application on the testbed, and record it in CAMPAIGN=DIR
	test/install bed
	mkdir -p $(dir $(CAMPAIGN))
	$(SUDO) bin/seerbed campaign --app $(APP) --seed $(SEED) --duration $(DURATION) --out $(CAMPAIGN) $(ARGS)

.PHONY: clean
clean: ## remove what was built; .cache keeps downloads
	rm -rf bin
