# SPDX-License-Identifier: MIT
# Vocabularies that tokens are compared over: small GGUFs without weights from llama.cpp's models/,
# which the source package of llama-cpp-python on PyPI carries. Fetched once.

VOCABS := $(BUILD)/vocab/llama-spm.gguf $(BUILD)/vocab/llama-bpe.gguf $(BUILD)/vocab/gpt-2.gguf
VOCAB_SHA256 := llama-spm=16c3724582d59aa8bf84711894e833f916ee46a31d80e21312759c48bf8d0e69 \
                llama-bpe=97272e430d53bc7688f52d5e0ad8ea8f163ede9f1bbd1694feaa504797d5d96e \
                gpt-2=cedc56ca6e2e89f63e781696d1fd76b4b1d49e6720dee86463e915f6e90016ac

$(VOCABS) &:
	@PYTHON='$(PYTHON)' sh test/golden/fetch_vocab.sh llama-cpp-python 0.3.7 $(BUILD)/vocab $(VOCAB_SHA256)
