# SPDX-License-Identifier: MIT
# Tests of the whole machine in QEMU. FILTER= takes a regular expression over test names, here and
# for the bad files through axiom-host. Serial logs and images are in build/boot-tests/.

export FILTER
boot-tests: $(BUILD)/axiom.efi $(BUILD)/axiom-fault.efi $(BUILD)/axiom-two.efi $(BUILD)/axiom-host $(BUILD)/axiom-pack $(BUILD)/models/default.axm $(BUILD)/bench/guest/init $(BUILD)/bench/guest/axiom-host ## boot in QEMU from every disk, by shell and firmware, with good and bad input
	@$(PYTHON) -B test/boot/boot_tests.py --build $(BUILD)

.PHONY: boot-tests
