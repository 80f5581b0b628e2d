// SPDX-License-Identifier: MIT
// --help, laid out from the option table in at most 80 columns.
#include <string_view>

#include "core/fmt.h"
#include "core/kernels.h"
#include "model/report/option_table.h"

namespace axiom {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kHelpColumn = 28;

using Sink = void (*)(void*, std::string_view);

Text<32> default_of(const OptionSpec& spec) {
    const Options defaults;
    if (spec.target.count) return Text<32>(defaults.*spec.target.count);
    if (spec.target.wide) return Text<32>(defaults.*spec.target.wide);
    if (!spec.target.number) return Text<32>();
    // Through three decimals: 0.95f is not 0.95.
    return Text<32>(
        plain_number(double(int(double(defaults.*spec.target.number) * 1000 + 0.5)) / 1000));
}

// string_view's own find() calls into the C library, which firmware has not.
size_t position_of(char c, std::string_view text) {
    size_t i = 0;
    while (i < text.size() && text[i] != c) i++;
    return i;
}

// The help text with its default filled in, or for --isa with the names of the kernel sets.
void expand(const OptionSpec& spec, Writer& out) {
    const size_t mark = position_of('{', spec.help);
    std::string_view rest = spec.help;
    out.put(rest.substr(0, mark));
    rest.remove_prefix(mark);
    if (!rest.empty()) {
        rest.remove_prefix(2);
        out.put(default_of(spec)).put(rest);
    }
    if (spec.kind != OptionKind::isa) return;
    const char* separator = "";
    for (const KernelSet& set : kernel_sets(CpuFeatures{})) {
        out.put(separator).put(set.kernels->name);
        separator = ", ";
    }
}

// Words of `text` from the help column on; `column` is where the line stands.
void wrap(std::string_view text, size_t column, Writer& out) {
    while (!text.empty()) {
        const size_t n = position_of(' ', text);
        if (column > kHelpColumn && column + 1 + n > kWidth) {
            out.put('\n');
            column = 0;
        }
        if (column < kHelpColumn) {
            out.put(PadRight{"", kHelpColumn - column});
            column = kHelpColumn;
        } else if (column > kHelpColumn) {
            out.put(' ');
            column++;
        }
        out.put(text.substr(0, n));
        column += n;
        text.remove_prefix(n < text.size() ? n + 1 : n);
    }
    out.put('\n');
}

void print_option(const OptionSpec& spec, Sink write, void* context) {
    char buffer[1024];
    Writer out(buffer, sizeof buffer);
    const char* separator = "  ";
    for (const std::string_view name : spec.names) {
        if (name.empty()) continue;
        out.put(separator).put(name);
        separator = ", ";
    }
    if (!spec.value.empty()) out.put(' ').put(spec.value);
    size_t column = out.size();
    if (column + 2 > kHelpColumn) {
        out.put('\n');
        column = 0;
    }
    char help[384];
    Writer text(help, sizeof help);
    expand(spec, text);
    wrap(text.view(), column, out);
    write(context, out.view());
}

}  // namespace

void print_help(std::string_view program, Source source, Sink write, void* context) {
    const uint8_t place = place_of(source);
    const Text<320> head("usage: ", program, " [options]\n\n",
                         source == Source::host_command_line
                             ? ""
                             : "Options on the command line beat those of "
                               "\\axiom\\axiom.conf, where they stand\n"
                               "one a line, long name without dashes: "
                               "n-predict 64\n\n");
    write(context, head.view());
    for (const OptionSpec& spec : option_table()) {
        if (spec.places & place) print_option(spec, write, context);
    }
}

}  // namespace axiom
