// SPDX-License-Identifier: MIT
#include "efi/dev/device.h"

namespace axiom::efi {

Status map_registers(DeviceList devices, PageTables* tables) {
    for (const Device* device : devices) {
        for (const RegisterRange& r : device->registers) {
            if (r.range.size() == 0) continue;
            Status status = tables->map(r.range.begin, r.range.end, Access::read_write, r.cache);
            if (!status.ok()) return status;
        }
    }
    return {};
}

MoreRanges count_registers(DeviceList devices) {
    MoreRanges all;
    for (const Device* device : devices) {
        for (const RegisterRange& r : device->registers) {
            if (r.range.size() == 0) continue;
            all.n++;
            all.bytes += r.range.size();
        }
    }
    return all;
}

void add_tasks(DeviceList devices, LayerLoop* loop) {
    const auto poll = [](void* device, uint64_t now_ticks) {
        Device& self = *static_cast<Device*>(device);
        self.poll(self, now_ticks);
    };
    for (Device* device : devices) {
        if (device->poll == nullptr) continue;
        loop->add({.name = device->name, .poll = poll, .context = device});
    }
}

RegisterRange registers_at(const Register& where) {
    if (where.address == 0 || where.io) return {};
    return {{where.address, where.address + kRegisterBytes}, Cache::uncached};
}

}  // namespace axiom::efi
