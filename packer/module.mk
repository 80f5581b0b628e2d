# axiom-pack. PACKER_LIB: every object but main, for tests to link.
PACKER_LIB := $(patsubst %.cpp,$(BUILD)/host/%.o,$(filter-out packer/main.cpp,$(wildcard packer/*.cpp packer/*/*.cpp)))

# What it needs of the engine: no kernels but that of SHA-256, no forward pass.
PACKER_ENGINE := $(filter $(patsubst %,$(BUILD)/host/%.o,core/cpu_features core/date core/fmt core/gpt core/hash core/sha256 core/kernels/sha_ni core/quant \
    core/status model/format/% model/weights/% model/text/%),$(HOST_ENGINE))
PACKER_ENGINE := $(filter-out %/weight_pool.o %/weight_source.o,$(PACKER_ENGINE))

packer: $(BUILD)/axiom-pack ## build build/axiom-pack: GGUF in, packed weight file out

$(BUILD)/axiom-pack: $(BUILD)/host/packer/main.o $(PACKER_LIB) $(PACKER_ENGINE)
	$(CXX) -pthread $^ -o $@

# Its fuzz target goes on to the plan and the conversion.
$(BUILD)/fuzz/gguf_fuzz: $(patsubst %,$(BUILD)/fuzz/packer/%.o,convert dequant families file_type keep keys \
    plan requant requant_k rope)

# Float compares may be turned into vector minima and maxima: halves the time of a 4-bit search.
$(BUILD)/host/packer/requant.o: COMMON += -fno-trapping-math

.PHONY: packer
