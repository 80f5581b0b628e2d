// SPDX-License-Identifier: MIT
#include "efi/boot/record_file.h"

#include "efi/boot/commit.h"
#include "efi/boot/files.h"
#include "efi/cpu/crash.h"
#include "efi/dev/record_variable.h"
#include "model/report/short_record.h"

namespace axiom::efi {
namespace {

constexpr char kRecordsPath[] = "\\axiom\\records.jsonl";
constexpr size_t kMaxBytes = RecordVariable::kMaxBytes;

// A line at the end of the file, unless it is the last one already: the power may have gone between
// writing it and removing the variable. What it cut short is ended.
Status append_line(const Firmware& firmware, std::string_view line) {
    File file;
    Status status =
        file.open(firmware, firmware.loaded->DeviceHandle, kRecordsPath, File::Mode::append);
    if (!status.ok()) return status;
    char end[kMaxBytes + 2];  // a line, its end, and the end of the one before
    const size_t n = size_t(file.size() < sizeof end ? file.size() : sizeof end);
    if (n != 0) {
        status = file.read(file.size() - n, {reinterpret_cast<uint8_t*>(end), n});
        if (!status.ok()) return status;
        std::string_view last(end, n);
        const bool is_whole = last.ends_with('\n');
        if (is_whole) last.remove_suffix(1);
        if (const size_t before = last.rfind('\n'); before != last.npos)
            last.remove_prefix(before + 1);
        if (is_whole && last == line) return {};
        if (!is_whole) status = file.append("\n");
    }
    if (status.ok()) status = file.append(line);
    if (status.ok()) status = file.append("\n");
    return status.ok() ? file.flush() : status;
}

}  // namespace

void take_record_home(const Firmware& firmware, bool quiet) {
    RecordVariable variable(firmware.runtime);
    char text[kMaxBytes];
    const Result<size_t> n = variable.read(text);
    if (n.status().code() == Code::not_found) return;
    Status status = n.status();
    if (status.ok()) status = append_line(firmware, {text, n.value()});
    if (status.ok()) status = variable.remove();
    if (!status.ok()) {
        say("note      the last run's record is not taken home: ", status.text());
    } else if (!quiet) {
        say("record    of the last run is in ", kRecordsPath);
    }
}

void record_error(const Firmware& firmware, const Status& outcome) {
    Record record;
    record.outcome = outcome;
    record.backend = "uefi";
    record.build_commit = kCommit;
    const Text<128> name = firmware_name(firmware);
    const Text<32> now = utc_now(firmware);
    record.machine = name;
    record.test_time = now;
    char text[kMaxBytes];
    const size_t n = print_short_json(record, text);
    const Status status = append_line(firmware, {text, n});
    if (!status.ok()) say("note      the error is not recorded: ", status.text());
}

}  // namespace axiom::efi
