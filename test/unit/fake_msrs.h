// SPDX-License-Identifier: MIT
// A core's model-specific registers as a test sets them up: what is not there faults, and some take no
// other value.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "efi/platform/msr_access.h"

namespace axiom::efi {

struct FakeMsrs final : MsrAccess {
    std::map<uint32_t, uint64_t> values;
    std::set<uint32_t> refuses;  // writes fault
    std::set<uint32_t> ignores;  // writes do nothing, as under some hypervisors
    std::vector<std::pair<uint32_t, uint64_t>> written;

    bool read(uint32_t msr, uint64_t* value) override {
        const auto found = values.find(msr);
        if (found == values.end()) return false;
        *value = found->second;
        return true;
    }
    bool write(uint32_t msr, uint64_t value) override {
        if (!values.contains(msr) || refuses.contains(msr)) return false;
        written.emplace_back(msr, value);
        if (!ignores.contains(msr)) values[msr] = value;
        return true;
    }
};

}  // namespace axiom::efi
