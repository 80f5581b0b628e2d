// SPDX-License-Identifier: MIT
// How ACPI powers a machine off without its firmware's help: sleep state S5 (ACPI 6.5, sections 4.8.3.2,
// 4.8.3.7, 7.4.2 and 16.1.4). What the tables say is hostile.
// Must not know: how tables are found, or what else was tried.
#pragma once

#include <cstdint>
#include <span>

#include "efi/dev/device.h"

namespace axiom::efi {

// Registers that tables name, behind an interface that tests can play. `bytes`: 1, 2 or 4.
class RegisterAccess {
  public:
    virtual uint32_t read(const Register& where, unsigned bytes) = 0;
    virtual void write(const Register& where, unsigned bytes, uint32_t value) = 0;

  protected:
    ~RegisterAccess() = default;
};

// The values of SLP_TYP that mean S5.
struct SleepTypes {
    uint8_t a = 0, b = 0;
};

struct PowerOff {
    Register pm1a_control, pm1b_control;  // none where the hardware is reduced
    Register smi_command;                 // by which ACPI mode is entered,
    uint8_t acpi_enable = 0;              // with this value
    Register sleep_control;               // where it is reduced
    bool has_types = false;
    SleepTypes types;
};

// A Generic Address Structure of a table; none where it lies outside, or in a space we do not reach.
Register generic_address(std::span<const uint8_t> table, size_t at);
// Of a whole FADT, but for the types.
void read_power_off(std::span<const uint8_t> fadt, PowerOff* out);
// Looks for the package \_S5 in a whole DSDT or SSDT, as every compiler writes it: NameOp, name, PackageOp and
// constants. The code is searched, not run.
bool find_s5(std::span<const uint8_t> aml, SleepTypes* out);

// The machine goes off some time after this returns; false where there was nothing to write to.
bool enter_s5(const PowerOff& how, RegisterAccess& registers);

}  // namespace axiom::efi
