// SPDX-License-Identifier: MIT
// Fields of tables that firmware and devices lay out, at any address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace axiom::efi {

using ByteView = std::span<const uint8_t>;

template <class T>
T load(ByteView bytes, size_t at) {  // the caller has checked at + sizeof(T) <= size
    T value;
    memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

}  // namespace axiom::efi
