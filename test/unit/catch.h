// SPDX-License-Identifier: MIT
// Catch2 as the distribution has it: version 3 (Ubuntu 24.04) or version 2 (Debian 12).
// Every test includes this file and no other of Catch's.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
