// SPDX-License-Identifier: MIT
// A whole file as bytes, in one read: character by character takes minutes under the sanitizers.
#pragma once

#include <fstream>
#include <string>

#include "test/unit/catch.h"

inline std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    INFO(path);
    REQUIRE(in.good());
    std::string bytes(size_t(in.tellg()), '\0');
    in.seekg(0);
    REQUIRE(in.read(bytes.data(), std::streamsize(bytes.size())).good());
    return bytes;
}
