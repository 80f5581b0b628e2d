# SPDX-License-Identifier: MIT
# The page of axiom-compare in headless Chromium, checked with axe-core (MPL-2.0, from npm, pinned).
AXE_VERSION := 4.10.3
AXE_SHA256  := 0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292

$(BUILD)/page/axe.js:
	@sh bench/compare/page/fetch_npm.sh $(@D) axe-core@$(AXE_VERSION) $(AXE_SHA256) axe.min.js=axe.js

# Without axe-core the test says so, and how it could be had.
page-tests: $(BUILD)/axiom-compare ## the page of axiom-compare in headless Chromium
	-@$(TEST_MAKE) $(BUILD)/page/axe.js
	@$(PYTHON) -B test/page/page_tests.py --build $(BUILD)

.PHONY: page-tests
