// SPDX-License-Identifier: MIT
#include "efi/memory/scatter.h"

#include "core/round.h"
#include "core/status.h"
#include "efi/memory/addresses.h"

namespace axiom::efi {
namespace {

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
uint64_t next_random(uint64_t* state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

}  // namespace

// Fisher and Yates.
void scatter_pages(const AddressRange& range, void (*swap)(void* context, uint64_t a, uint64_t b),
                   void* context, PageTables* tables) {
    const uint64_t begin = round_up(range.begin, kPageBytes);
    if (begin >= range.end) return;
    uint64_t state = begin;
    for (uint64_t n = (range.end - begin) / kPageBytes; n > 1; n--) {
        const uint64_t a = begin + (n - 1) * kPageBytes;
        const uint64_t b = begin + next_random(&state) % n * kPageBytes;
        if (a == b) continue;
        if (swap != nullptr) {
            swap(context, tables->find(a).physical(), tables->find(b).physical());
        }
        AXIOM_CHECK(tables->swap_pages(a, b));
    }
}

}  // namespace axiom::efi
