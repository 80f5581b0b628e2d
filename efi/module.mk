# SPDX-License-Identifier: MIT
# build/axiom.efi: the engine compiled again without an operating system, plus this folder.
# build/axiom.so stays beside it: `addr2line -e build/axiom.so 0x1234` resolves axiom.efi+0x1234.

# Logic without firmware or hardware, which the unit tests link on Linux.
EFI_PURE    := $(wildcard efi/memory/*.cpp efi/screen/*.cpp efi/platform/*.cpp) \
               $(wildcard efi/dev/acpi*.cpp) efi/dev/text.cpp efi/dev/serial.cpp \
               efi/dev/device.cpp efi/dev/keyboard_layout.cpp efi/dev/ps2.cpp efi/dev/screen.cpp \
               efi/dev/console.cpp efi/boot/image_section.cpp \
               efi/nvme/controller.cpp efi/pci/pci.cpp efi/cpu/descriptors.cpp efi/cpu/rate.cpp \
               efi/cpu/smp_plan.cpp efi/cpu/cached_memory.cpp $(wildcard efi/usb/*.cpp)
EFI_CPP     := $(wildcard efi/*.cpp efi/*/*.cpp)
EFI_ASM     := $(wildcard efi/*/*.S)
EFI_SOURCES := $(filter-out efi/fault.cpp,$(EFI_CPP))
# The characters of the screen, made from a font that is a Debian package (SIL Open Font License 1.1).
FONT        := font
EFI_OBJECTS := $(ENGINE:%.cpp=$(BUILD)/efi/%.o) $(EFI_SOURCES:%.cpp=$(BUILD)/efi/%.o) \
               $(BUILD)/efi/$(FONT).o \
               $(EFI_ASM:%.S=$(BUILD)/efi/%.o)
# build/axiom-fault.efi, for the boot tests: the same image, whose prompt names a way to break.
FAULT_OBJECTS := $(filter-out $(BUILD)/efi/efi/main.o,$(EFI_OBJECTS)) \
                 $(BUILD)/efi-fault/efi/main.o $(BUILD)/efi-fault/efi/fault.o
# build/axiom-two.efi, for the boot tests too: room for two cores.
TWO_OBJECTS := $(EFI_OBJECTS:$(BUILD)/efi/efi/%=$(BUILD)/efi-two/efi/%)

GNU_EFI_INC := /usr/include/efi
GNU_EFI_LIB := $(firstword $(wildcard /usr/lib/crt0-efi-x86_64.o /usr/lib/*/crt0-efi-x86_64.o))
GNU_EFI_LIB := $(patsubst %/,%,$(dir $(GNU_EFI_LIB)))

# -fbuiltin: -ffreestanding alone makes a call of every 8-byte memcpy.
EFI_FLAGS   := $(ENGINE_FLAGS) -ffreestanding -fbuiltin -fno-stack-protector -fshort-wchar -mno-red-zone \
               -fpie -fvisibility=hidden -fno-threadsafe-statics -fno-asynchronous-unwind-tables \
               -fcf-protection=none -U_FORTIFY_SOURCE -DGNU_EFI_USE_MS_ABI \
               -isystem $(GNU_EFI_INC) -isystem $(GNU_EFI_INC)/x86_64

efi: $(BUILD)/axiom.efi ## build build/axiom.efi

$(BUILD)/efi/%.o: %.cpp Makefile efi/module.mk
	@mkdir -p $(@D)
	$(CXX) $(COMMON) $(EFI_FLAGS) $(ISA_$*) $(EFI_EXTRA_$*) -c $< -o $@
$(BUILD)/efi-fault/%.o: %.cpp Makefile efi/module.mk
	@mkdir -p $(@D)
	$(CXX) $(COMMON) $(EFI_FLAGS) $(EFI_EXTRA_$*) -DAXIOM_TEST_FAULT -c $< -o $@
$(BUILD)/efi-two/%.o: %.cpp Makefile efi/module.mk
	@mkdir -p $(@D)
	$(CXX) $(COMMON) $(EFI_FLAGS) $(EFI_EXTRA_$*) -DAXIOM_MAX_CORES=2 -c $< -o $@
$(BUILD)/efi/%.o: %.S
	@mkdir -p $(@D)
	$(CXX) -g -c $< -o $@
$(BUILD)/efi-two/%.o: %.S
	@mkdir -p $(@D)
	$(CXX) -g -c $< -o $@

$(BUILD)/generated/$(FONT).cpp: efi/screen/make_font.py
	$(PYTHON) -B $< -o $@
$(BUILD)/efi/$(FONT).o: $(BUILD)/generated/$(FONT).cpp efi/screen/font.h
	@mkdir -p $(@D)
	$(CXX) $(COMMON) $(EFI_FLAGS) -c $< -o $@

# Our memcpy must not be compiled into a call of itself.
EFI_EXTRA_efi/libc := -fno-builtin -fno-tree-loop-distribute-patterns
EFI_EXTRA_efi/boot/commit := -DAXIOM_COMMIT='"$(COMMIT)"'
# Interrupts that return leave vector registers alone.
EFI_EXTRA_efi/cpu/resume := -mgeneral-regs-only
# A new commit is a new name in the object that carries it.
$(foreach d,efi efi-two,$(BUILD)/$d/efi/boot/commit.o): $(BUILD)/commit

$(BUILD)/axiom.so: $(EFI_OBJECTS)
$(BUILD)/axiom-fault.so: $(FAULT_OBJECTS)
$(BUILD)/axiom-two.so: $(TWO_OBJECTS)
$(BUILD)/axiom.so $(BUILD)/axiom-fault.so $(BUILD)/axiom-two.so: efi/axiom.lds
	ld -nostdlib -pie --no-dynamic-linker -z text --no-undefined -Bsymbolic --build-id=none \
	   --no-warn-rwx-segments -T efi/axiom.lds $(GNU_EFI_LIB)/crt0-efi-x86_64.o $(filter %.o,$^) \
	   -L$(GNU_EFI_LIB) -lgnuefi -o $@
$(BUILD)/%.efi: $(BUILD)/%.so efi/finish_pe.py efi/sbat.csv
	objcopy -S -j .text -j .rodata -j .reloc -j .data -j .dynamic -j .rela -j .dynsym \
	        --target efi-app-x86_64 --subsystem 10 $< $@.raw
	$(PYTHON) -B efi/finish_pe.py $@.raw -o $@ --section .sbat=efi/sbat.csv
	@rm $@.raw

.PHONY: efi
