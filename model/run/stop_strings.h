// SPDX-License-Identifier: MIT
// Texts that end a generation wherever the borders of tokens lie: what may be the beginning of one
// is held back until it is certain.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

#include "core/status.h"
#include "model/report/options.h"

namespace axiom {

class StopStrings {
  public:
    StopStrings() = default;
    // The texts outlive this; each has 1..kMaxStopBytes bytes.
    explicit StopStrings(std::span<const std::string_view> stops) : stops_(stops) {
        for (const std::string_view stop : stops)
            AXIOM_CHECK(!stop.empty() && stop.size() <= kMaxStopBytes);
    }

    // Passes on what no stop string can begin in. Once one is complete, everything before it has
    // been passed on, it and all later text is dropped, and the result is true.
    template <class Write>
    bool put(std::string_view bytes, Write&& write) {
        for (const char c : bytes) {
            if (found_) break;
            held_[n_held_++] = c;
            found_ = ends_with_stop(write);
            if (!found_) pass_on(n_held_ - n_begun(), write);
        }
        return found_;
    }
    // At the end of the text: what was held back was no stop string.
    template <class Write>
    void finish(Write&& write) {
        pass_on(n_held_, write);
    }

  private:
    std::string_view held() const { return {held_, n_held_}; }

    template <class Write>
    void pass_on(size_t n, Write&& write) {
        if (n == 0) return;
        write(held().substr(0, n));
        n_held_ -= n;
        memmove(held_, held_ + n, n_held_);
    }
    // Of several that end here the longest counts.
    template <class Write>
    bool ends_with_stop(Write&& write) {
        size_t longest = 0;
        for (const std::string_view stop : stops_) {
            if (held().ends_with(stop) && stop.size() > longest) longest = stop.size();
        }
        if (longest == 0) return false;
        pass_on(n_held_ - longest, write);
        n_held_ = 0;
        return true;
    }
    // Bytes at the end of what is held that a stop string begins with, at most.
    size_t n_begun() const {
        for (size_t n = n_held_; n > 0; n--) {
            for (const std::string_view stop : stops_) {
                if (n < stop.size() && held().ends_with(stop.substr(0, n))) return n;
            }
        }
        return 0;
    }

    std::span<const std::string_view> stops_;
    char held_[kMaxStopBytes] = {};
    size_t n_held_ = 0;
    bool found_ = false;
};

}  // namespace axiom
