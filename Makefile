# flowscope-xdp. `make` lists what there is.

GO      ?= go
BIN     := bin/flowscope-xdp
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
FUZZTIME ?= 10s
export CGO_ENABLED ?= 0

.PHONY: help generate build demo run test test-unit test-privileged bench bench-kernel compare load test-kernels fuzz lint fmt clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

generate: ## rebuild the eBPF objects and their Go types (clang-19, llvm-19, libbpf-dev)
	$(GO) generate ./...

build: ## build bin/flowscope-xdp, one static binary
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/flowscope-xdp

demo: build ## show the main job live, on private network namespaces (root)
	$(GO) run ./tests/demo -bin $(BIN)

run: build ## run on an interface: make run IFACE=eth0 (root)
	$(BIN) run -i $(IFACE)

test: ## every test that may run here: as root the privileged ones too
	$(GO) test ./...
	@[ "$$(id -u)" = 0 ] || echo "left out: the privileged tests (root is needed to load and attach eBPF programs)"

test-unit: ## the tests that need no privilege
	FLOWSCOPE_PRIVILEGED=0 $(GO) test ./...

test-privileged: ## the tests that load and attach the programs (root)
	@[ "$$(id -u)" = 0 ] || { echo "root is needed to load and attach eBPF programs: sudo make test-privileged"; exit 1; }
	$(GO) test -count=1 ./userspace/xdp/... ./userspace/engine/... ./tests/...

bench: ## every benchmark
	$(GO) test -run '^$$' -bench . -benchmem ./userspace/...

bench-kernel: ## what the XDP program costs a packet, on live frames (root)
	$(GO) run ./tests/bench

load: ## 20 million packets a run from two CPUs, five runs of each kind: every packet accounted for (root)
	$(GO) test -count=1 -timeout 60m -v ./tests/load -packets 20000000 -runs 5

compare: build ## replay against the peers that are installed, on traces of known truth
	$(GO) run ./tests/compare -bin $(BIN)

test-kernels: ## the privileged tests on Linux 6.1 and 6.12 in qemu
	./tests/kernels/run.sh

fuzz: ## every fuzz target, FUZZTIME each (default 10s)
	./tests/fuzz.sh $(FUZZTIME)

lint: ## gofmt, vet, staticcheck
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "gofmt: $$files"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

fmt: ## format Go
	gofmt -w .

clean: ## remove what was built
	rm -rf bin dist
