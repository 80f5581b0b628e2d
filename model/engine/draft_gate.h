// SPDX-License-Identifier: MIT
// Whether drafts pay, and how many at a time: what passes were measured to take against how often drafts
// were right. It decides about speed only; no bit depends on it.
// Must not know: tokens, or what measures ticks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace axiom {

class DraftGate {
  public:
    // Proposals that are passed over between two tries while drafts do not pay: what was learned may no
    // longer hold. A try costs a part of a pass, so all of them together cost less than 1 % of decoding.
    static constexpr size_t kPassedOver = 63;

    // How many of the `most` proposed tokens are worth reading with the accepted one.
    size_t choose(size_t most);
    // A pass that read n_drafts tokens beside the accepted one took `ticks`.
    void took(size_t n_drafts, uint64_t ticks);
    // What became of a draft whose turn came.
    void judged(bool accepted);

  private:
    // Running means, in ticks: of a pass of one token, and of what a draft adds to it; 0 and less than
    // 0: not measured yet.
    double one_ticks_ = 0, draft_ticks_ = -1;
    // Share of drafts that are right where all before them were.
    double right_ = 0.5;
    size_t n_passed_over_ = 0;
};

}  // namespace axiom
