// SPDX-License-Identifier: MIT
// The comparison as one page of HTML that fetches nothing: charts, the tables behind them, every figure.
#pragma once

#include <string>

#include "bench/compare/print.h"

namespace axiom::compare {

std::string html_page(const Results& results);

// Empty: the page has its charts. Otherwise why this program writes it without them.
std::string why_no_charts();

}  // namespace axiom::compare
