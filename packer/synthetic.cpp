// SPDX-License-Identifier: MIT
#include "packer/synthetic.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "model/format/tokenizer_section.h"
#include "packer/file_type.h"
#include "packer/gguf_builder.h"
#include "packer/rope.h"
#include "packer/sections.h"

namespace axiom::packer {
namespace {

using format::Role;

struct Shape {
    std::string_view name;
    uint32_t n_embd, n_layer, n_head, n_head_kv, n_ff, n_vocab;
    bool tied;
    uint32_t n_ctx = 2048;
    double rope_base = 10000;
};

constexpr Shape kShapes[] = {
    {"tiny", 64, 2, 4, 2, 160, 320, false, 1024},
    {"smollm2-135m", 576, 30, 9, 3, 1536, 49152, true, 8192, 100000},
    {"tinyllama-1.1b", 2048, 22, 32, 4, 5632, 32000, false},
    {"llama2-7b", 4096, 32, 32, 32, 11008, 32000, false, 4096},
    {"llama3-8b", 4096, 32, 32, 8, 14336, 128256, false, 8192, 500000},
};

constexpr uint32_t kEndOfText = 256, kImStart = 257, kImEnd = 258, kFirstNumbered = 259;

// SplitMix64 (Steele, Lea and Flood 2014).
class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
    // Mean 0, variance 1, bell-shaped: the sum of four uniform 16-bit numbers (Irwin-Hall).
    float bell() {
        const uint64_t bits = next();
        const int sum = int(bits & 0xffff) + int(bits >> 16 & 0xffff) + int(bits >> 32 & 0xffff) +
                        int(bits >> 48);
        constexpr float kDeviation = 37837.2f;  // 65536 * sqrt(4/12)
        return (float(sum) - 2.0f * 65535.0f) / kDeviation;
    }

  private:
    uint64_t state_;
};

// The numbers that roles had when the first synthetic models were made: the same shape and seed
// give the same weights for good, wherever a role stands in the table today.
uint64_t seed_number(Role role) {
    switch (role) {
        case Role::token_embd:
            return 0;
        case Role::attn_q:
            return 3;
        case Role::attn_k:
            return 4;
        case Role::attn_v:
            return 5;
        case Role::attn_output:
            return 6;
        case Role::ffn_gate:
            return 8;
        case Role::ffn_up:
            return 9;
        case Role::ffn_down:
            return 10;
        case Role::output:
            return 12;
        default:
            return 64 + uint64_t(role);
    }
}

// Every row has its own generator, so the weights depend on neither order nor threads.
uint64_t row_seed(uint64_t seed, const PlannedTensor& tensor, uint64_t row) {
    const uint64_t which = seed_number(tensor.role) << 56 | uint64_t(tensor.layer) << 40 | row;
    return Random(seed ^ Random(which).next()).next();
}

void random_row(uint64_t seed, const PlannedTensor& tensor, uint64_t row, float* out) {
    Random random(row_seed(seed, tensor, row));
    const float deviation = float(0.5 / std::sqrt(double(tensor.n_cols)));
    for (uint64_t col = 0; col < tensor.n_cols; col++) out[col] = random.bell() * deviation;
}

void append_utf8(std::string& out, uint32_t code_point) {  // below U+0800 is all this file needs
    if (code_point < 0x80) {
        out += char(code_point);
    } else {
        out += char(0xc0 | code_point >> 6);
        out += char(0x80 | (code_point & 63));
    }
}

// GPT-2's byte alphabet: printable bytes stand for themselves, the others for U+0100 onwards.
std::vector<std::string> byte_tokens() {
    std::vector<std::string> tokens(256);
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; byte++) {
        const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
        append_utf8(tokens[byte], printable ? byte : next++);
    }
    return tokens;
}

constexpr std::string_view kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}";

// The vocabulary's keys, as a converter would have written them.
std::vector<uint8_t> vocabulary_keys(uint32_t n_vocab) {
    gguf::Builder builder;
    if (n_vocab < kFirstNumbered) return builder.string("tokenizer.ggml.model", "no_vocab").build();
    std::vector<std::string> tokens = byte_tokens();
    tokens.insert(tokens.end(), {"<|endoftext|>", "<|im_start|>", "<|im_end|>"});
    while (tokens.size() < n_vocab) tokens.push_back("<t" + std::to_string(tokens.size()) + ">");
    std::vector<int32_t> types(n_vocab, int32_t(format::TokenType::normal));
    for (const uint32_t id : {kEndOfText, kImStart, kImEnd}) {
        types[id] = int32_t(format::TokenType::control);
    }
    return builder.string("tokenizer.ggml.model", "gpt2")
        .string("tokenizer.ggml.pre", "smollm")
        .strings("tokenizer.ggml.tokens", tokens)
        .integers("tokenizer.ggml.token_type", types)
        .strings("tokenizer.ggml.merges", {})
        .u32("tokenizer.ggml.bos_token_id", kImStart)
        .u32("tokenizer.ggml.eos_token_id", kImEnd)
        .boolean("tokenizer.ggml.add_bos_token", false)
        .string("tokenizer.chat_template", kChatMl)
        .build();
}

// DIM,LAYERS,HEADS,KV_HEADS,FFN,VOCAB[,tied]
Status parse_custom(std::string_view text, Shape* shape) {
    struct Field {
        std::string_view name;
        uint32_t* value;
        uint32_t limit;
    };
    const Field fields[] = {{"DIM", &shape->n_embd, format::kMaxEmbd},
                            {"LAYERS", &shape->n_layer, format::kMaxLayers},
                            {"HEADS", &shape->n_head, format::kMaxHeads},
                            {"KV_HEADS", &shape->n_head_kv, format::kMaxHeads},
                            {"FFN", &shape->n_ff, format::kMaxFf},
                            {"VOCAB", &shape->n_vocab, format::kMaxVocab}};
    std::string_view rest = text;
    for (const Field& field : fields) {
        const size_t comma = rest.find(',');
        const std::string_view word = rest.substr(0, comma);
        uint64_t number = 0;
        if (!parse_u64(word, &number) || number < 1 || number > field.limit) {
            return error(Code::bad_option, "--synthetic ", Quoted{text}, ": ", field.name,
                         ": found ", Quoted{word}, ", allowed 1..", field.limit,
                         " (or a known shape; see --help)");
        }
        *field.value = uint32_t(number);
        rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
    shape->tied = rest == "tied";
    if (!rest.empty() && !shape->tied) {
        return error(Code::bad_option, "--synthetic ", Quoted{text}, ": found ", Quoted{rest},
                     " after VOCAB, allowed nothing or \"tied\"");
    }
    const uint32_t n_embd = shape->n_embd, n_head = shape->n_head;
    if (n_embd % 16 != 0 || n_embd % (2 * n_head) != 0 || n_embd / n_head > format::kMaxHeadDim) {
        return error(Code::bad_option, "--synthetic ", Quoted{text}, ": DIM: found ", n_embd,
                     ", allowed a multiple of 16 and of twice HEADS, up to ", format::kMaxHeadDim,
                     " times HEADS");
    }
    if (n_head % shape->n_head_kv != 0) {
        return error(Code::bad_option, "--synthetic ", Quoted{text}, ": KV_HEADS: found ",
                     shape->n_head_kv, ", allowed a divisor of HEADS, ", n_head);
    }
    return {};
}

Status find_shape(std::string_view text, Shape* shape) {
    const auto* known = std::find_if(std::begin(kShapes), std::end(kShapes),
                                     [&](const Shape& s) { return s.name == text; });
    if (known != std::end(kShapes)) {
        *shape = *known;
        return {};
    }
    *shape = Shape{text, 0, 0, 0, 0, 0, 0, false};
    return parse_custom(text, shape);
}

// The file type a GGUF of the same precision would have, so that records compare.
uint32_t file_type_of(StoredType type) {
    switch (type) {
        case StoredType::q4:
            return 2;
        case StoredType::q4m:
            return 3;
        case StoredType::q5:
            return 8;
        case StoredType::q4k:
            return 14;
        case StoredType::q5k:
            return 16;
        case StoredType::q6k:
            return 18;
        default:
            return 7;
    }
}

format::Config config_of(const Shape& shape, StoredType type) {
    format::Config c{};
    c.n_vocab = shape.n_vocab;
    c.n_embd = shape.n_embd;
    c.n_layer = shape.n_layer;
    c.n_ctx_train = shape.n_ctx;
    c.rms_eps = 1e-5f;
    c.tied_output = shape.tied;
    c.embedding_scale = c.residual_scale = c.logit_scale = c.expert_scale = 1;
    c.file_type = file_type_of(type);
    const std::string name = "synthetic " + std::string(shape.name);
    memcpy(c.name, name.data(), std::min(name.size(), sizeof c.name - 1));
    memcpy(c.architecture, "llama", 5);
    const std::string_view quantization = file_type_name(c.file_type);
    memcpy(c.quantization, quantization.data(), quantization.size());
    return c;
}

LayerConfig layer_of(const Shape& shape, uint32_t i_layer) {
    LayerConfig layer{};
    layer.n_head = shape.n_head;
    layer.n_head_kv = shape.n_head_kv;
    layer.head_dim = shape.n_embd / shape.n_head;
    layer.n_ff = shape.n_ff;
    layer.kv_layer = i_layer;
    layer.attn_scale = 1.0f / std::sqrt(float(layer.head_dim));
    layer.tensors = format::kAttentionRoles | format::kDenseRoles |
                    format::role_bit(Role::attn_norm) | format::role_bit(Role::ffn_norm);
    return layer;
}

Plan::Fill make_fill(uint64_t seed, std::vector<double> freqs) {
    return [seed, freqs = std::move(freqs)](const PlannedTensor& tensor, uint64_t begin,
                                            uint64_t end, uint8_t* out,
                                            ErrorStats* errors) -> Status {
        if (tensor.role == Role::rope_freqs) {
            memcpy(out, freqs.data(), freqs.size() * sizeof(double));
            return {};
        }
        if (!is_quantized(tensor.type)) {
            const std::vector<float> ones(tensor.n_cols, 1.0f);
            memcpy(out, ones.data(), ones.size() * sizeof(float));
            return {};
        }
        std::vector<float> rows(kGroupRows * tensor.n_cols);
        for (uint64_t group = begin; group < end; group++, out += group_bytes(tensor), errors++) {
            const uint64_t first = group * kGroupRows;
            const uint64_t n_rows = std::min<uint64_t>(kGroupRows, tensor.n_rows - first);
            for (uint64_t row = 0; row < n_rows; row++) {
                random_row(seed, tensor, first + row, rows.data() + row * tensor.n_cols);
            }
            if (Status s = store_group("synthetic", tensor, Search::none, group, rows.data(), out);
                !s.ok()) {
                return s;
            }
            measure_group(tensor, rows.data(), n_rows, out, errors);
        }
        return {};
    };
}

}  // namespace

Result<Plan> plan_synthetic(std::string_view shape_text, const ConvertOptions& options,
                            uint64_t seed) {
    Shape shape{};
    if (Status s = find_shape(shape_text, &shape); !s.ok()) return s;
    const StoredType layer_type = options.type.value_or(StoredType::q4);
    Plan plan;
    plan.source_name = "synthetic";
    plan.config = config_of(shape, layer_type);
    for (uint32_t i = 0; i < shape.n_layer; i++) plan.layers.push_back(layer_of(shape, i));
    RopeSet rope;
    const uint32_t n_dims = plan.layers[0].head_dim;
    rope.add({n_dims, 1, 0, format::kNone}, rope_frequencies(shape.rope_base, n_dims, {}, {}));
    plan.config.n_rope_tables = 1;
    plan.config.rope[0] = rope.tables[0];
    plan.tensors = tensor_list(plan.model());
    for (PlannedTensor& tensor : plan.tensors) {
        if (tensor.role != Role::rope_freqs) plan.config.n_params += tensor.n_rows * tensor.n_cols;
        if (!tensor.is_matrix()) continue;
        const bool vocabulary = tensor.role == Role::token_embd || tensor.role == Role::output;
        const StoredType type =
            vocabulary ? options.output_type.value_or(StoredType::q8) : layer_type;
        tensor.type = fitting_type(type, tensor.n_cols);
    }
    plan.config.source_bytes = plan.config.n_params * sizeof(float);

    const std::vector<uint8_t> keys = vocabulary_keys(shape.n_vocab);
    const Result<gguf::File> file = gguf::File::parse("synthetic vocabulary", keys);
    if (!file.ok()) return file.status();
    Result<std::vector<uint8_t>> tokenizer = build_tokenizer_section(file.value());
    if (!tokenizer.ok()) return tokenizer.status();
    std::string note;
    Result<std::vector<uint8_t>> chat = build_chat_section(file.value(), &note);
    if (!chat.ok()) return chat.status();
    plan.tokenizer = std::move(tokenizer.value());
    plan.chat = std::move(chat.value());
    plan.fill = make_fill(seed, rope.stored());
    return plan;
}

}  // namespace axiom::packer
