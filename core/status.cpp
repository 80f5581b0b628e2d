// SPDX-License-Identifier: MIT
#include "core/status.h"

namespace axiom {

Status::Status(Code code, std::string_view text) : code_(code) {
    Writer w(text_, kMaxText);
    w.put(text);
    n_text_ = uint16_t(w.size());
}

}  // namespace axiom
