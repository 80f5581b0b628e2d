// SPDX-License-Identifier: MIT
// From GGUF bytes to a packed file: dequantizers, stored types and their errors, refusals, the
// writer.
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/weights/weights.h"
#include "packer/convert.h"
#include "packer/dequant.h"
#include "packer/files.h"
#include "packer/gguf_builder.h"
#include "packer/keep.h"
#include "packer/manifest.h"
#include "packer/progress.h"
#include "packer/requant.h"
#include "packer/synthetic.h"
#include "packer/verify.h"
#include "packer/writer.h"
#include "test/unit/catch.h"
#include "test/unit/ggml_blocks.h"
#include "test/unit/packed_file.h"
#include "test/unit/read_file.h"
#include "test/unit/tiny_gguf.h"

using namespace axiom;
using namespace axiom::packer;
using namespace axiom::test;
using gguf::TensorType;

namespace {

std::vector<uint8_t> from_hex(const std::string& hex) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < hex.size(); i += 2) {
        bytes.push_back(uint8_t(std::stoul(hex.substr(i, 2), nullptr, 16)));
    }
    return bytes;
}

BlockSource quantized(StoredType type, Search search, const float* weights) {
    BlockSource block{};
    REQUIRE(quantize_32(type, search, weights, &block, 0));
    return block;
}

float stored_value(StoredType type, const BlockSource& block, size_t i) {
    const float scale = f16_to_f32(block.scale[0]);
    const int q = block.q[0][i];
    if (type == StoredType::q4) return float(q - 8) * scale;
    if (type == StoredType::q5) return float(q - 16) * scale;
    return float(q) * scale + (type == StoredType::q4m ? f16_to_f32(block.minimum[0]) : 0.0f);
}

double squared_error(StoredType type, const BlockSource& block, const float* weights) {
    double sum = 0;
    for (size_t i = 0; i < kBlockCols; i++) {
        const double off = double(stored_value(type, block, i)) - double(weights[i]);
        sum += off * off;
    }
    return sum;
}

}  // namespace

TEST_CASE("progress that no terminal shows is whole lines, without a bar") {
    FILE* const file = tmpfile();
    REQUIRE(file != nullptr);
    Progress progress(file);
    progress.update(2000000, 2000000, "blk.0.attn_q");
    progress.finish();
    rewind(file);
    char text[256] = {};
    const size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const std::string line(text, n);
    INFO(line);
    CHECK(line.starts_with("100%  1.91 MiB"));
    CHECK(line.ends_with("  blk.0.attn_q\n"));
    CHECK(line.find_first_of("\r\033[#") == line.npos);
}

TEST_CASE("every GGUF block type gives the weights llama.cpp gives, bit for bit") {
    const nlohmann::json golden = nlohmann::json::parse(read_file("test/golden/ggml_blocks.json"));
    REQUIRE(golden["blocks"].size() == 11);
    for (const nlohmann::json& item : golden["blocks"]) {
        CAPTURE(item["type"].get<std::string>());
        const uint32_t type = item["ggml_type"].get<uint32_t>();
        REQUIRE(item["type"] == gguf::tensor_type_name(type));
        const std::vector<uint8_t> data = from_hex(item["data"].get<std::string>());
        const std::string expected = item["weights"].get<std::string>();
        std::vector<float> weights(expected.size() / 8);
        const gguf::BlockShape shape = gguf::block_shape(type);
        REQUIRE(data.size() == weights.size() / shape.n_cols * shape.n_bytes);
        dequantize(TensorType(type), data.data(), weights.size(), weights.data());
        for (size_t i = 0; i < weights.size(); i++) {
            CAPTURE(i);
            const uint32_t bits = uint32_t(std::stoul(expected.substr(8 * i, 8), nullptr, 16));
            REQUIRE(std::bit_cast<uint32_t>(weights[i]) == bits);
        }
    }
}

TEST_CASE("types with a stored twin keep every weight bit for bit, and their size within 5 %") {
    const std::pair<TensorType, StoredType> cases[] = {
        {TensorType::q4_0, StoredType::q4},  {TensorType::q4_1, StoredType::q4m},
        {TensorType::q5_0, StoredType::q5},  {TensorType::q8_0, StoredType::q8},
        {TensorType::q4_k, StoredType::q4k}, {TensorType::q5_k, StoredType::q5k},
        {TensorType::q6_k, StoredType::q6k}};
    for (const auto& [source, stored] : cases) {
        CAPTURE(gguf::tensor_type_name(uint32_t(source)));
        TinyModel model;
        model.type = source;
        model.any_half = true;
        model.n_vocab = 41;  // a row group that is not full
        const std::vector<uint8_t> bytes = model.build();
        const Packed packed(bytes, {});
        const gguf::File file = gguf::File::parse("in.gguf", bytes).value();
        const std::pair<const char*, TensorView> tensors[] = {
            {"token_embd.weight", packed.weights.token_embd},
            {"token_embd.weight", packed.weights.output},
            {"blk.0.attn_k.weight", packed.weights.layer(0)[Role::attn_k]},
            {"blk.0.ffn_down.weight", packed.weights.layer(0)[Role::ffn_down]}};
        for (const auto& [name, view] : tensors) {
            CAPTURE(name);
            const gguf::Tensor& tensor = *file.tensor(name);
            const size_t row_bytes = tensor.data.size() / tensor.n_rows;
            REQUIRE(view.type == stored);
            REQUIRE(view.n_rows == tensor.n_rows);
            std::vector<float> found(tensor.n_cols);
            for (size_t row = 0; row < tensor.n_rows; row++) {
                dequantize_row(stored, view.data, tensor.n_cols, row, found.data());
                for (size_t col = 0; col < tensor.n_cols; col++) {
                    CAPTURE(row, col);
                    const uint8_t* const blocks = tensor.data.data() + row * row_bytes;
                    const float expected = plain_weight(source, blocks, col);
                    if (found[col] != expected) REQUIRE(found[col] == expected);
                }
            }
            CHECK(double(view.bytes) <=
                  1.05 * double(round_up(tensor.n_rows, kGroupRows) * row_bytes));
        }
        for (const format::TensorEntry& entry : packed.weights.entries) {
            CHECK(entry.max_error == 0.0f);
            CHECK(entry.rms_error == 0.0f);
        }
        CHECK(verify("out.axm", packed.file.bytes()).text() == "");
    }
}

TEST_CASE("rows that pad a matrix to sixteen are zero weights, copied or quantized") {
    for (const StoredType type : kQuantizedTypes) {
        CAPTURE(stored_type_name(type));
        for (const TensorType source :
             {TensorType::f32, TensorType::q4_0, TensorType::q4_1, TensorType::q5_0,
              TensorType::q8_0, TensorType::q4_k, TensorType::q5_k, TensorType::q6_k}) {
            if (source != TensorType::f32 && natural_type(source) != type) continue;
            TinyModel model;
            model.type = source;
            model.n_vocab = 33;
            ConvertOptions options;
            options.output_type = type;
            const Packed packed(model.build(), options);
            const TensorView& view = packed.weights.token_embd;
            REQUIRE(view.type == type);
            std::vector<float> row(view.n_cols);
            for (size_t i = 33; i < 48; i++) {
                dequantize_row(view.type, view.data, view.n_cols, i, row.data());
                CHECK(row == std::vector<float>(view.n_cols, 0.0f));
            }
        }
    }
}

TEST_CASE("the K formats quantize within the steps of their ranges and their shared scales") {
    for (const StoredType type : {StoredType::q4k, StoredType::q5k, StoredType::q6k}) {
        CAPTURE(stored_type_name(type));
        constexpr size_t kCols = kSuperBlocks * kBlockCols;
        Draw draw(4);
        for (int turn = 0; turn < 50; turn++) {
            float w[kCols];
            for (size_t i = 0; i < kCols; i++) {
                const float magnitude = std::ldexp(1.0f, int(i / 16 * 7 % 5));  // by sub-block
                w[i] = draw.uniform() * magnitude + (turn % 3 == 0 ? 0.5f : 0.0f);
            }
            BlockSource blocks[kSuperBlocks] = {};
            SuperScales super{};
            const size_t row = size_t(turn) % kGroupRows;
            REQUIRE(quantize_256(type, w, blocks, &super, row));
            std::vector<uint8_t> group(group_bytes(type, kSuperBlocks));
            pack_super_scales(type, super, group.data());
            for (size_t b = 0; b < kSuperBlocks; b++)
                pack_block(type, blocks[b], group.data() + block_offset(type, b));
            float found[kCols];
            dequantize_row(type, group.data(), kCols, row, found);

            // A sub-block's scale is off by half a d, or by d's own rounding where it is clamped;
            // the top level of q moves that many times over. The minimum likewise, once.
            const double d = double(f16_to_f32(super.d[row]));
            const double dmin = double(f16_to_f32(super.dmin[row]));
            for (size_t i = 0; i < kCols; i++) {
                const BlockSource& block = blocks[i / kBlockCols];
                double bound;
                if (type == StoredType::q6k) {
                    const double step = std::fabs(d * block.small[i % 32 / 16][row]);
                    // Level 32 is missing on one side: a whole step instead of half of one.
                    bound = step + 32 * (d / 2 + (step + d) * 0x1p-10);
                } else {
                    const double step = d * block.small[0][row],
                                 top = type == StoredType::q4k ? 15 : 31;
                    const double minimum = dmin * block.small[1][row];
                    bound = step / 2 + top * (d / 2 + (step + d) * 0x1p-10) + dmin / 2 +
                            (minimum + dmin) * 0x1p-10;
                }
                CAPTURE(turn, i, w[i], found[i]);
                REQUIRE(std::fabs(double(found[i]) - double(w[i])) <= bound + 1e-5);
            }
        }
        const float zeros[kCols] = {};
        float some[kCols] = {};
        BlockSource blocks[kSuperBlocks] = {};
        SuperScales super{};
        REQUIRE(quantize_256(type, zeros, blocks, &super, 3));
        CHECK(super.d[3] == 0);
        CHECK(super.dmin[3] == 0);
        some[200] = 1e10f;
        CHECK_FALSE(quantize_256(type, some, blocks, &super, 3));
        some[200] = 1e-9f;  // the smallest d is no zero
        REQUIRE(quantize_256(type, some, blocks, &super, 3));
        CHECK(super.d[3] == 1);
    }
}

TEST_CASE("a K format asked for columns that are not a multiple of 256 gives way to q5 or q8") {
    TinyModel model;
    model.n_embd = 192;
    model.n_ff = 512;
    ConvertOptions options;
    for (const auto& [asked, given] :
         {std::pair(StoredType::q4k, StoredType::q5), std::pair(StoredType::q5k, StoredType::q5),
          std::pair(StoredType::q6k, StoredType::q8)}) {
        options.type = options.output_type = asked;
        const Packed packed(model.build(), options);
        CHECK(packed.weights.token_embd.type == given);
        CHECK(packed.weights.layer(0)[Role::attn_q].type == given);
        CHECK(packed.weights.layer(0)[Role::ffn_down].type == asked);  // [192, 512]
        CHECK(verify("out.axm", packed.file.bytes()).text() == "");
    }
}

TEST_CASE("verify finds a scale that is not finite in a block and in a super-block") {
    for (const StoredType type : kQuantizedTypes) {
        CAPTURE(stored_type_name(type));
        TinyModel model;
        ConvertOptions options;
        options.type = type;
        Packed packed(model.build(), options);
        const format::TensorEntry& entry = packed.entry("blk.0.ffn_down.weight");
        const format::Extent& extent = packed.weights.layout.extents[entry.extent];
        const uint64_t at =
            extent.offset + entry.offset + group_bytes(type, kSuperBlocks) +
            (is_k_quant(type) ? 30
                              : block_bytes(type) - 2);  // last scale of a super-block, or block
        const PackedFile bad(packed.file.bytes());
        bad.data()[at] = 0;
        bad.data()[at + 1] = 0x7c;
        bad.seal(Seal::digests);
        const std::string text(verify("bad.axm", bad.span()).text());
        CAPTURE(text, at);
        CHECK(text.find("bad.axm: blk.0.ffn_down.weight scale at offset 0x") == 0);
        CHECK(text.find("found 0x7c00, not a finite number") != std::string::npos);
    }
}

TEST_CASE("q8 quantization errs by at most half its scale, and the scale is as small as promised") {
    Draw draw(1);
    for (int block = 0; block < 400; block++) {
        float w[kBlockCols];
        // Magnitudes from far below binary16's smallest scale to near its largest.
        const float magnitude = std::ldexp(1.0f, block % 50 - 28);
        for (float& value : w) value = draw.uniform() * magnitude;
        float largest = 0;
        for (const float value : w) largest = std::max(largest, std::fabs(value));
        const BlockSource source = quantized(StoredType::q8, Search::none, w);
        const double scale = double(f16_to_f32(source.scale[0]));
        CAPTURE(block, largest, scale);
        REQUIRE(scale <= double(largest) / 127 * (1 + 0x1p-11) + 0x1p-24);
        for (size_t i = 0; i < kBlockCols; i++) {
            const double off =
                std::fabs(double(stored_value(StoredType::q8, source, i)) - double(w[i]));
            // The quotient w / scale is itself rounded to binary32.
            REQUIRE(off <= scale / 2 + double(largest) * 0x1p-23);
        }
    }
}

TEST_CASE(
    "q4m from the block's range errs by at most half a step plus the rounding of its fields") {
    Draw draw(2);
    for (int block = 0; block < 400; block++) {
        float w[kBlockCols];
        const float magnitude = std::ldexp(1.0f, block % 24 - 10);
        const float offset = draw.uniform() * magnitude;
        for (float& value : w) value = draw.uniform() * magnitude + offset;
        const auto [low, high] = std::minmax_element(w, w + kBlockCols);
        const BlockSource source = quantized(StoredType::q4m, Search::none, w);
        const double scale = double(f16_to_f32(source.scale[0]));
        const double range = double(*high) - double(*low);
        // Rounding the minimum moves every level, rounding the scale moves level 15 most; both can
        // only put an end of the range that far beyond the last level.
        const double fields = std::fabs(double(*low)) * 0x1p-11 + range * 0x1p-11 + 16 * 0x1p-25;
        for (size_t i = 0; i < kBlockCols; i++) {
            const double off =
                std::fabs(double(stored_value(StoredType::q4m, source, i)) - double(w[i]));
            CAPTURE(block, i, scale, range);
            REQUIRE(off <= scale / 2 + fields + (std::fabs(double(*low)) + range) * 0x1p-22);
        }
    }
}

TEST_CASE("searching for a scale never makes a block worse and on average makes it better") {
    for (const StoredType type : {StoredType::q4, StoredType::q4m, StoredType::q5}) {
        Draw draw(3);
        double plain = 0, searched = 0;
        for (int block = 0; block < 300; block++) {
            float w[kBlockCols];
            for (float& value : w) value = draw.uniform() + draw.uniform() + draw.uniform();
            const double before = squared_error(type, quantized(type, Search::none, w), w);
            const double after = squared_error(type, quantized(type, Search::rms, w), w);
            REQUIRE(after <= before * (1 + 1e-5));  // sums of 32 squares in binary32
            plain += before;
            searched += after;
        }
        CHECK(searched < 0.95 * plain);
    }
}

TEST_CASE(
    "a block of zeros is stored as zeros, and weights too large for binary16 scales are refused") {
    for (const StoredType type :
         {StoredType::q4, StoredType::q4m, StoredType::q5, StoredType::q8}) {
        CAPTURE(stored_type_name(type));
        const float zeros[kBlockCols] = {};
        const BlockSource block = quantized(type, Search::rms, zeros);
        for (size_t i = 0; i < kBlockCols; i++) CHECK(stored_value(type, block, i) == 0.0f);
        float huge[kBlockCols] = {};
        huge[5] = 1e7f;
        BlockSource unused{};
        CHECK_FALSE(quantize_32(type, Search::rms, huge, &unused, 0));
        float tiny[kBlockCols] = {};
        tiny[3] = 1e-6f;
        // The smallest scale is 2^-24, and 15 of those are 0.89e-6.
        const double found = double(stored_value(type, quantized(type, Search::none, tiny), 3));
        CHECK(std::fabs(found - 1e-6) < 1.1e-7);
    }
}

TEST_CASE("types without a stored twin become q8 with the measured error in the table") {
    for (const TensorType type :
         {TensorType::f32, TensorType::f16, TensorType::bf16, TensorType::q5_1}) {
        CAPTURE(gguf::tensor_type_name(uint32_t(type)));
        TinyModel model;
        model.type = type;
        const std::vector<uint8_t> bytes = model.build();
        const Packed packed(bytes, {});
        const gguf::File file = gguf::File::parse("in.gguf", bytes).value();
        const gguf::Tensor& tensor = *file.tensor("blk.0.ffn_down.weight");
        const TensorView view = packed.weights.layer(0)[Role::ffn_down];
        REQUIRE(view.type == StoredType::q8);
        double largest = 0, sum = 0;
        for (size_t row = 0; row < tensor.n_rows; row++) {
            std::vector<float> expected(tensor.n_cols), found(tensor.n_cols);
            dequantize(type, tensor.data.data() + row * (tensor.data.size() / tensor.n_rows),
                       tensor.n_cols, expected.data());
            dequantize_row(view.type, view.data, tensor.n_cols, row, found.data());
            for (size_t col = 0; col < tensor.n_cols; col++) {
                const double off = double(found[col]) - double(expected[col]);
                largest = std::max(largest, std::fabs(off));
                sum += off * off;
            }
        }
        const format::TensorEntry& entry = packed.entry("blk.0.ffn_down.weight");
        CHECK(entry.source_type == uint32_t(type));
        CHECK(largest > 0);
        CHECK(entry.max_error == float(largest));
        const double rms = std::sqrt(sum / double(tensor.n_rows * tensor.n_cols));
        CHECK(double(entry.rms_error) == Approx(rms).epsilon(1e-6));  // summed in another order
    }
}

TEST_CASE("--type forces the layers' matrices and --output-type the vocabulary's") {
    TinyModel model;
    model.tied = false;
    ConvertOptions options;
    options.type = StoredType::q4;
    const Packed packed(model.build(), options);
    CHECK(packed.weights.layer(0)[Role::attn_q].type == StoredType::q4);
    CHECK(packed.weights.layer(0)[Role::ffn_down].type == StoredType::q4);
    CHECK(packed.weights.layer(0)[Role::attn_norm].type == StoredType::f32);
    CHECK(packed.weights.token_embd.type == StoredType::q8);
    CHECK(packed.weights.output.type == StoredType::q8);
    options.output_type = StoredType::q4m;
    const Packed both(model.build(), options);
    CHECK(both.weights.token_embd.type == StoredType::q4m);
    CHECK(both.weights.output.type == StoredType::q4m);
}

TEST_CASE("the configuration comes from the keys") {
    TinyModel model;
    model.tied = false;
    const std::vector<uint8_t> bytes = model.build();
    const Packed packed(bytes, {});
    const format::Config& c = *packed.weights.source;
    const LayerConfig& layer = packed.weights.config.layer(0);
    CHECK(c.n_vocab == 40);
    CHECK(c.n_embd == 256);
    CHECK(c.n_layer == 1);
    CHECK(layer.n_head == 4);
    CHECK(layer.n_head_kv == 2);
    CHECK(layer.head_dim == 64);
    CHECK(layer.rope == 0);
    CHECK(c.n_rope_tables == 1);
    CHECK(c.rope[0].n_dims == 64);
    CHECK(c.rope[0].magnitude == 1.0f);
    CHECK(c.rope[0].max_ctx == 0);
    CHECK(c.rope[0].longer == format::kNone);
    CHECK(layer.n_ff == 512);
    CHECK(layer.n_expert == 0);
    CHECK(layer.n_ff_expert == 0);
    CHECK(layer.activation == format::Activation::silu);
    CHECK(layer.window == 0);
    CHECK(layer.kv_layer == 0);
    CHECK(layer.norm_whole_qk == 0);
    CHECK(layer.attn_scale == 0.125f);
    CHECK(layer.attn_softcap == 0);
    CHECK(c.embedding_scale == 1);
    CHECK(c.residual_scale == 1);
    CHECK(c.logit_scale == 1);
    CHECK(c.final_softcap == 0);
    CHECK(c.n_expert_used == 0);
    CHECK(c.file_type == 3);
    CHECK(std::string(c.architecture) == "llama");
    CHECK(c.n_ctx_train == 128);
    CHECK(c.rms_eps == 1e-6f);
    CHECK(c.tied_output == 0);
    CHECK(std::string(c.name) == "tiny test");
    CHECK(std::string(c.quantization) == "Q4_1");
    // embedding and output, q and output, k and v, three of the feed-forward, three norms
    const uint64_t n_params =
        2 * 40 * 256 + 2 * 256 * 256 + 2 * 128 * 256 + 3 * 512 * 256 + 3 * 256;
    CHECK(c.n_params == n_params);
    CHECK(c.source_bytes == n_params * 4);
    const Packed tied(TinyModel().build(), {});
    CHECK(tied.weights.source->tied_output == 1);
    CHECK(tied.weights.output.data == tied.weights.token_embd.data);
}

TEST_CASE("rotary frequencies follow base, linear factor and Llama 3's factors") {
    const auto frequency = [](const Packed& packed, size_t i) {
        return packed.weights.rope_freqs.f64()[i];
    };
    const double base = 500, rope_dim = 64;
    const Packed plain(TinyModel().build(), {});
    for (size_t i = 0; i < 32; i++) {
        CHECK(frequency(plain, i) ==
              Approx(std::pow(base, -2.0 * double(i) / rope_dim)).epsilon(1e-14));
    }
    TinyModel linear;
    linear.scaling_type = "linear";
    linear.scaling_factor = 4;
    CHECK(frequency(Packed(linear.build(), {}), 0) == 0.25);
    TinyModel none = linear;
    none.scaling_type = "none";
    CHECK(frequency(Packed(none.build(), {}), 0) == 1.0);
    TinyModel factors;
    factors.extra = [](gguf::Builder& b) {
        std::vector<uint8_t> data(32 * sizeof(float));
        for (size_t i = 0; i < 32; i++) {
            const float factor = float(i + 1);
            memcpy(data.data() + i * sizeof factor, &factor, sizeof factor);
        }
        const uint64_t dims[] = {32};
        b.tensor("rope_freqs.weight", TensorType::f32, dims, data);
    };
    const Packed scaled(factors.build(), {});
    for (size_t i = 0; i < 32; i++) {
        CHECK(frequency(scaled, i) * double(i + 1) == Approx(frequency(plain, i)).epsilon(1e-14));
    }
}

TEST_CASE("models we do not compute are refused by name") {
    TinyModel model;
    model.architecture = "mamba";
    refuses(model, {"general.architecture", "\"mamba\"", "allowed llama, smollm3, qwen2"});
    model = {};
    model.architecture = "qwen2";
    model.n_experts = 8;
    refuses(model, {"qwen2.expert_count", "8 (mixture of experts)"});
    model = {};
    model.scaling_type = "dynamic";
    refuses(model, {"llama.rope.scaling.type", "\"dynamic\"",
                    "allowed \"none\", \"linear\", \"yarn\" or \"longrope\""});
    model = {};
    model.extra = [](gguf::Builder& b) {
        const uint64_t dims[] = {256};
        b.tensor("blk.0.attn_norm.bias", TensorType::f32, dims, std::vector<uint8_t>(1024));
    };
    refuses(model, {"tensor \"blk.0.attn_norm.bias\"", "a bias"});
    model = {};
    model.extra = [](gguf::Builder& b) { b.u32("llama.attention.value_length", 32); };
    refuses(model, {"llama.attention.value_length", "found 32", "key_length, 64"});
}

TEST_CASE("keys and shapes that contradict each other are refused") {
    TinyModel model;
    model.n_head_kv = 3;
    refuses(model, {"llama.attention.head_count_kv", "found 3", "a divisor of head_count 4"});
    // head_count 0 must be refused before anything is divided by it.
    gguf::Builder b;
    b.string("general.architecture", "llama").u32("llama.block_count", 1);
    b.u32("llama.context_length", 1).u32("llama.embedding_length", 64);
    b.f32("llama.attention.layer_norm_rms_epsilon", 1e-6f);
    b.u32("llama.feed_forward_length", 64).u32("llama.attention.head_count", 0);
    const uint64_t embedding[] = {64, 2};
    b.tensor("token_embd.weight", TensorType::f32, embedding, std::vector<uint8_t>(512));
    const std::vector<uint8_t> bytes = b.build();
    const gguf::File no_heads = gguf::File::parse("in.gguf", bytes).value();
    const Result<Plan> plan = plan_from_gguf(no_heads, {});
    REQUIRE_FALSE(plan.ok());
    CHECK(plan.status().text().find("llama.attention.head_count\"") != std::string_view::npos);
    CHECK(plan.status().text().find("found 0, allowed 1..1024") != std::string_view::npos);

    for (const std::string name :
         {"token_embd.weight", "blk.0.ffn_up.weight", "output_norm.weight"}) {
        model = {};
        model.left_out = name;
        refuses(model, {"tensor \"" + name + "\" is missing"});
    }
    for (const std::string name : {"blk.0.attn_k.weight", "blk.0.ffn_down.weight"}) {
        model = {};
        model.misshapen = name;
        refuses(model, {"tensor \"" + name + "\" shape at offset", "by the keys"});
    }
    model = {};
    model.extra = [](gguf::Builder& x) { x.u32("llama.rope.dimension_count", 66); };
    refuses(model, {"llama.rope.dimension_count", "found 66", "the head's 64"});
}

TEST_CASE("a tokenizer whose tokens are not the embedding's rows is refused") {
    TinyModel model;
    model.n_tokens = model.n_vocab - 1;
    refuses(model, {"tensor \"token_embd.weight\" rows at offset", "found 40", "allowed 39"});
}

TEST_CASE("a weight that is not finite is refused with its place, and no file is left") {
    TinyModel model;
    model.poisoned = "blk.0.ffn_gate.weight";
    const std::vector<uint8_t> bytes = model.build();
    const gguf::File file = gguf::File::parse("in.gguf", bytes).value();
    const Result<Plan> plan = plan_from_gguf(file, {});
    REQUIRE(plan.ok());
    const TemporaryFolder folder;
    WriteOptions options;
    options.n_threads = 3;
    const Status status = write_packed(plan.value(), folder.file("out.axm"), options, nullptr);
    REQUIRE_FALSE(status.ok());
    const std::string text(status.text());
    CHECK(
        text.find(
            "in.gguf: tensor \"blk.0.ffn_gate.weight\" element 37 (row 0, column 37): found nan") ==
        0);
    CHECK(folder.n_files() == 0);
}

TEST_CASE("a pack that fails or is stopped leaves an existing file as it was") {
    const Result<Plan> plan = plan_synthetic("tiny", {}, 1);
    REQUIRE(plan.ok());
    const TemporaryFolder folder;
    const std::string path = folder.file("out.axm");
    std::ofstream(path) << "precious";
    const std::atomic<bool> stop{true};
    WriteOptions options;
    options.stop = &stop;
    const Status status = write_packed(plan.value(), path, options, nullptr);
    CHECK(status.code() == Code::interrupted);
    CHECK(read_file(path) == "precious");
    CHECK(folder.n_files() == 1);
    const Status nowhere = write_packed(plan.value(), folder.file("no/such/out.axm"), {}, nullptr);
    CHECK_FALSE(nowhere.ok());
    CHECK(folder.n_files() == 1);
    REQUIRE(write_packed(plan.value(), path, {}, nullptr).ok());
    CHECK(read_file(path) != "precious");
    CHECK(folder.n_files() == 1);
}

TEST_CASE("a synthetic model is the same for the same seed, whatever the number of threads") {
    const TemporaryFolder folder;
    const auto pack = [&](uint64_t seed, unsigned n_threads, StoredType type) {
        ConvertOptions types;
        types.type = type;
        types.output_type = type;
        const Result<Plan> plan = plan_synthetic("256,2,4,2,512,300,tied", types, seed);
        REQUIRE(plan.ok());
        for (const PlannedTensor& tensor : plan.value().tensors)
            CHECK((!tensor.is_matrix() || tensor.type == type));
        WriteOptions options;
        options.n_threads = n_threads;
        REQUIRE(write_packed(plan.value(), folder.file("x.axm"), options, nullptr).ok());
        return read_file(folder.file("x.axm"));
    };
    for (const StoredType type : kQuantizedTypes) {
        const std::string one = pack(5, 1, type);
        CHECK(one == pack(5, 1, type));
        CHECK(one == pack(5, 7, type));
        CHECK(one != pack(6, 1, type));
    }
}

TEST_CASE("synthetic weights have mean 0 and deviation 0.5/sqrt(columns), and norms are 1") {
    ConvertOptions types;
    types.type = StoredType::q8;
    const Result<Plan> plan = plan_synthetic("tiny", types, 9);
    REQUIRE(plan.ok());
    const Packed packed(plan.value());
    const TensorView view = packed.weights.layer(1)[Role::ffn_gate];  // [160, 64]
    double sum = 0, squares = 0;
    std::vector<float> row(view.n_cols);
    for (size_t i = 0; i < view.n_rows; i++) {
        dequantize_row(view.type, view.data, view.n_cols, i, row.data());
        for (const float w : row) {
            sum += double(w);
            squares += double(w) * double(w);
        }
    }
    const double n = double(view.n_rows * view.n_cols), deviation = 0.5 / 8;
    // The mean of n draws deviates by deviation/sqrt(n), their variance by sqrt(2/n) of itself;
    // five times that.
    CHECK(std::fabs(sum / n) < 5 * deviation / std::sqrt(n));
    CHECK(squares / n == Approx(deviation * deviation).epsilon(5 * std::sqrt(2 / n)));
    for (size_t i = 0; i < 64; i++)
        CHECK(packed.weights.layer(0)[Role::attn_norm].f32()[i] == 1.0f);
    CHECK(verify("out.axm", packed.file.bytes()).text() == "");
}

TEST_CASE("the SmolLM2 shape in q4 has the size its matrices say") {
    const Result<Plan> plan = plan_synthetic("smollm2-135m", {}, 1);
    REQUIRE(plan.ok());
    const Layout layout = lay_out(plan.value());
    const auto paged = [](uint64_t bytes) { return round_up(bytes, 4096); };
    const uint64_t matrices = 2 * 576 * 576 + 2 * 192 * 576 + 3 * 1536 * 576;  // weights of a layer
    const uint64_t layer = matrices * 288 / 512 + 2 * 576 * 4;
    const uint64_t embedding = uint64_t{49152} * 576 * 544 / 512 + 32 * 8;
    // Pieces of 1 MiB: two of each layer (1,995,264 bytes), 29 of the embedding, one of the others.
    const uint64_t head = 128 + 36 * 32 + (30 * 2 + 29 + 5) * 40, config = 320 + 30 * 128;
    const uint64_t expected = paged(head) + paged(config) + paged(plan.value().tokenizer.size()) +
                              paged(plan.value().chat.size()) + paged(273 * 64) + paged(embedding) +
                              30 * paged(layer) + paged(576 * 4);
    CHECK(layout.file_bytes == expected);
    CHECK(layout.entries.size() == 273);
}

TEST_CASE("bad synthetic shapes are refused with the part that is wrong") {
    const std::pair<const char*, const char*> cases[] = {
        {"smollm3", "DIM: found \"smollm3\""},
        {"64,2,4", "KV_HEADS: found \"\""},
        {"64,2,4,2,0,300", "FFN: found \"0\""},
        {"64,2,4,3,160,300", "KV_HEADS: found 3"},
        {"72,2,4,2,160,300", "DIM: found 72"},
        {"64,2,4,2,160,300,x", "found \"x\" after VOCAB"},
        {"64,9999,4,2,160,300", "LAYERS: found \"9999\""},
        {"", "DIM: found \"\""}};
    for (const auto& [shape, part] : cases) {
        const Result<Plan> plan = plan_synthetic(shape, {}, 1);
        CAPTURE(shape, std::string(plan.status().text()));
        REQUIRE_FALSE(plan.ok());
        CHECK(plan.status().code() == Code::bad_option);
        CHECK(plan.status().text().find(part) != std::string_view::npos);
    }
}

TEST_CASE("verification finds a flipped bit, dirty padding and a scale that is not finite") {
    const Result<Plan> plan = plan_synthetic("tiny", {}, 1);
    REQUIRE(plan.ok());
    const Packed packed(plan.value());
    const std::span<const uint8_t> whole = packed.file.bytes();
    CHECK(verify("x.axm", PackedFile(whole).span()).ok());
    for (const format::Extent& extent : packed.weights.layout.extents) {
        const PackedFile damaged(whole);
        damaged.data()[extent.offset + extent.bytes / 2] ^= 4;
        CHECK_FALSE(verify("x.axm", damaged.span()).ok());
    }
    const PackedFile padding(whole);
    const format::Extent& config = packed.weights.layout.extents[0];
    padding.data()[config.offset + config.bytes + 7] = 1;
    const std::string text(verify("x.axm", padding.span()).text());
    CHECK(text.find("x.axm: padding at offset 0x1247: found 1, allowed 0") == 0);
}

TEST_CASE("the manifest lists every tensor with types, place and error") {
    TinyModel model;
    const Packed packed(model.build(), {});
    const nlohmann::ordered_json json = manifest(packed.weights);
    CHECK(json["file_bytes"] == packed.file.bytes().size());
    CHECK(json["config"]["n_embd"] == 256);
    CHECK(json["tokenizer"]["kind"] == "none");
    CHECK(json["chat"]["kind"] == "none");
    REQUIRE(json["tensors"].size() == 2 + 9 + 1);
    const auto& item = json["tensors"][3];
    CHECK(item["name"] == "blk.0.attn_q.weight");
    CHECK(item["source_type"] == "F32");
    CHECK(item["type"] == "q8");
    CHECK(item["bytes"] == 256 * 256 * 544 / 512);
    CHECK(item["extent"] == 5);
    CHECK(item["max_error"].get<double>() > 0);
    CHECK(item["rms_error"].get<double>() < item["max_error"].get<double>());
    CHECK(describe(packed.weights).find("blk.0.attn_q.weight") != std::string::npos);
    uint64_t n_tensors = 0, n_weights = 0;
    for (const nlohmann::ordered_json& type : json["types"]) {
        n_tensors += type["n_tensors"].get<uint64_t>();
        n_weights += type["n_weights"].get<uint64_t>();
        CHECK(type["bits_per_weight"] ==
              8 * type["bytes"].get<double>() / type["n_weights"].get<double>());
    }
    CHECK(n_tensors + 1 == json["tensors"].size());  // all but rope_freqs
    CHECK(n_weights == packed.weights.source->n_params);
}
