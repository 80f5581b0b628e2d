// SPDX-License-Identifier: MIT
// The value of --disturb: pairs and the word scatter, separated by blanks or commas.
#include <algorithm>

#include "model/report/option_table.h"

namespace axiom {
namespace {

constexpr char kAllowed[] =
    "tick=HZ, evict=KIB, pages=4k, scatter and boundary=stage, layer or token, as in "
    "tick=1000,evict=512";

class Parser {
  public:
    Parser(std::string_view shown, Options* options) : shown_(shown), options_(*options) {}

    Status take(std::string_view piece) {
        const size_t equals = piece.find('=');
        name_ = piece.substr(0, equals);
        const bool has_value = equals != piece.npos;
        const std::string_view value = has_value ? piece.substr(equals + 1) : std::string_view();
        if (name_ == "scatter" && !has_value) {
            plan.scatter = options_.small_pages = true;
            return {};
        }
        if (name_ == "tick") return number(value, DisturbPlan::kMaxHz, &plan.tick_hz);
        if (name_ == "evict") return number(value, DisturbPlan::kMaxEvictKib, &plan.evict_kib);
        if (name_ == "pages") {
            if (value != "4k") return wrong(value, "4k");
            options_.small_pages = true;
            return {};
        }
        if (name_ == "boundary") {
            if (value == "stage") {
                plan.turn = TaskTurn::stage;
            } else if (value == "layer") {
                plan.turn = TaskTurn::layer;
            } else if (value == "token") {
                plan.turn = TaskTurn::token;
            } else {
                return wrong(value, "stage, layer or token");
            }
            return {};
        }
        return error(Code::bad_option, "option ", shown_, ": found ", Quoted{piece}, ", allowed ",
                     kAllowed);
    }
    Status check() const {
        if (plan.evict_kib != 0 && plan.tick_hz == 0) {
            return error(Code::bad_option, "option ", shown_,
                         ": found evict without tick, allowed with it");
        }
        const uint64_t kib_per_second = uint64_t{plan.tick_hz} * plan.evict_kib;
        if (kib_per_second <= DisturbPlan::kMaxEvictKibPerSecond) return {};
        return error(Code::bad_option, "option ", shown_, ": tick times evict: found ",
                     kib_per_second, " KiB a second, allowed at most ",
                     DisturbPlan::kMaxEvictKibPerSecond);
    }
    DisturbPlan plan;

  private:
    Status wrong(std::string_view value, std::string_view allowed) const {
        return error(Code::bad_option, "option ", shown_, ": ", name_, ": found ", Quoted{value},
                     ", allowed ", allowed);
    }
    Status number(std::string_view value, uint32_t most, uint32_t* out) {
        uint64_t n = 0;
        if (!parse_u64(value, &n) || n < 1 || n > most)
            return wrong(value, Text<48>("a whole number from 1 to ", most));
        *out = uint32_t(n);
        return {};
    }

    std::string_view shown_, name_;
    Options& options_;
};

}  // namespace

Status parse_disturb(std::string_view shown, std::string_view value, Options* options) {
    constexpr std::string_view kBetween = " ,\t";
    Parser parser(shown, options);
    for (size_t at = 0; (at = value.find_first_not_of(kBetween, at)) != value.npos;) {
        const size_t end = std::min(value.find_first_of(kBetween, at), value.size());
        if (Status s = parser.take(value.substr(at, end - at)); !s.ok()) return s;
        at = end;
    }
    if (Status s = parser.check(); !s.ok()) return s;
    parser.plan.text = value;
    options->disturb = parser.plan;
    return {};
}

}  // namespace axiom
