# axiom-host: the engine as a Linux program. axiom-bench-kernels: its kernels beside the machine's
# peaks. axiom-compare: what measurements show. bench-peers: both beside other engines.
BENCH_HOST    := $(patsubst %,$(BUILD)/host/bench/%.o,axiom_host host_machine host_terminal uring_reader)
BENCH_PEAKS   := $(wildcard bench/peak_*.cpp)
BENCH_KERNELS := $(patsubst %.cpp,$(BUILD)/host/%.o,bench/bench_kernels.cpp bench/kernel_cases.cpp \
                 bench/peaks.cpp bench/host_machine.cpp $(BENCH_PEAKS))

BENCH_COMPARE := $(patsubst %.cpp,$(BUILD)/host/%.o,$(wildcard bench/compare/*.cpp))

# Loops that only measure: no part of the engine, and not in the image.
ISA_bench/peak_avx2    := -mavx2
ISA_bench/peak_avxvnni := -mavx2
ISA_bench/peak_avx512  := $(ISA_core/kernels/avx512)

host: $(BUILD)/axiom-host ## build/axiom-host, the same engine as a Linux program

$(BUILD)/axiom-host: $(BENCH_HOST) $(HOST_ENGINE)
	$(CXX) -pthread $^ -luring -o $@
$(BUILD)/axiom-bench-kernels: $(BENCH_KERNELS) $(HOST_ENGINE)
	$(CXX) -pthread $^ -o $@

$(BUILD)/axiom-compare: $(BENCH_COMPARE)
	$(CXX) $^ -o $@

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

bench-stream: $(BUILD)/axiom-host ## streamed weights by how much stays, beside fio, MODEL=m.axm MIB="0 250" ROUNDS=3
	@$(PYTHON) -B bench/stream.py --build $(BUILD) --model $(MODEL) $(if $(MIB),--mib '$(MIB)') \
	    $(if $(ROUNDS),--rounds $(ROUNDS)) --args='$(ARGS)'

.PHONY: host compare bench-kernels bench-peers bench-drafts bench-stream
