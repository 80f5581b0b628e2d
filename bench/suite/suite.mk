# SPDX-License-Identifier: MIT
# The suite, and what an operating system costs. Programs in the Linux guest are linked statically: nothing of
# Debian's user space is in it.
GUEST := $(BUILD)/bench/guest
$(GUEST)/axiom-host: $(BENCH_HOST) $(HOST_ENGINE)
	@mkdir -p $(@D)
	$(CXX) -static -s -pthread $^ -luring -o $@
$(GUEST)/init: $(patsubst %,$(BUILD)/host/%.o,bench/suite/init model/report/json_writer core/fmt)
	@mkdir -p $(@D)
	$(CXX) -static -s $^ -o $@

VIRTUAL_OPTIONS = --machine '$(MACHINE)' --cpu '$(CPU)' --disk '$(DISK)' --smp '$(SMP)' --mem '$(MEM)' \
                  --accel '$(ACCEL)' --timeout '$(TIMEOUT)'
SUITE_OPTIONS   = --build $(BUILD) $(VIRTUAL_OPTIONS) $(if $(BENCH),--bench '$(BENCH)') \
                  $(if $(ROUNDS),--rounds $(ROUNDS))
SUITE_BUILT     = $(BUILD)/axiom.efi $(BUILD)/axiom-pack $(BUILD)/axiom-compare $(BUILD)/axiom-host \
                  $(if $(value MODEL),,$(BUILD)/models/default.axm)

bench: SMP = $(shell nproc)
bench: deps ## the image in QEMU, axiom-host and PEER=llama-bench or LLAMA_BIN=folder, table and page, ROUNDS=4 BENCH="pp=128 tg=32"
	@$(NEXT_MAKE) $(SUITE_BUILT)
	@$(PYTHON) -B bench/suite/suite.py $(SUITE_OPTIONS) $(if $(LLAMA_BIN),--llama-bin '$(LLAMA_BIN)') \
	    $(if $(PEER),--peer '$(PEER)') $(if $(PEER_ARGS),--peer-args='$(PEER_ARGS)') \
	    $(if $(PEER_NAME),--peer-name '$(PEER_NAME)')

# Isolating cores takes two.
bench-linux: SMP = 2
bench-linux: deps ## AXIOM, tuned Linux and Debian's defaults in the same virtual machine, SMP=2 MEM=1024 ROUNDS=1 BENCH="pp=16 tg=16"
	@$(NEXT_MAKE) $(SUITE_BUILT) $(GUEST)/axiom-host $(GUEST)/init
	@$(PYTHON) -B bench/suite/bench_linux.py $(SUITE_OPTIONS) $(if $(KERNEL),--kernel '$(KERNEL)')

.PHONY: bench bench-linux
