# SPDX-License-Identifier: MIT
# Unit tests (plain and under sanitizers), fuzz targets, source and binary checks, lint, and `test`,
# which runs all parts and sums their tallies.

-include test/golden/vocab.mk
-include test/golden/families/families.mk
-include test/golden/chat/chat.mk
-include test/boot/boot.mk
-include test/models/models.mk
-include test/page/page.mk

PYTHON     ?= python3
TEST_MAKE   = $(MAKE) --no-print-directory $(MAKEOVERRIDES)

# --- what a test program is made of: its own files, the engine, the packer, the pure parts of efi/
UNIT_SOURCES := $(wildcard test/unit/*.cpp)
UNIT_LINKED  := $(ENGINE) $(filter-out packer/main.cpp,$(wildcard packer/*.cpp packer/*/*.cpp)) $(EFI_PURE) \
                $(filter-out bench/compare/main.cpp,$(COMPARE_SOURCES)) \
                bench/host_counters.cpp bench/host_ticks.cpp bench/memory_limit.cpp
UNIT_OBJECTS := $(UNIT_SOURCES:%.cpp=%.o) $(UNIT_LINKED:%.cpp=%.o) $(FONT).o test/kernels/avxvnni_evex.o
UNIT_DATA    := $(BUILD)/models/default.gguf $(BUILD)/models/default.axm $(VOCABS) $(FAMILIES) \
                $(CHAT_TEMPLATES)
# Workers that wait for each other at barriers, thousands of times: beside another program each takes a time slice.
UNIT_ALONE   := families_test sequence_test stream_test engine_test
UNIT_RUN      = $(UNIT_ENV) $(PYTHON) -B test/checks/run_units.py --alone $(UNIT_ALONE) \
                --files $(filter-out main,$(UNIT_SOURCES:test/unit/%.cpp=%))
UNIT_ENV     := AXIOM_BUILD_DIR='$(BUILD)'
# Catch2 version 3 is a library, version 2 a header.
CATCH_LIB    := $(if $(wildcard /usr/include/catch2/catch_all.hpp),-lCatch2)

# Test code is compiled without optimization: Catch2 makes it large, and what it tests is not in it. Catch's
# header, half of what is compiled, is compiled once.
TEST_FLAGS   := $(filter-out -O2 -g,$(COMMON)) -O0 -g1 -pthread
$(BUILD)/host/test/unit/catch.h.gch: test/unit/catch.h
	@mkdir -p $(@D)
	$(CXX) $(filter-out $(WARN),$(TEST_FLAGS)) -w -x c++-header $< -o $@
$(BUILD)/host/test/unit/%.o: test/unit/%.cpp $(BUILD)/host/test/unit/catch.h.gch
	@mkdir -p $(@D)
	$(CXX) $(TEST_FLAGS) -include $(BUILD)/host/test/unit/catch.h -c $< -o $@
# Catch's own code, which is in its header.
$(BUILD)/host/test/unit/main.o: test/unit/main.cpp
	@mkdir -p $(@D)
	$(CXX) $(TEST_FLAGS) -c $< -o $@
$(BUILD)/unit-tests: $(UNIT_OBJECTS:%=$(BUILD)/host/%) $(BUILD)/page/assets.o
	$(CXX) -pthread $^ $(CATCH_LIB) -o $@

$(BUILD)/host/$(FONT).o $(BUILD)/asan/$(FONT).o: $(BUILD)/generated/$(FONT).cpp efi/screen/font.h
	@mkdir -p $(@D)
	$(CXX) $(COMMON) -c $< -o $@

# The AVX-VNNI kernels in AVX-512VL's encoding: the same text on CPUs without AVX-VNNI.
AVXVNNI_EVEX := $(filter-out -mavxvnni,$(ISA_core/kernels/avxvnni)) -mavx512f -mavx512vl \
                -mavx512vnni -DAXIOM_TEST_EVEX -Wno-uninitialized -Wno-maybe-uninitialized
$(BUILD)/host/test/kernels/avxvnni_evex.o: core/kernels/avxvnni.cpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(COMMON) $(ENGINE_FLAGS) $(AVXVNNI_EVEX) -c $< -o $@

# Not vptr: the engine's classes have no type information for it.
ASAN := -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer
# Warnings are the plain build's matter: the sanitizers' own branches cause false ones.
ASAN_FLAGS := $(filter-out -O2 -g $(WARN),$(COMMON)) -O1 -g1 -w $(ASAN) -pthread
# In kernels, whose thousands of vector accesses take three times as long to compile with these, a pointer that leads
# astray is AddressSanitizer's matter alone.
ASAN_KERNELS := -fno-sanitize=null,pointer-overflow,object-size
$(BUILD)/asan/core/kernels/%.o: core/kernels/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(ASAN_FLAGS) $(ASAN_KERNELS) $(ENGINE_FLAGS) $(ISA_core/kernels/$*) -c $< -o $@
$(BUILD)/asan/core/%.o: core/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(ASAN_FLAGS) $(ENGINE_FLAGS) $(ISA_core/$*) -c $< -o $@
$(BUILD)/asan/model/%.o: model/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(ASAN_FLAGS) $(ENGINE_FLAGS) -c $< -o $@
$(BUILD)/asan/test/kernels/avxvnni_evex.o: core/kernels/avxvnni.cpp
	@mkdir -p $(@D)
	$(CXX) $(ASAN_FLAGS) $(ASAN_KERNELS) $(ENGINE_FLAGS) $(AVXVNNI_EVEX) -c $< -o $@
$(BUILD)/asan/test/unit/catch.h.gch: test/unit/catch.h
	@mkdir -p $(@D)
	$(CXX) $(filter-out -O1,$(ASAN_FLAGS)) -O0 -x c++-header $< -o $@
$(BUILD)/asan/test/unit/%.o: test/unit/%.cpp $(BUILD)/asan/test/unit/catch.h.gch
	@mkdir -p $(@D)
	$(CXX) $(filter-out -O1,$(ASAN_FLAGS)) -O0 -include $(BUILD)/asan/test/unit/catch.h -c $< -o $@
$(BUILD)/asan/test/unit/main.o: test/unit/main.cpp
	@mkdir -p $(@D)
	$(CXX) $(filter-out -O1,$(ASAN_FLAGS)) -O0 -c $< -o $@
$(BUILD)/asan/%.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(ASAN_FLAGS) -DAXIOM_COMMIT='"$(COMMIT)"' -c $< -o $@
$(BUILD)/asan/unit-tests: $(UNIT_OBJECTS:%=$(BUILD)/asan/%) $(BUILD)/page/assets.o
	$(CXX) $(ASAN) -pthread $^ $(CATCH_LIB) -o $@

unit: $(BUILD)/unit-tests $(UNIT_DATA) ## unit tests
	@$(UNIT_RUN) --program $(BUILD)/unit-tests

# Tests tagged [slow] run a whole model over a long text, those tagged [sweep] every family by every kernel set: minutes,
# under sanitizers, of code that other tests run under them, too (all sets on odd shapes, all families by one set).
asan: $(BUILD)/asan/unit-tests $(UNIT_DATA) ## unit tests under AddressSanitizer and UBSan
	@$(UNIT_RUN) --program $(BUILD)/asan/unit-tests --spec '~[slow]~[sweep]'

# --- checks of sources and binaries
ISA_SOURCES := $(foreach s,$(ENGINE:%.cpp=%),$(if $(ISA_$s),$s.cpp))

TOOL_ISA_SOURCES = $(foreach s,$(BENCH_PEAKS:%.cpp=%),$(if $(ISA_$s),$s.cpp))

check-layers: ## includes point one way, core/ and model/ know no platform
	@$(PYTHON) -B test/checks/check_layers.py

# Kernel files once more, without optimization: what is then left out of line must be local to them,
# or the linker's choice among copies could hand one set's instructions to everybody (law 6).
UNOPTIMIZED := $(ISA_SOURCES:%.cpp=$(BUILD)/unoptimized/%.o)
$(BUILD)/unoptimized/%.o: %.cpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(filter-out -O2,$(COMMON)) -O0 $(ENGINE_FLAGS) $(ISA_$*) -c $< -o $@

check-isa: $(BUILD)/axiom-host $(BUILD)/axiom-bench-kernels $(BUILD)/axiom-pack $(BUILD)/axiom.efi $(UNOPTIMIZED) ## no wide instruction outside the kernels, none fused
	@$(PYTHON) -B test/checks/check_isa.py --isa-sources $(ISA_SOURCES) \
	    --tool-sources $(TOOL_ISA_SOURCES) \
	    --objects $(BUILD)/host/core $(BUILD)/host/model $(BUILD)/host/bench $(BUILD)/host/packer \
	    --objects $(BUILD)/unoptimized --objects $(BUILD)/efi --linked $(BUILD)/axiom-host $(BUILD)/axiom.so \
	    --efi $(BUILD)/axiom.so $(BUILD)/axiom.efi

check-reproducible: $(BUILD)/axiom.efi $(BUILD)/models/default.axm ## the same source in another folder gives the same bytes
	@CXX='$(CXX)' $(PYTHON) -B test/checks/check_reproducible.py --build $(BUILD)

check-self-test: ## the checks fail when violated
	@CXX='$(CXX)' $(PYTHON) -B test/checks/self_test.py

# --- bad input through axiom-host, as the boot tests give it to the EFI image
bad-input: $(BUILD)/axiom-host $(BUILD)/axiom-pack ## bad files and options through axiom-host
	@$(UNIT_ENV) $(PYTHON) -B test/boot/host_bad_input.py --build $(BUILD)

# --- what programs read
check-records: $(BUILD)/axiom-host $(BUILD)/axiom-host-slowed $(BUILD)/axiom-pack ## real records of axiom-host against bench/record.schema.json
	@$(PYTHON) -B test/checks/check_records.py --build $(BUILD)

# --- fuzzing
FUZZ_SECONDS ?= 60
FUZZ_CXX     ?= clang++
FUZZ_TARGETS := $(patsubst test/fuzz/%.cpp,%,$(wildcard test/fuzz/*_fuzz.cpp))
FUZZ_FLAGS   := -std=c++20 -O1 -g -I. -ffp-contract=off -w -MMD -MP -fno-sanitize-recover=all \
                -fsanitize=address,undefined
# Of the packer, what reads a GGUF: the rest takes no bytes that the reader has not checked.
FUZZ_PACKER  := $(wildcard packer/gguf.cpp packer/*_section.cpp packer/chat/*.cpp)
FUZZ_OBJECTS := $(ENGINE:%.cpp=$(BUILD)/fuzz/%.o) $(FUZZ_PACKER:%.cpp=$(BUILD)/fuzz/%.o) \
                $(BUILD)/fuzz/test/fuzz/panic.o

$(BUILD)/fuzz/%.o: %.cpp
	@mkdir -p $(@D)
	$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link $(ISA_$*) -c $< -o $@
$(FUZZ_TARGETS:%=$(BUILD)/fuzz/%): $(BUILD)/fuzz/%: $(BUILD)/fuzz/test/fuzz/%.o $(FUZZ_OBJECTS)
	$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer $^ -o $@

fuzz: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%) $(BUILD)/axiom-pack ## libFuzzer targets, FUZZ_SECONDS=60 each
	@$(PYTHON) -B test/fuzz/make_seeds.py --pack $(BUILD)/axiom-pack --out $(BUILD)/fuzz/seeds
	@sh test/fuzz/run.sh $(BUILD)/fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# --- style
TIDY_SOURCES := $(ENGINE) $(wildcard packer/*.cpp packer/*/*.cpp bench/*.cpp bench/suite/*.cpp) $(COMPARE_SOURCES) $(EFI_CPP)
FORMAT_FILES := $(wildcard $(foreach d,core core/kernels model/* efi efi/* packer packer/* bench bench/* bench/compare/page test/unit test/fuzz,$d/*.cpp $d/*.h))

format: ## clang-format every source in place
	clang-format -i $(FORMAT_FILES)

lint-quick: ## names in the Python, formatting of the C++: seconds
	@$(PYTHON) -B test/checks/lint_quick.py $(FORMAT_FILES)

lint: lint-quick $(TIDY_SOURCES:%.cpp=$(BUILD)/lint/%.ok) ## the same and clang-tidy, warnings are errors

TIDY_FLAGS = -std=c++20 -I. $(ISA_$*) $(if $(filter efi/%,$*),$(EFI_FLAGS)) -DAXIOM_COMMIT='"lint"'
$(BUILD)/lint/%.ok: %.cpp .clang-tidy
	@mkdir -p $(@D)
	clang-tidy --quiet $< -- $(TIDY_FLAGS) 2> $(BUILD)/lint/$*.log || { cat $(BUILD)/lint/$*.log >&2; exit 1; }
	@touch $@

# Not part of `test`: minutes a mutant.
mutants: $(BUILD)/unit-tests $(UNIT_DATA) ## one-token mutants the unit tests should catch, N=60 SEED=1 JOBS=1; hours
	@$(PYTHON) -B test/checks/mutants.py -n $(or $(N),60) --seed $(or $(SEED),1) --jobs $(or $(JOBS),1) \
	    --pure $(wildcard $(EFI_PURE) $(EFI_PURE:.cpp=.h))

# --- everything. What does not build is found again, and counted, by the part that needs it.
TEST_JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
test: deps deps-test ## everything: units, bad input, checks, sanitizers, boot tests; ends with a tally
	-+@$(TEST_MAKE) -k $(TEST_JOBS) test-built
	+@$(PYTHON) -B test/checks/run_parts.py \
	    "unit tests=$(TEST_MAKE) unit" \
	    "bad input on the host=$(TEST_MAKE) bad-input" \
	    "records and their schema=$(TEST_MAKE) check-records" \
	    "check-layers=$(TEST_MAKE) check-layers" \
	    "check-isa=$(TEST_MAKE) check-isa" \
	    "the same bytes elsewhere=$(TEST_MAKE) check-reproducible" \
	    "quick lint=$(TEST_MAKE) lint-quick" \
	    "checks fail when violated=$(TEST_MAKE) check-self-test" \
	    "page in a browser=$(TEST_MAKE) page-tests" \
	    "unit tests, sanitizers=$(TEST_MAKE) asan" \
	    "boot tests=$(TEST_MAKE) boot-tests"

test-built: $(BUILD)/unit-tests $(BUILD)/asan/unit-tests $(UNIT_DATA) \
            $(BUILD)/axiom-host $(BUILD)/axiom-pack $(BUILD)/axiom-bench-kernels $(BUILD)/axiom.efi \
            $(BUILD)/axiom-compare

.PHONY: test test-built unit asan bad-input check-records check-layers check-isa check-reproducible check-self-test fuzz format lint lint-quick mutants
