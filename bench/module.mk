# axiom-host: the engine as a Linux program. axiom-bench-kernels: its kernels beside the machine's
# peaks. bench-peers: both beside other engines.
BENCH_HOST    := $(BUILD)/host/bench/axiom_host.o $(BUILD)/host/bench/host_machine.o
BENCH_PEAKS   := $(wildcard bench/peak_*.cpp)
BENCH_KERNELS := $(patsubst %.cpp,$(BUILD)/host/%.o,bench/bench_kernels.cpp bench/kernel_cases.cpp \
                 bench/peaks.cpp bench/host_machine.cpp $(BENCH_PEAKS))

# Loops that only measure: no part of the engine, and not in the image.
ISA_bench/peak_avx2    := -mavx2
ISA_bench/peak_avxvnni := -mavx2
ISA_bench/peak_avx512  := $(ISA_core/kernels/avx512)

host: $(BUILD)/axiom-host ## build/axiom-host, the same engine as a Linux program

$(BUILD)/axiom-host: $(BENCH_HOST) $(HOST_ENGINE)
	$(CXX) -pthread $^ -o $@
$(BUILD)/axiom-bench-kernels: $(BENCH_KERNELS) $(HOST_ENGINE)
	$(CXX) -pthread $^ -o $@

bench-kernels: $(BUILD)/axiom-bench-kernels ## every kernel, set and shape beside the machine's peaks, ARGS="--help"
	$(BUILD)/axiom-bench-kernels $(ARGS)

.PHONY: host bench-kernels
