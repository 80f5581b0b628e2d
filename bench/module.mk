# axiom-host: the engine as a Linux program.
BENCH_HOST := $(BUILD)/host/bench/axiom_host.o $(BUILD)/host/bench/host_machine.o

host: $(BUILD)/axiom-host ## build/axiom-host, the same engine as a Linux program

$(BUILD)/axiom-host: $(BENCH_HOST) $(HOST_ENGINE)
	$(CXX) -pthread $^ -o $@

.PHONY: host
