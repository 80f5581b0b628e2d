// SPDX-License-Identifier: MIT
// libFuzzer: arbitrary bytes as a GGUF, through the reader, the metadata sections, the plan and the
// conversion of every tensor. Nothing may crash; what is refused is refused with a text.
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "model/weights/weights.h"
#include "packer/convert.h"
#include "packer/gguf.h"
#include "packer/sections.h"

namespace {

using namespace axiom;

void require(bool condition) {
    if (!condition) abort();
}

// Typed access to every key, as every type.
void read_values(const gguf::File& file) {
    for (const auto& [key, value] : file.values()) {
        require(file.find(key) == &value);
        static_cast<void>(file.u64(key).ok());
        static_cast<void>(file.f64(key, 0).ok());
        static_cast<void>(file.boolean(key, false).ok());
        static_cast<void>(file.string(key).ok());
        static_cast<void>(file.strings(key).ok());
        static_cast<void>(file.floats(key).ok());
        static_cast<void>(file.integers(key).ok());
    }
}

// Converts the tensors of an accepted plan; each is no larger than the input, so this is quick.
void convert(const packer::Plan& plan) {
    for (const packer::PlannedTensor& tensor : plan.tensors) {
        const uint64_t n = packer::n_groups(tensor);
        std::vector<uint8_t> stored(n * packer::group_bytes(tensor));
        std::vector<packer::ErrorStats> errors(n);
        const Status status = plan.fill(tensor, 0, n, stored.data(), errors.data());
        if (!status.ok()) {
            require(!status.text().empty());
            return;
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
    const Result<gguf::File> parsed = gguf::File::parse("fuzz.gguf", {data, n_bytes});
    if (!parsed.ok()) {
        require(!parsed.status().text().empty());
        return 0;
    }
    const gguf::File& file = parsed.value();
    read_values(file);
    std::string note;
    static_cast<void>(packer::build_tokenizer_section(file).ok());
    static_cast<void>(packer::build_chat_section(file, &note).ok());
    const Result<packer::Plan> plan = packer::plan_from_gguf(file, {});
    if (!plan.ok()) return 0;
    // What is packed can be opened again.
    require(check_config("fuzz.axm", 0, plan.value().config, plan.value().layers).ok());
    convert(plan.value());
    return 0;
}
