# SPDX-License-Identifier: MIT
# What a newcomer types: packages, the default model, the bootable image, a run in QEMU.
# Targets that need a package are reached through `deps` in a second make, which then sees it.

# Set these on the command line: make run PROMPT="..." N=64. The environment does not.
PROMPT  = What is the capital of France?
PROMPTS =
N       = 64
MODEL   =
ARGS    =
DEST    =
SMP     = 1
MEM     = 1024
CPU     = max
MACHINE = q35
STREAM  =
CHAT    =
SECURE  =
KEY     =
CERT    =
REQUIRE =
DISK    = $(if $(filter 1,$(STREAM)),nvme,virtio)
ACCEL   =
TIMEOUT =
PYTHON ?= python3
FILTER  =

# Text that may hold any character goes to the programs by environment and is never expanded by
# make or a shell.
unexport PROMPT PROMPTS MODEL ARGS STREAM CHAT DEST SECURE KEY CERT REQUIRE
export AXIOM_PROMPT := $(value PROMPT)
export AXIOM_PROMPTS := $(value PROMPTS)
export AXIOM_MODEL  := $(value MODEL)
export AXIOM_ARGS   := $(value ARGS)
export AXIOM_STREAM := $(value STREAM)
export AXIOM_CHAT   := $(value CHAT)
export AXIOM_DEST   := $(value DEST)
export AXIOM_SECURE  := $(value SECURE)
export AXIOM_KEY     := $(value KEY)
export AXIOM_CERT    := $(value CERT)
export AXIOM_REQUIRE := $(value REQUIRE)
export AXIOM_N      := $(value N)

MEDIUM      := $(BUILD)/axiom.efi $(BUILD)/axiom-pack
MEDIUM      += $(if $(filter 1,$(value SECURE)),$(BUILD)/axiom-signed.efi)
MEDIUM      += $(if $(value MODEL),,$(BUILD)/models/default.axm)
MAKE_MEDIUM := $(PYTHON) -B ovmf/mkimage.py --build $(BUILD)
# As many jobs as cores, unless the person has said how many.
NEXT_MAKE    = +$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

deps: ## install the Debian/Ubuntu packages that are missing
	@sh ovmf/deps.sh $(APT_PACKAGES:%='%')
deps-test: ## the same of what only `make test` needs: a browser, npm
	@sh ovmf/deps.sh $(APT_TEST_PACKAGES:%='%')

run: deps ## boot in QEMU and answer: PROMPT="..." N=64 [CHAT=1 MODEL=x.gguf SMP=1 MEM=1024 CPU=max STREAM=1 ARGS="--temp 0.7"]
	@$(NEXT_MAKE) image-made
	@$(PYTHON) -B ovmf/run.py --image $(BUILD)/axiom.img --folder $(BUILD)/run --machine '$(MACHINE)' \
	    --cpu '$(CPU)' --disk '$(DISK)' --smp '$(SMP)' --mem '$(MEM)' --accel '$(ACCEL)' \
	    --timeout '$(TIMEOUT)' $(if $(filter 1,$(value CHAT)),--chat) $(if $(filter 1,$(value SECURE)),--secure)
# sbsign and its key are read again at every call: what was signed with other ones is not what is asked for.
signed: deps ## build/axiom-signed.efi: KEY=db.key CERT=db.crt [REQUIRE=model.axm ARGS="options that must not change"]
	@sh ovmf/deps.sh sbsigntool openssl
	@$(NEXT_MAKE) $(BUILD)/axiom-signed.efi
.PHONY: $(BUILD)/axiom-signed.efi
$(BUILD)/axiom-signed.efi: $(BUILD)/axiom.efi
	@$(PYTHON) -B ovmf/sign.py --image $< --output $@
image: deps ## build/axiom.img, a GPT disk for a USB stick; PROMPT, PROMPTS, N, MODEL, STREAM, ARGS as in run
	@$(NEXT_MAKE) image-made
esp: deps ## copy the same files onto a mounted ESP: DEST=/mnt/esp
	@$(NEXT_MAKE) esp-copied

image-made: $(MEDIUM)
	@$(MAKE_MEDIUM) --image $(BUILD)/axiom.img
esp-copied: $(MEDIUM)
	@$(MAKE_MEDIUM) --esp

$(BUILD)/models/default.gguf:
	@PYTHON='$(PYTHON)' sh ovmf/fetch_model.sh $@ $(DEFAULT_MODEL_SHA256) \
	    $(DEFAULT_MODEL_WHEEL)==$(DEFAULT_MODEL_VERSION)
$(BUILD)/models/default.axm: $(BUILD)/models/default.gguf $(BUILD)/axiom-pack
	$(BUILD)/axiom-pack $< -o $@

.PHONY: deps deps-test run signed image esp image-made esp-copied
