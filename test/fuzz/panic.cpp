// SPDX-License-Identifier: MIT
// In a fuzz target a broken invariant is a finding: it ends the process, and the input is kept.
#include <cstdio>
#include <cstdlib>

#include "core/status.h"

namespace axiom {

void panic_handler(const char* file, int line, const char* what) {
    fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, what);
    abort();
}

}  // namespace axiom
