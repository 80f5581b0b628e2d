# axiom-pack. PACKER_LIB: every object but main, for tests to link.
PACKER_LIB := $(patsubst %.cpp,$(BUILD)/host/%.o,$(filter-out packer/main.cpp,$(wildcard packer/*.cpp)))

packer: $(BUILD)/axiom-pack ## build build/axiom-pack: GGUF in, packed weight file out

$(BUILD)/axiom-pack: $(BUILD)/host/packer/main.o $(PACKER_LIB) $(HOST_ENGINE)
	$(CXX) -pthread $^ -o $@

.PHONY: packer
