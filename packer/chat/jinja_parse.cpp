// SPDX-License-Identifier: MIT
// Source -> tokens -> syntax tree.
#include <algorithm>
#include <array>
#include <cctype>

#include "packer/chat/jinja_node.h"

namespace axiom::packer::jinja {

namespace {

constexpr int kMaxDepth = 120;

enum class TokenKind { text, output_begin, block_begin, end, name, string, integer, op };
struct Token {
    TokenKind kind;
    std::string text;
    size_t at;  // offset in the source, for messages
};

bool is_name_start(char c) {
    return std::isalpha(uint8_t(c)) || c == '_';
}
bool is_name(char c) {
    return std::isalnum(uint8_t(c)) || c == '_';
}

void append_utf8(std::string* out, uint32_t c) {
    if (c < 0x80) {
        out->push_back(char(c));
    } else if (c < 0x800) {
        out->push_back(char(0xc0 | c >> 6));
        out->push_back(char(0x80 | (c & 0x3f)));
    } else {
        out->push_back(char(0xe0 | c >> 12));
        out->push_back(char(0x80 | (c >> 6 & 0x3f)));
        out->push_back(char(0x80 | (c & 0x3f)));
    }
}

// --- tokens

class Lexer {
  public:
    explicit Lexer(std::string_view source) {
        for (size_t i = 0; i < source.size(); i++) {  // every line ends in \n alone
            if (source[i] == '\r') {
                source_ += '\n';
                if (i + 1 < source.size() && source[i + 1] == '\n') i++;
            } else {
                source_ += source[i];
            }
        }
        if (source_.ends_with('\n')) source_.pop_back();
    }

    std::vector<Token> tokens;
    std::string error;

    void run() {
        while (at_ < source_.size() && error.empty()) {
            size_t open = source_.find('{', at_);
            while (open != std::string::npos && !opens_tag(open))
                open = source_.find('{', open + 1);
            if (open == std::string::npos) {
                push_text(source_.size());
                return;
            }
            const char kind = source_[open + 1];
            const char control = open + 2 < source_.size() ? source_[open + 2] : '\0';
            size_t text_end = open;
            if (control == '-') {
                while (text_end > at_ && std::isspace(uint8_t(source_[text_end - 1]))) text_end--;
            } else if (kind != '{' && control != '+') {
                text_end = without_indent(open);
            }
            push_text(text_end);
            at_ = open + 2 + (control == '-' || control == '+' ? 1 : 0);
            if (kind == '#') {
                skip_comment();
            } else {
                tag(kind == '{');
            }
        }
    }

  private:
    std::string source_;
    size_t at_ = 0;

    bool opens_tag(size_t i) const {
        return i + 1 < source_.size() &&
               (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#');
    }
    void push_text(size_t end) {
        if (end > at_) tokens.push_back({TokenKind::text, source_.substr(at_, end - at_), at_});
    }
    // lstrip_blocks: blanks between the line's beginning and the tag go. The line may have begun
    // with the newline that trim_blocks took from the tag before.
    size_t without_indent(size_t tag) const {
        size_t i = tag;
        while (i > at_ && (source_[i - 1] == ' ' || source_[i - 1] == '\t')) i--;
        return i == 0 || source_[i - 1] == '\n' ? i : tag;
    }
    // What follows a tag: -%} takes all blanks, %} and #} one newline, +%} nothing.
    void after_tag(char control, bool takes_newline) {
        if (control == '-') {
            while (at_ < source_.size() && std::isspace(uint8_t(source_[at_]))) at_++;
        } else if (takes_newline && control != '+' && at_ < source_.size() &&
                   source_[at_] == '\n') {
            at_++;
        }
    }
    void skip_comment() {
        const size_t close = source_.find("#}", at_);
        if (close == std::string::npos) {
            error = "a comment without an end";
            return;
        }
        const char control = close > at_ ? source_[close - 1] : '\0';
        at_ = close + 2;
        after_tag(control, true);
    }
    void tag(bool output) {
        tokens.push_back({output ? TokenKind::output_begin : TokenKind::block_begin, "", at_});
        const std::string_view close = output ? "}}" : "%}";
        int depth = 0;  // of braces: }} may close two maps
        while (error.empty()) {
            while (at_ < source_.size() && std::isspace(uint8_t(source_[at_]))) at_++;
            if (at_ >= source_.size()) {
                error = "a tag without an end";
                return;
            }
            const std::string_view rest = std::string_view(source_).substr(at_);
            const char first = rest[0];
            const bool with_control =
                (first == '-' || first == '+') && rest.substr(1).starts_with(close);
            if (depth == 0 && (with_control || rest.starts_with(close))) {
                tokens.push_back({TokenKind::end, "", at_});
                at_ += with_control ? 3 : 2;
                after_tag(with_control ? first : '\0', !output);
                return;
            }
            if (first == '{') depth++;
            if (first == '}') depth--;
            token(rest);
        }
    }
    void token(std::string_view rest) {
        const char first = rest[0];
        size_t n = 1;
        if (is_name_start(first)) {
            while (n < rest.size() && is_name(rest[n])) n++;
            tokens.push_back({TokenKind::name, std::string(rest.substr(0, n)), at_});
        } else if (std::isdigit(uint8_t(first))) {
            while (n < rest.size() && std::isdigit(uint8_t(rest[n]))) n++;
            tokens.push_back({TokenKind::integer, std::string(rest.substr(0, n)), at_});
        } else if (first == '\'' || first == '"') {
            string(first);
            return;
        } else {
            static constexpr std::array<std::string_view, 6> kPairs = {
                "==", "!=", "<=", ">=", "//", "**"};
            for (const std::string_view pair : kPairs) {
                if (rest.starts_with(pair)) n = 2;
            }
            if (n == 1 &&
                std::string_view("+-*/%~<>=()[]{},.:|").find(first) == std::string::npos) {
                error = std::string("character ") + first + " in a tag";
                return;
            }
            tokens.push_back({TokenKind::op, std::string(rest.substr(0, n)), at_});
        }
        at_ += n;
    }
    void string(char quote) {
        const size_t begin = at_++;
        std::string text;
        while (at_ < source_.size() && source_[at_] != quote) {
            if (source_[at_] == '\\' && at_ + 1 < source_.size()) {
                at_++;
                escape(&text);
            } else {
                text += source_[at_++];
            }
        }
        if (at_ >= source_.size()) {
            error = "a string without an end";
            return;
        }
        at_++;
        tokens.push_back({TokenKind::string, text, begin});
    }
    void escape(std::string* out) {
        static constexpr std::string_view kFrom = "ntrbfva0\\'\"", kTo("\n\t\r\b\f\v\a\0\\'\"", 11);
        const char c = source_[at_++];
        const size_t n_digits = c == 'x' ? 2 : c == 'u' ? 4 : 0;
        if (n_digits > 0 && at_ + n_digits <= source_.size()) {
            uint32_t code = 0;
            for (size_t i = 0; i < n_digits; i++) {
                const char d = source_[at_ + i];
                if (!std::isxdigit(uint8_t(d))) {
                    error = "an escape that is not hexadecimal";
                    return;
                }
                code = 16 * code + uint32_t(d <= '9' ? d - '0' : (d | 0x20) - 'a' + 10);
            }
            if (code >= 0xd800 && code < 0xe000) error = "an escape that is no character";
            at_ += n_digits;
            append_utf8(out, code);
        } else if (const size_t i = kFrom.find(c); i != std::string_view::npos) {
            *out += kTo[i];
        } else {  // as Python: not an escape
            *out += '\\';
            *out += c;
        }
    }
};

// --- the tree

class Parser {
  public:
    explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
        tokens_.push_back({TokenKind::end, "", 0});  // so that the current token always exists
    }
    std::string error;

    NodePtr run() {
        NodePtr root = block({});
        if (error.empty() && i_ + 1 < tokens_.size()) fail("statement " + peek().text);
        return root;
    }

  private:
    std::vector<Token> tokens_;
    size_t i_ = 0;
    int depth_ = 0;

    const Token& peek(size_t ahead = 0) const {
        return tokens_[std::min(i_ + ahead, tokens_.size() - 1)];
    }
    void next() {
        if (i_ + 1 < tokens_.size()) i_++;
    }
    bool is(TokenKind kind, std::string_view text) const {
        return peek().kind == kind && peek().text == text;
    }
    bool is_op(std::string_view text) const { return is(TokenKind::op, text); }
    bool is_word(std::string_view text) const { return is(TokenKind::name, text); }
    bool take(TokenKind kind, std::string_view text) {
        if (!error.empty() || !is(kind, text)) return false;
        next();
        return true;
    }
    bool take_op(std::string_view text) { return take(TokenKind::op, text); }
    bool take_word(std::string_view text) { return take(TokenKind::name, text); }
    void fail(std::string what) {
        if (error.empty()) error = std::move(what);
    }
    void need_op(std::string_view text) {
        if (!take_op(text)) fail(std::string(text) + " missing before " + shown());
    }
    void need_end() {
        if (peek().kind != TokenKind::end) fail("tag does not end at " + shown());
        next();
    }
    std::string shown() const { return peek().text.empty() ? "a tag's end" : peek().text; }
    std::string name() {
        std::string text = peek().text;
        if (peek().kind != TokenKind::name) fail("name missing before " + shown());
        next();
        return text;
    }

    NodePtr node(Kind kind, std::string text = {}) {
        auto n = std::make_unique<Node>();
        n->kind = kind;
        n->text = std::move(text);
        return n;
    }
    void add(NodePtr& parent, NodePtr kid) {
        if (kid) {
            parent->depth = std::max(parent->depth, kid->depth + 1);
            if (parent->depth > kMaxDepth) fail("too deep nesting");
        }
        parent->kids.push_back(std::move(kid));
    }
    template <class... Kids>
    NodePtr node_of(Kind kind, std::string text, Kids... kids) {
        NodePtr n = node(kind, std::move(text));
        (add(n, std::move(kids)), ...);
        return n;
    }

    // Statements up to one of the words in `ends`, which stays the current token.
    NodePtr block(std::initializer_list<std::string_view> ends) {
        NodePtr out = node(Kind::block);
        if (++depth_ > kMaxDepth) fail("too deep nesting");
        while (error.empty() && i_ + 1 < tokens_.size()) {
            const Token& t = peek();
            if (t.kind == TokenKind::text) {
                add(out, node(Kind::text, t.text));
                next();
            } else if (t.kind == TokenKind::output_begin) {
                next();
                add(out, node_of(Kind::output, "", expression()));
                need_end();
            } else {
                next();  // block_begin
                bool ended = false;
                for (const std::string_view end : ends) ended = ended || is_word(end);
                if (ended) break;
                if (NodePtr s = statement()) add(out, std::move(s));
            }
        }
        depth_--;
        return out;
    }

    NodePtr statement() {
        const std::string word = name();
        if (word == "if") return if_statement();
        if (word == "for") return for_statement();
        if (word == "set") return set_statement();
        if (word == "macro") return macro_statement();
        if (word == "break" || word == "continue") {
            need_end();
            return node(word == "break" ? Kind::break_ : Kind::continue_);
        }
        if (word == "generation") {  // marks what was generated, for training
            need_end();
            NodePtr body = block({"endgeneration"});
            end_of_block("endgeneration");
            return body;
        }
        if (word == "filter") return filter_statement();
        if (word == "filter") return filter_statement();
        fail("statement " + word);
        return {};
    }
    void end_of_block(std::string_view word) {
        if (!take_word(word)) fail(std::string(word) + " missing");
        need_end();
    }
    NodePtr if_statement() {
        NodePtr out = node(Kind::if_);
        add(out, expression());
        need_end();
        for (;;) {
            add(out, block({"elif", "else", "endif"}));
            if (take_word("elif")) {
                add(out, expression());
                need_end();
            } else if (take_word("else")) {
                need_end();
                add(out, block({"endif"}));
                break;
            } else {
                break;
            }
        }
        end_of_block("endif");
        return out;
    }
    NodePtr for_statement() {
        NodePtr out = node(Kind::for_);
        do out->names.push_back(name());
        while (take_op(","));
        if (!take_word("in")) fail("in missing before " + shown());
        NodePtr over = disjunction(), filter, otherwise;
        if (take_word("if")) filter = expression();
        need_end();
        NodePtr body = block({"else", "endfor"});
        if (take_word("else")) {
            need_end();
            otherwise = block({"endfor"});
        }
        end_of_block("endfor");
        add(out, std::move(over));
        add(out, std::move(body));
        add(out, std::move(filter));
        add(out, std::move(otherwise));
        return out;
    }
    NodePtr set_statement() {
        NodePtr out = node(Kind::set);
        out->names.push_back(name());
        if (take_op(".")) {
            out->kind = Kind::set_field;
            out->text = name();
        }
        while (out->kind == Kind::set && take_op(",")) out->names.push_back(name());
        if (take_op("=")) {
            add(out, expression_list());
            need_end();
        } else {
            if (out->kind != Kind::set || out->names.size() != 1)
                fail("= missing before " + shown());
            out->kind = Kind::set_block;
            need_end();
            add(out, block({"endset"}));
            end_of_block("endset");
        }
        return out;
    }
    // The filters stand before what they filter, so they are read last.
    NodePtr filter_statement() {
        const size_t filters_at = i_;
        while (error.empty() && peek().kind != TokenKind::end) next();
        need_end();
        NodePtr value = node_of(Kind::text_of, "", block({"endfilter"}));
        end_of_block("endfilter");
        const size_t after = i_;
        i_ = filters_at;
        do value = with_filter(std::move(value));
        while (take_op("|"));
        need_end();
        i_ = after;
        return node_of(Kind::output, "", std::move(value));
    }
    NodePtr macro_statement() {
        NodePtr out = node(Kind::macro, name());
        std::vector<NodePtr> defaults;
        need_op("(");
        while (error.empty() && !take_op(")")) {
            out->names.push_back(name());
            defaults.push_back(take_op("=") ? expression() : nullptr);
            if (!is_op(")")) need_op(",");
        }
        need_end();
        add(out, block({"endmacro"}));
        end_of_block("endmacro");
        for (NodePtr& d : defaults) add(out, std::move(d));
        return out;
    }

    // --- expressions, loosest first
    NodePtr expression_list() {  // a, b is a tuple
        NodePtr first = expression();
        if (!is_op(",")) return first;
        NodePtr out = node_of(Kind::list, "", std::move(first));
        while (take_op(",")) add(out, expression());
        return out;
    }
    NodePtr expression() {
        if (++depth_ > kMaxDepth) fail("too deep nesting");
        NodePtr value = disjunction();
        while (error.empty() && take_word("if")) {
            NodePtr condition = disjunction();
            NodePtr otherwise = take_word("else") ? expression() : nullptr;
            value = node_of(Kind::conditional, "", std::move(condition), std::move(value),
                            std::move(otherwise));
        }
        depth_--;
        return value;
    }
    NodePtr disjunction() {
        NodePtr left = conjunction();
        while (take_word("or")) left = node_of(Kind::or_, "", std::move(left), conjunction());
        return left;
    }
    NodePtr conjunction() {
        NodePtr left = negation();
        while (take_word("and")) left = node_of(Kind::and_, "", std::move(left), negation());
        return left;
    }
    NodePtr negation() {
        if (!take_word("not")) return comparison();
        if (++depth_ > kMaxDepth) fail("too deep nesting");
        NodePtr value = node_of(Kind::not_, "", negation());
        depth_--;
        return value;
    }
    NodePtr comparison() {
        NodePtr left = sum();
        for (int n = 0;; n++) {
            std::string op;
            for (const std::string_view candidate : {"==", "!=", "<=", ">=", "<", ">"}) {
                if (op.empty() && take_op(candidate)) op = candidate;
            }
            if (op.empty() && take_word("in")) op = "in";
            if (op.empty() && is_word("not") && peek(1).kind == TokenKind::name &&
                peek(1).text == "in") {
                next();
                next();
                op = "not in";
            }
            if (op.empty() || !error.empty()) return left;
            if (n > 0) fail("a chain of comparisons");
            left = node_of(Kind::binary, op, std::move(left), sum());
        }
    }
    NodePtr operators(std::initializer_list<std::string_view> ops, NodePtr (Parser::*operand)()) {
        NodePtr left = (this->*operand)();
        for (;;) {
            std::string op;
            for (const std::string_view candidate : ops) {
                if (op.empty() && take_op(candidate)) op = candidate;
            }
            if (op.empty()) return left;
            left = node_of(Kind::binary, op, std::move(left), (this->*operand)());
        }
    }
    NodePtr sum() { return operators({"+", "-"}, &Parser::concatenation); }
    NodePtr concatenation() { return operators({"~"}, &Parser::product); }
    NodePtr product() { return operators({"*", "//", "/", "%"}, &Parser::unary); }
    NodePtr unary() {
        if (take_op("-")) return filters(node_of(Kind::negate, "", postfix(primary())));
        return filters(postfix(primary()));
    }
    NodePtr with_filter(NodePtr value) {
        value = node_of(Kind::filter, name(), std::move(value));
        if (take_op("(")) arguments(value);
        return value;
    }
    NodePtr filters(NodePtr value) {
        while (error.empty()) {
            if (take_op("|")) {
                value = with_filter(std::move(value));
            } else if (take_word("is")) {
                const bool negative = take_word("not");
                value = node_of(Kind::test, name(), std::move(value));
                if (take_op("(")) {
                    arguments(value);
                } else if (begins_argument()) {
                    value->names.emplace_back();
                    add(value, postfix(primary()));
                }
                if (negative) value = node_of(Kind::not_, "", std::move(value));
            } else {
                break;
            }
        }
        return value;
    }
    // x is divisibleby 3: one argument without parentheses.
    bool begins_argument() const {
        const Token& t = peek();
        if (t.kind == TokenKind::string || t.kind == TokenKind::integer) return true;
        if (t.kind == TokenKind::op) return t.text == "[" || t.text == "{";
        if (t.kind != TokenKind::name) return false;
        for (const std::string_view word : {"else", "or", "and", "is", "if", "in", "not"}) {
            if (t.text == word) return false;
        }
        return true;
    }
    // After "(": adds to kids and names.
    void arguments(NodePtr& out) {
        while (error.empty() && !take_op(")")) {
            std::string keyword;
            if (peek().kind == TokenKind::name && peek(1).kind == TokenKind::op &&
                peek(1).text == "=") {
                keyword = name();
                next();
            }
            out->names.push_back(keyword);
            add(out, expression());
            if (!is_op(")")) need_op(",");
        }
    }
    NodePtr postfix(NodePtr value) {
        while (error.empty()) {
            if (take_op(".")) {
                if (peek().kind == TokenKind::integer) fail("a number after a dot");
                value = node_of(Kind::attribute, name(), std::move(value));
            } else if (take_op("[")) {
                value = subscript(std::move(value));
            } else if (take_op("(")) {
                value = node_of(Kind::call, "", std::move(value));
                arguments(value);
            } else {
                break;
            }
        }
        return value;
    }
    NodePtr subscript(NodePtr value) {
        NodePtr parts[3];
        size_t n = 0;
        bool slice = false;
        while (error.empty() && !is_op("]")) {
            if (take_op(":")) {
                slice = true;
                if (++n == 3) fail("slice of more than three parts");
            } else {
                if (parts[n]) fail("] missing before " + shown());
                if (error.empty()) parts[n] = expression();
            }
        }
        need_op("]");
        if (slice) {
            return node_of(Kind::slice, "", std::move(value), std::move(parts[0]),
                           std::move(parts[1]), std::move(parts[2]));
        }
        if (!parts[0]) fail("an empty subscript");
        return node_of(Kind::item, "", std::move(value), std::move(parts[0]));
    }
    NodePtr literal(Value value) {
        NodePtr n = node(Kind::literal);
        n->value = std::move(value);
        return n;
    }
    NodePtr primary() {
        const Token t = peek();
        if (!error.empty()) return node(Kind::unsupported);
        next();
        switch (t.kind) {
            case TokenKind::string: {
                std::string text = t.text;  // neighbours are one string, as in Python
                for (; peek().kind == TokenKind::string; next()) text += peek().text;
                return literal(make(text));
            }
            case TokenKind::integer:
                if (is_op(".") && peek(1).kind == TokenKind::integer) {
                    next();
                    next();
                    return node(Kind::unsupported, "a number with a fraction");
                }
                if (t.text.size() > 18) fail("number " + t.text);
                return literal({int64_t(error.empty() ? std::stoll(t.text) : 0)});
            case TokenKind::name:
                if (t.text == "true" || t.text == "True") return literal({true});
                if (t.text == "false" || t.text == "False") return literal({false});
                if (t.text == "none" || t.text == "None") return literal({None{}});
                return node(Kind::name, t.text);
            case TokenKind::op:
                if (t.text == "(") return parenthesis();
                if (t.text == "[") return sequence("]", node(Kind::list));
                if (t.text == "{") return map_literal();
                break;
            default:
                break;
        }
        fail("expression missing before " + (t.text.empty() ? "a tag's end" : t.text));
        return node(Kind::unsupported);
    }
    NodePtr parenthesis() {
        if (take_op(")")) return node(Kind::list);
        NodePtr first = expression();
        if (!take_op(",")) {
            need_op(")");
            return first;
        }
        return sequence(")", node_of(Kind::list, "", std::move(first)));
    }
    NodePtr sequence(std::string_view close, NodePtr out) {
        while (error.empty() && !take_op(close)) {
            add(out, expression());
            if (!is_op(close)) need_op(",");
        }
        return out;
    }
    NodePtr map_literal() {
        NodePtr out = node(Kind::map);
        while (error.empty() && !take_op("}")) {
            add(out, expression());
            need_op(":");
            add(out, expression());
            if (!is_op("}")) need_op(",");
        }
        return out;
    }
};

}  // namespace

Template Template::parse(std::string_view source, std::string* error) {
    Template t;
    if (source.size() > kMaxBytes) {
        *error = "more than " + std::to_string(kMaxBytes) + " bytes";
        return t;
    }
    Lexer lexer(source);
    lexer.run();
    *error = lexer.error;
    if (!error->empty()) return t;
    Parser parser(std::move(lexer.tokens));
    NodePtr root = parser.run();
    *error = parser.error;
    if (error->empty()) t.root_ = std::move(root);
    return t;
}

}  // namespace axiom::packer::jinja
