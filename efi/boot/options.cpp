// SPDX-License-Identifier: MIT
#include "efi/boot/options.h"

#include <cstring>

#include "efi/boot/files.h"
#include "efi/cpu/crash.h"
#include "efi/dev/text.h"

namespace axiom::efi {
namespace {

constexpr size_t kCommandLineBytes = 32 * 1024, kFileBytes = 64 * 1024, kPolicyBytes = 64 * 1024;
constexpr size_t kMaxArguments = 128;
constexpr std::string_view kPolicyName = "the image's policy";

std::span<const uint8_t> bytes_of(std::span<const char> text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// A boot entry's optional data may be anything: text is what the shell gives us, or what starts
// with a printable ASCII character. Everything else is binary data that means something to somebody
// else.
bool looks_like_text(const Firmware& firmware, std::span<const uint16_t> units) {
    if (units.empty() || units[0] == 0) return false;
    return firmware.from_shell || (units[0] > 0x20 && units[0] < 0x7f);
}

// The load options as arguments without the program's name.
Result<size_t> load_arguments(const Firmware& firmware, std::span<char> text,
                              std::span<std::string_view> out) {
    const EFI_LOADED_IMAGE_PROTOCOL* loaded = firmware.loaded;
    if (loaded->LoadOptions == nullptr || loaded->LoadOptionsSize < 2) return size_t{0};
    const std::span units(static_cast<const uint16_t*>(loaded->LoadOptions),
                          loaded->LoadOptionsSize / 2);
    if (!looks_like_text(firmware, units)) return size_t{0};
    const Result<size_t> n_bytes = utf16_to_utf8("load options", units, text);
    if (!n_bytes.ok()) {
        if (firmware.from_shell) return n_bytes.status();
        say("axiom: load options ignored: ", n_bytes.status().text());
        return size_t{0};
    }
    Result<size_t> n = split_command_line(text.first(n_bytes.value()), out);
    if (!n.ok()) return n;
    // The shell puts the program's name first, boot entries usually do not.
    const bool has_name = n.value() > 0 && (firmware.from_shell || !out[0].starts_with('-'));
    if (!has_name) return n;
    for (size_t i = 1; i < n.value(); i++) out[i - 1] = out[i];
    return n.value() - 1;
}

}  // namespace

Result<Options> read_options(const Firmware& firmware, Tpm* tpm, OwnedPages* pages) {
    const Result<uint64_t> address = pages->take(
        {.what = "option text", .bytes = kCommandLineBytes + kFileBytes + kPolicyBytes});
    if (!address.ok()) return address.status();
    auto* const text = reinterpret_cast<char*>(address.value());

    std::string_view storage[kMaxArguments];
    const Result<size_t> n = load_arguments(firmware, {text, kCommandLineBytes}, storage);
    if (!n.ok()) return n.status();
    const std::span<const std::string_view> arguments(storage, n.value());

    // Whoever asks for help gets it, whatever is in the file.
    Options asked;
    Status status = parse_arguments(arguments, Source::efi_command_line, &asked);
    if (!status.ok()) return status;
    if (asked.help || asked.version) return asked;

    Options options;
    const std::span<const uint8_t> policy = image_policy(firmware);
    if (!policy.empty()) {
        tpm->measure(kOptionsPcr, "policy", policy);
        if (policy.size() > kPolicyBytes) {
            return error(Code::bad_option, kPolicyName, ": found ", policy.size(),
                         " bytes, allowed at most ", kPolicyBytes);
        }
        const std::span policy_text(text + kCommandLineBytes + kFileBytes, policy.size());
        memcpy(policy_text.data(), policy.data(), policy.size());
        status = parse_policy(kPolicyName, policy_text, &options);
        if (!status.ok()) return status;
    }
    const std::span<char> file_text(text + kCommandLineBytes, kFileBytes);
    Result<size_t> n_file = read_small_file(firmware, kConfigPath, file_text);
    if (n_file.ok()) {
        tpm->measure(kOptionsPcr, "axiom.conf", bytes_of(file_text.first(n_file.value())));
        status = parse_config(kConfigPath, file_text.first(n_file.value()), &options);
        if (!status.ok()) return status;
    } else if (n_file.status().code() != Code::not_found) {
        return n_file.status();
    }
    if (!arguments.empty()) {
        tpm->measure(kOptionsPcr, "load options",
                     {static_cast<const uint8_t*>(firmware.loaded->LoadOptions),
                      firmware.loaded->LoadOptionsSize});
    }
    status = parse_arguments(arguments, Source::efi_command_line, &options);
    if (!status.ok()) return status;
    // Nothing to do was asked for: whoever is there may ask.
    const bool has_task = options.has_prompt || !options.prompts.empty() || options.bench.wanted ||
                          options.noise_seconds > 0;
    if (!has_task) options.chat = true;
    if (!options.date.known()) options.date = parse_date(utc_now(firmware).view());
    return options;
}

}  // namespace axiom::efi
