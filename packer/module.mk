# axiom-pack. PACKER_LIB: every object but main, for tests to link.
PACKER_LIB := $(patsubst %.cpp,$(BUILD)/host/%.o,$(filter-out packer/main.cpp,$(wildcard packer/*.cpp)))

# What it needs of the engine: no kernels, no forward pass.
PACKER_ENGINE := $(filter $(patsubst %,$(BUILD)/host/%.o,core/fmt core/hash core/quant core/status \
    model/weights/% model/text/%),$(HOST_ENGINE))

packer: $(BUILD)/axiom-pack ## build build/axiom-pack: GGUF in, packed weight file out

$(BUILD)/axiom-pack: $(BUILD)/host/packer/main.o $(PACKER_LIB) $(PACKER_ENGINE)
	$(CXX) -pthread $^ -o $@

# Its fuzz target goes on to the plan and the conversion.
$(BUILD)/fuzz/gguf_fuzz: $(patsubst %,$(BUILD)/fuzz/packer/%.o,convert dequant keep llama_keys plan \
    requant requant_k)

# Float compares may be turned into vector minima and maxima: halves the time of a 4-bit search.
$(BUILD)/host/packer/requant.o: COMMON += -fno-trapping-math

.PHONY: packer
