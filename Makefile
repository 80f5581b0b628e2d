# AXIOM: transformer inference on a bare PC. `make help` lists the targets.
# Everything lands in build/. core/ and model/ are compiled twice from the same sources: once for
# Linux (build/host) and once freestanding for the EFI image (build/efi).

BUILD    := build
COMMIT   := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
CXX      ?= g++
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror
# -ffp-contract=off: law 2, a multiply and an add are two roundings.
COMMON   := -std=c++20 -O2 -g -I. -ffp-contract=off -fno-exceptions -fno-rtti \
            -fno-math-errno $(WARN) -MMD -MP -DAXIOM_COMMIT='"$(COMMIT)"'

ENGINE   := $(wildcard core/*.cpp core/kernels/*.cpp model/*.cpp)
isa_flags = $(if $(filter %/avx2,$(basename $(1))),-mavx2 -mf16c)

HOST_FLAGS := $(COMMON) -pthread
HOST_ENGINE := $(ENGINE:%.cpp=$(BUILD)/host/%.o)

$(BUILD)/host/core/%.o: core/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(HOST_FLAGS) $(call isa_flags,$*) -c $< -o $@
$(BUILD)/host/model/%.o: model/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(HOST_FLAGS) -c $< -o $@
