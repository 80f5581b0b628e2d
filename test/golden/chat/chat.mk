# SPDX-License-Identifier: MIT
# Chat templates that expansions are compared over, from llama.cpp's models/templates. Fetched once.

CHAT_TEMPLATES := $(BUILD)/chat-templates

$(CHAT_TEMPLATES): test/golden/chat/fetch_templates.py
	@$(PYTHON) -B $< $@
	@touch $@
