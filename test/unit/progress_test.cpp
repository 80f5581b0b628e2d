// SPDX-License-Identifier: MIT
#include "model/run/run.h"
#include "test/unit/catch.h"
#include "test/unit/machine.h"

using namespace axiom;
using namespace axiom::test;

TEST_CASE(
    "progress is nothing for two seconds, then a bar that grows with the layers that were run") {
    TestMachine m(1 << 20);
    const uint64_t second = m.machine.clock.ticks_per_second;
    PassProgress progress;
    PassProgress::poll(&progress, ~uint64_t{0});  // nothing to show
    progress.begin(&m.machine, "reading ", 200);
    for (int i = 0; i < 20; i++) PassProgress::poll(&progress, progress.begin_ticks + second);
    CHECK(m.text == "");
    PassProgress::poll(&progress, progress.begin_ticks + 2 * second);
    CHECK(m.text == "reading 0%....");
    for (int i = 0; i < 39; i++) PassProgress::poll(&progress, progress.begin_ticks + 3 * second);
    CHECK(m.text == "reading 0%.......20%....");
    for (int i = 0; i < 500; i++) PassProgress::poll(&progress, progress.begin_ticks + 4 * second);
    progress.end();
    CHECK(m.text == "reading 0%.......20%.......40%.......60%.......80%.......100%\n");
    m.text.clear();
    progress.begin(&m.machine, "short ", 10);
    PassProgress::poll(&progress, progress.begin_ticks);
    progress.end();
    CHECK(m.text == "");
    progress.begin(&m.machine, "unknown ");
    for (uint64_t i = 0; i < 6; i++)
        PassProgress::poll(&progress, progress.begin_ticks + i * second);
    progress.end();
    CHECK(m.text == "unknown ....\n");
}
