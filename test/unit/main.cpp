// SPDX-License-Identifier: MIT
// The unit-test program. A broken invariant becomes an exception, so that tests can ask for it.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include <stdexcept>
#include <string>

#include "core/status.h"

namespace axiom {

void panic_handler(const char* file, int line, const char* what) {
    throw std::logic_error(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

}  // namespace axiom

int main(int argc, char** argv) {
    return Catch::Session().run(argc, argv);
}
