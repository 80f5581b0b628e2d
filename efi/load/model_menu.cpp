// SPDX-License-Identifier: MIT
#include "efi/load/model_menu.h"

#include "efi/cpu/crash.h"

namespace axiom::efi {
namespace {

constexpr uint32_t kPollsPerSecond = 20;

void list(const ModelList& models) {
    for (size_t i = 0; i < models.n; i++) {
        const ModelPlace& place = models.places[i];
        say(i == 0 ? "models    " : "          ", i + 1, "  ", place.name.view(), ", ",
            place.bytes != 0 ? Text<32>(Bytes{place.bytes}) : Text<32>("not there"),
            i == models.preset ? ", unless another is chosen" : "");
    }
}

// On one line, drawn over itself.
void ask(const ModelList& models, std::string_view what_comes) {
    const Text<80> question("\rwhich     1..", models.n, what_comes, ": ");
    crash.console.write(Text<200>(PadRight{question.view(), 40}, question.view()));
}
void count_down(const ModelList& models, uint32_t seconds_left) {
    ask(models, Text<40>(", ", models.preset + 1, " in ", seconds_left, " s"));
}

// The key that chose us in the firmware's menu, or several of them, chooses no model.
void drop_keys(SIMPLE_INPUT_INTERFACE* keys) {
    constexpr int kMax = 64;
    EFI_INPUT_KEY key{};
    for (int i = 0; i < kMax && !EFI_ERROR(keys->ReadKeyStroke(keys, &key)); i++) {
    }
}

// What a key chooses: a model, or none of them.
size_t chosen(const EFI_INPUT_KEY& key, const ModelList& models) {
    if (key.UnicodeChar == '\r') return models.preset;
    const size_t digit = size_t(key.UnicodeChar) - '1';  // of other keys, large
    return digit < models.n ? digit : models.n;
}

}  // namespace

const ModelPlace& choose_model(const Firmware& firmware, const ModelList& models,
                               uint32_t seconds) {
    list(models);
    auto* const keys = firmware.system->ConIn;
    size_t choice = keys == nullptr ? models.preset : models.n;
    bool is_waited_for = false;
    if (keys != nullptr) drop_keys(keys);
    for (uint32_t i = 0; choice == models.n; i++) {
        EFI_INPUT_KEY key{};
        if (!EFI_ERROR(keys->ReadKeyStroke(keys, &key))) {
            choice = chosen(key, models);
            if (!is_waited_for) ask(models, "");
            is_waited_for = true;
            continue;
        }
        if (!is_waited_for && i == seconds * kPollsPerSecond) choice = models.preset;
        if (!is_waited_for && i % kPollsPerSecond == 0)
            count_down(models, seconds - i / kPollsPerSecond);
        firmware.boot->Stall(1000000 / kPollsPerSecond);
    }
    say(choice + 1);
    return models.places[choice];
}

}  // namespace axiom::efi
