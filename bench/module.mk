# axiom-host: the engine as a Linux program. axiom-bench-kernels: its kernels beside the machine's
# peaks. axiom-compare: what measurements show. bench-peers: both beside other engines.
# What both of them need of Linux.
BENCH_LINUX   := host_counters host_machine host_ticks memory_limit
BENCH_HOST    := $(patsubst %,$(BUILD)/host/bench/%.o,axiom_host $(BENCH_LINUX) host_terminal uring_reader)
BENCH_PEAKS   := $(wildcard bench/peak_*.cpp)
BENCH_KERNELS := $(patsubst %.cpp,$(BUILD)/host/%.o,bench/bench_kernels.cpp bench/kernel_cases.cpp \
                 bench/peaks.cpp $(BENCH_LINUX:%=bench/%.cpp) $(BENCH_PEAKS))

COMPARE_SOURCES := $(wildcard bench/compare/*.cpp bench/compare/page/*.cpp)
BENCH_COMPARE := $(COMPARE_SOURCES:%.cpp=$(BUILD)/host/%.o) $(BUILD)/page/assets.o

# What draws the charts of axiom-compare's page: uPlot (MIT), from npm, inside the program. Without
# npm or network the program is built all the same; its pages then have no charts, and the next
# build tries again.
UPLOT_VERSION := 1.6.32
UPLOT_SHA256  := 4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d

# Loops that only measure: no part of the engine, and not in the image.
ISA_bench/peak_avx2    := -mavx2
ISA_bench/peak_avxvnni := -mavx2
ISA_bench/peak_avx512  := $(ISA_core/kernels/avx512)

include bench/suite/suite.mk

host: $(BUILD)/axiom-host ## build/axiom-host, the same engine as a Linux program

$(BUILD)/axiom-host: $(BENCH_HOST) $(HOST_ENGINE)
	$(CXX) -pthread $^ -luring -o $@
# The same with every pass 5 % longer, to see whether comparing finds it (bench/slowed.cpp).
$(BUILD)/axiom-host-slowed: $(BENCH_HOST) $(BUILD)/host/bench/slowed.o $(HOST_ENGINE)
	$(CXX) -pthread -Wl,--wrap=$$(nm $(BUILD)/host/bench/slowed.o | sed -n 's/.* T __wrap_//p') $^ -luring -o $@
$(BUILD)/axiom-bench-kernels: $(BENCH_KERNELS) $(HOST_ENGINE)
	$(CXX) -pthread $^ -o $@

$(BUILD)/axiom-compare: $(BENCH_COMPARE)
	$(CXX) $^ -o $@

$(BUILD)/page/uplot.js: $(shell test -s $(BUILD)/page/uplot.js || echo FORCE)
	@sh bench/compare/page/fetch_npm.sh $(@D) uplot@$(UPLOT_VERSION) $(UPLOT_SHA256) \
	    dist/uPlot.min.css=uplot.css LICENSE=uplot.licence dist/uPlot.iife.min.js=uplot.js || { \
	    echo "axiom-compare is built without charts in its pages" >&2; \
	    for f in js css licence; do test -e $(@D)/uplot.$$f || : > $(@D)/uplot.$$f; done; }
PAGE_FILES := bench/compare/page/report.js bench/compare/page/report.css
$(BUILD)/page/assets.o: bench/compare/page/assets.S $(PAGE_FILES) $(BUILD)/page/uplot.js
	$(CXX) -Wa,-I,$(BUILD)/page -c $< -o $@

compare: $(BUILD)/axiom-compare ## build/axiom-compare: measurements of several programs, machines or builds, with what they show

bench-kernels: $(BUILD)/axiom-bench-kernels ## every kernel, set and shape beside the machine's peaks, ARGS="--help"
	$(BUILD)/axiom-bench-kernels $(ARGS)

# What is compared, and with whom; the defaults stand in bench/peers/peers.py.
PEERS_OPTIONS = $(if $(SHAPES),--shapes '$(SHAPES)') $(if $(FORMATS),--formats '$(FORMATS)') \
                $(if $(THREADS),--threads '$(THREADS)') $(if $(PP),--pp '$(PP)') \
                $(if $(TG),--tg '$(TG)') $(if $(DEPTH),--depth '$(DEPTH)') \
                $(if $(NPL),--npl '$(NPL)') $(if $(TESTS),--tests '$(TESTS)') \
                $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(INTO),--into '$(INTO)') \
                $(if $(LLAMA_BIN),--llama-bin '$(LLAMA_BIN)') $(if $(PEER),--peer '$(PEER)') \
                $(if $(PEER_ARGS),--peer-args='$(PEER_ARGS)') \
                $(if $(PEER_BATCHED_ARGS),--peer-batched-args='$(PEER_BATCHED_ARGS)') \
                $(if $(PEER_NAME),--peer-name '$(PEER_NAME)') $(if $(ONLY_PEER),--only-peer) \
                $(if $(MODELS_ONLY),--models-only)

bench-peers: $(BUILD)/axiom-host $(BUILD)/axiom-pack $(BUILD)/axiom-bench-kernels ## AXIOM beside llama.cpp and PEER=llama-bench, taking turns
	@$(PYTHON) -B bench/peers/peers.py --build $(BUILD) $(PEERS_OPTIONS)

bench-drafts: $(BUILD)/axiom-host $(BUILD)/models/default.axm ## what drafts gain on rewrites and prose, MODELS="a.axm b.axm" ROUNDS=3
	@$(PYTHON) -B bench/drafts.py --build $(BUILD) --models $(or $(MODELS),$(BUILD)/models/default.axm) \
	    $(if $(ROUNDS),--rounds $(ROUNDS)) --args='$(ARGS)'

bench-alternate: $(BUILD)/axiom-compare ## two builds of axiom-host by turns, compared: A=old/axiom-host B=new/axiom-host ROUNDS=20 TRIES=1
	@$(PYTHON) -B bench/alternate.py --compare $(BUILD)/axiom-compare \
	    --model $(or $(MODEL),$(BUILD)/models/default.axm) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	    $(if $(TRIES),--tries $(TRIES)) $(if $(INTO),--into '$(INTO)') '$(A)' '$(B)'

# With PEER (a llama-bench, or LLAMA_BIN, its folder) and the model's GGUF, beside llama.cpp in memory cgroups.
STREAM_PEER = $(or $(PEER),$(if $(LLAMA_BIN),$(LLAMA_BIN)/llama-bench))
bench-stream: $(BUILD)/axiom-host ## streamed weights, MODEL=m.axm MIB="0 250" ROUNDS=3: beside fio, or PEER=llama-bench GGUF=m.gguf in small cgroups
ifeq ($(STREAM_PEER),)
	@$(PYTHON) -B bench/stream.py --build $(BUILD) --model $(MODEL) $(if $(MIB),--mib '$(MIB)') \
	    $(if $(ROUNDS),--rounds $(ROUNDS)) --args='$(ARGS)'
else
	@$(PYTHON) -B bench/peers/limited.py --build $(BUILD) --axm $(MODEL) --gguf $(GGUF) --peer $(STREAM_PEER) \
	    $(if $(SHARES),--shares '$(SHARES)') $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)
endif

bench-ablation: $(BUILD)/axiom-host $(BUILD)/axiom-pack $(BUILD)/axiom-compare ## what interrupts, small and scattered pages and tasks cost, put back one at a time, ROUNDS=5 SHAPES="smollm2-135m"
	@$(PYTHON) -B bench/ablation.py --build $(BUILD) $(if $(SHAPES),--shapes '$(SHAPES)') \
	    $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(TESTS),--tests '$(TESTS)') $(if $(INTO),--into '$(INTO)') \
	    $(if $(SECONDS),--seconds $(SECONDS)) --args='$(ARGS)'

.PHONY: host compare bench-kernels bench-peers bench-drafts bench-alternate bench-stream bench-ablation
