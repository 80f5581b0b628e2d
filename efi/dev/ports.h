// SPDX-License-Identifier: MIT
// I/O ports and memory-mapped registers.
#pragma once

#include <cstdint>

namespace axiom::efi {

inline uint8_t in8(uint16_t port) {
    uint8_t v;
    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
inline uint16_t in16(uint16_t port) {
    uint16_t v;
    asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
inline void out16(uint16_t port, uint16_t v) {
    asm volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}
inline uint32_t in32(uint16_t port) {
    uint32_t v;
    asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
inline void out32(uint16_t port, uint32_t v) {
    asm volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}
inline void out8(uint16_t port, uint8_t v) {
    asm volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}

template <class T>
T mmio_read(uint64_t address) {
    return *reinterpret_cast<volatile T*>(address);
}
template <class T>
void mmio_write(uint64_t address, T value) {
    *reinterpret_cast<volatile T*>(address) = value;
}

inline void pause_cpu() {
    asm volatile("pause");
}

}  // namespace axiom::efi
