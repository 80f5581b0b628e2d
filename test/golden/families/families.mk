# SPDX-License-Identifier: MIT
# The random-weight models of test/golden/families, written in a second from its table.

FAMILIES := $(BUILD)/families/made

$(FAMILIES): $(wildcard test/golden/families/*.py) test/golden/families/cases.txt
	@$(PYTHON) -B test/golden/families/make_gguf.py --all $(@D)
	@touch $@
