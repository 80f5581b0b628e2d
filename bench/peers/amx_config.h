// SPDX-License-Identifier: MIT
// Read before every source of llama.cpp: GCC 12's _tile_loadconfig says that it reads 8 of the 64
// bytes, so that the compiler drops the stores of the others, and the first AMX instruction after it
// faults.
#if defined(__AMX_TILE__) && !defined(__clang__) && __GNUC__ < 14
#include <immintrin.h>
#define _tile_loadconfig(config) \
    __asm__ volatile("ldtilecfg %0" ::"m"(*(const char(*)[64])(config)))
#endif
