// SPDX-License-Identifier: MIT
// What a stored configuration may say: every field at its limits, one beyond them, and against the
// fields it must agree with.
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "model/format/tensor_table.h"
#include "model/weights/weights.h"
#include "test/unit/catch.h"

using namespace axiom;
using namespace axiom::format;

namespace {

constexpr uint64_t kBase = 0x3000;  // of the configuration in the file

// A model with everything a configuration can say: a dense layer of global attention over a pair
// of longrope tables, a layer of four experts with a window and a table of its own, and a dense
// one without rotary positions.
struct Model {
    Config config{};
    LayerConfig layers[3]{};

    Model() {
        config.n_vocab = 320;
        config.n_embd = 64;
        config.n_layer = 3;
        config.n_ctx_train = 8192;
        config.n_rope_tables = 3;
        config.rms_eps = 1e-6f;
        config.embedding_scale = config.residual_scale = config.logit_scale = 1;
        config.final_softcap = 30;
        config.n_expert_used = 2;
        config.expert_scale = 1;
        config.rope[0] = {16, 1.2f, 4096, 1};
        config.rope[1] = {16, 1.2f, 0, kNone};
        config.rope[2] = {8, 1, 0, kNone};
        for (uint32_t i = 0; i < 3; i++) {
            LayerConfig& l = layers[i];
            l.n_head = 8;
            l.n_head_kv = 4;
            l.head_dim = 16;
            l.n_ff = 96;
            l.rope = 0;
            l.kv_layer = i;
            l.attn_scale = 0.25f;
            l.attn_softcap = 50;
            l.tensors = kAttentionRoles | kDenseRoles | role_bit(Role::attn_norm);
        }
        LayerConfig& experts = layers[1];
        experts.n_ff = 0;
        experts.n_ff_expert = 32;
        experts.n_expert = 4;
        experts.rope = 2;
        experts.window = 1024;
        experts.tensors = kAttentionRoles | kExpertRoles;
        layers[2].rope = kNone;
    }
    Status check() const { return check_config("f.axm", kBase, config, layers); }
    std::string text() const { return std::string(check().text()); }
    uint64_t offset(const void* field) const {
        const auto at = static_cast<const char*>(field);
        const auto in_layers = at - reinterpret_cast<const char*>(layers);
        if (in_layers >= 0 && in_layers < ptrdiff_t(sizeof layers))
            return kBase + sizeof config + uint64_t(in_layers);
        return kBase + uint64_t(at - reinterpret_cast<const char*>(&config));
    }
};

// The whole message about a field.
std::string refusal(const Model& m, const std::string& field, const void* at,
                    const std::string& rest) {
    return "f.axm: " + field + " at offset " + std::string(Text<24>(Hex{m.offset(at)}).view()) +
           ": found " + rest;
}

std::string number(float value) {
    return std::string(Text<64>(Fixed{double(value), 9}).view());
}

}  // namespace

TEST_CASE("a configuration that says everything it can is accepted") {
    const Model m;
    CHECK(m.text() == "");
    CHECK(m.check().ok());
}

TEST_CASE("each whole number of a configuration is refused one beyond its limits, and no sooner") {
    struct Field {
        std::string name;
        std::function<uint32_t*(Model&)> at;
        uint64_t low, high;
        std::string allowed;
    };
    const auto of_layer = [](uint32_t LayerConfig::*field, size_t i) {
        return [=](Model& m) { return &(m.layers[i].*field); };
    };
    const auto of_config = [](uint32_t Config::*field) {
        return [=](Model& m) { return &(m.config.*field); };
    };
    const Field fields[] = {
        {"config.n_vocab", of_config(&Config::n_vocab), 1, 2097152, "1..2097152"},
        {"config.n_embd", of_config(&Config::n_embd), 1, 65536, "1..65536"},
        {"config.n_layer", of_config(&Config::n_layer), 1, 1024, "1..1024"},
        {"config.n_ctx_train", of_config(&Config::n_ctx_train), 1, 16777216, "1..16777216"},
        {"config.n_rope_tables", of_config(&Config::n_rope_tables), 0, 4, "0..4"},
        {"config.tied_output", of_config(&Config::tied_output), 0, 1, "0..1"},
        {"config.n_expert_used", of_config(&Config::n_expert_used), 0, 32, "0..32"},
        {"config.expert_gating",
         [](Model& m) { return reinterpret_cast<uint32_t*>(&m.config.expert_gating); }, 0, 1,
         "0..1"},
        {"config.expert_normalize", of_config(&Config::expert_normalize), 0, 1, "0..1"},
        {"config.rope[0].n_dims", [](Model& m) { return &m.config.rope[0].n_dims; }, 2, 1024,
         "2..1024"},
        {"config.rope[2].n_dims", [](Model& m) { return &m.config.rope[2].n_dims; }, 2, 1024,
         "2..1024"},
        {"config.layer[2].kind",
         [](Model& m) { return reinterpret_cast<uint32_t*>(&m.layers[2].kind); }, 0, 0, "0..0"},
        {"config.layer[0].n_head", of_layer(&LayerConfig::n_head, 0), 1, 1024, "1..1024"},
        {"config.layer[2].n_head_kv", of_layer(&LayerConfig::n_head_kv, 2), 1, 8, "1..8"},
        {"config.layer[1].head_dim", of_layer(&LayerConfig::head_dim, 1), 2, 1024, "2..1024"},
        {"config.layer[0].n_ff", of_layer(&LayerConfig::n_ff, 0), 0, 1048576, "0..1048576"},
        {"config.layer[1].n_ff_expert", of_layer(&LayerConfig::n_ff_expert, 1), 0, 1048576,
         "0..1048576"},
        {"config.layer[1].n_expert", of_layer(&LayerConfig::n_expert, 1), 0, 1024, "0..1024"},
        {"config.layer[1].activation",
         [](Model& m) { return reinterpret_cast<uint32_t*>(&m.layers[1].activation); }, 0, 1,
         "0..1"},
        {"config.layer[1].window", of_layer(&LayerConfig::window, 1), 0, 16777216, "0..16777216"},
        {"config.layer[1].norm_whole_qk", of_layer(&LayerConfig::norm_whole_qk, 1), 0, 1, "0..1"},
    };
    for (const Field& field : fields) {
        const auto with = [&](uint64_t value) {
            Model m;
            *field.at(m) = uint32_t(value);
            INFO(field.name << " = " << value);
            const std::string text = m.text();
            const bool in_range = value >= field.low && value <= field.high;
            const std::string expected = refusal(
                m, field.name, field.at(m), std::to_string(value) + ", allowed " + field.allowed);
            CHECK((text == expected) == !in_range);
            if (!in_range) CHECK(text == expected);
        };
        with(field.low);
        with(field.high);
        with(field.high + 1);
        with(0xffffffff);
        if (field.low > 0) with(field.low - 1);
    }
}

TEST_CASE("each number of a configuration is refused outside its range, and where it is none") {
    struct Field {
        std::string name;
        std::function<float*(Model&)> at;
        double low, high;
    };
    const auto of_config = [](float Config::*field) {
        return [=](Model& m) { return &(m.config.*field); };
    };
    constexpr double kLargest = 1e9;
    const Field fields[] = {
        {"config.embedding_scale", of_config(&Config::embedding_scale), -kLargest, kLargest},
        {"config.residual_scale", of_config(&Config::residual_scale), -kLargest, kLargest},
        {"config.logit_scale", of_config(&Config::logit_scale), -kLargest, kLargest},
        {"config.final_softcap", of_config(&Config::final_softcap), 0, kLargest},
        {"config.expert_scale", of_config(&Config::expert_scale), -kLargest, kLargest},
        {"config.rope[1].magnitude", [](Model& m) { return &m.config.rope[1].magnitude; }, 0, 1024},
        {"config.layer[1].attn_scale", [](Model& m) { return &m.layers[1].attn_scale; }, 0,
         kLargest},
        {"config.layer[2].attn_softcap", [](Model& m) { return &m.layers[2].attn_softcap; }, 0,
         kLargest},
    };
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    for (const Field& field : fields) {
        const auto refused = [&](float value) {
            Model m;
            *field.at(m) = value;
            CHECK(m.text() == refusal(m, field.name, field.at(m),
                                      number(value) + ", allowed " + number(float(field.low)) +
                                          ".." + number(float(field.high))));
        };
        const auto accepted = [&](float value) {
            Model m;
            *field.at(m) = value;
            CHECK(m.text() == "");
        };
        accepted(float(field.low));
        accepted(float(field.high));
        refused(std::nextafter(float(field.low), -kInfinity));
        refused(std::nextafter(float(field.high), kInfinity));
        refused(std::numeric_limits<float>::quiet_NaN());
        refused(kInfinity);
        refused(-kInfinity);
    }
    Model m;
    for (const float eps : {0.0f, 1.0f, -1e-6f, NAN, kInfinity}) {
        m.config.rms_eps = eps;
        CHECK(m.text() == refusal(m, "config.rms_eps", &m.config.rms_eps,
                                  number(eps) + ", allowed above 0, below 1"));
    }
    for (const float eps : {1e-30f, std::nextafter(1.0f, 0.0f)}) {
        m.config.rms_eps = eps;
        CHECK(m.text() == "");
    }
}

TEST_CASE("fields that contradict each other are refused by the one that cannot be") {
    struct Case {
        const char* what;
        std::function<const void*(Model&)> change;  // the field that is refused
        std::string field, rest;
    };
    const Case cases[] = {
        {"an embedding that is no multiple of 16",
         [](Model& m) { return m.config.n_embd = 72, &m.config.n_embd; }, "config.n_embd",
         "72, allowed a multiple of 16"},
        {"an odd number of rotated dimensions",
         [](Model& m) { return m.config.rope[0].n_dims = 15, &m.config.rope[0].n_dims; },
         "config.rope[0].n_dims", "15, allowed an even number"},
        {"a longer table outside",
         [](Model& m) { return m.config.rope[0].longer = 3, &m.config.rope[0].longer; },
         "config.rope[0].longer", "3, allowed a table below 3 for all contexts"},
        {"no longer table where one is needed",
         [](Model& m) { return m.config.rope[0].longer = kNone, &m.config.rope[0].longer; },
         "config.rope[0].longer", "4294967295, allowed a table below 3 for all contexts"},
        {"a longer table that is the table itself",
         [](Model& m) { return m.config.rope[0].longer = 0, &m.config.rope[0].longer; },
         "config.rope[0].longer", "0, allowed a table below 3 for all contexts"},
        {"a longer table that has a longer one",
         [](Model& m) {
             m.config.rope[1].max_ctx = 8192, m.config.rope[1].longer = 2;
             return &m.config.rope[0].longer;
         },
         "config.rope[0].longer", "1, allowed a table below 3 for all contexts"},
        {"two tables that are each other's longer one",
         [](Model& m) {
             m.config.rope[1].max_ctx = 8192, m.config.rope[1].longer = 0;
             return &m.config.rope[0].longer;
         },
         "config.rope[0].longer", "1, allowed a table below 3 for all contexts"},
        {"a longer table of a table for all contexts",
         [](Model& m) { return m.config.rope[2].longer = 1, &m.config.rope[2].longer; },
         "config.rope[2].longer", "1, allowed 4294967295 (max_ctx is 0)"},
        {"heads that keys do not divide",
         [](Model& m) { return m.layers[0].n_head_kv = 3, &m.layers[0].n_head_kv; },
         "config.layer[0].n_head_kv", "3, allowed a divisor of n_head = 8"},
        {"an odd head", [](Model& m) { return m.layers[2].head_dim = 17, &m.layers[2].head_dim; },
         "config.layer[2].head_dim", "17, allowed an even number"},
        {"a rotary table outside", [](Model& m) { return m.layers[1].rope = 3, &m.layers[1].rope; },
         "config.layer[1].rope", "3, allowed below 3, or 4294967295"},
        {"a rotary table wider than the head",
         [](Model& m) { return m.layers[0].head_dim = 14, &m.layers[0].rope; },
         "config.layer[0].rope", "a table of 16 dimensions, allowed at most head_dim = 14"},
        {"a longer table wider than the head",
         [](Model& m) { return m.config.rope[1].n_dims = 18, &m.layers[0].rope; },
         "config.layer[0].rope", "a table of 18 dimensions, allowed at most head_dim = 16"},
        {"another layer's keys",
         [](Model& m) { return m.layers[2].kv_layer = 1, &m.layers[2].kv_layer; },
         "config.layer[2].kv_layer", "1, allowed 2"},
        {"a shared expert without its tensors",
         [](Model& m) { return m.layers[1].n_ff = 96, &m.layers[1].tensors; },
         "config.layer[1].tensors", "0x3a008a8, allowed all of 0x3aa88a8, none but 0x3fffffc"},
        {"neither experts nor a dense block",
         [](Model& m) { return m.layers[0].n_ff = 0, &m.layers[0].n_expert; },
         "config.layer[0].n_expert", "0, allowed 1 or more where n_ff is 0"},
        {"experts of which none is used",
         [](Model& m) { return m.config.n_expert_used = 0, &m.config.n_expert_used; },
         "config.n_expert_used", "0, allowed 1..4 (the experts of a layer)"},
        {"more experts used than there are",
         [](Model& m) { return m.config.n_expert_used = 5, &m.config.n_expert_used; },
         "config.n_expert_used", "5, allowed 1..4 (the experts of a layer)"},
        {"experts of no width",
         [](Model& m) { return m.layers[1].n_ff_expert = 0, &m.layers[1].n_ff_expert; },
         "config.layer[1].n_ff_expert", "0, allowed 0 without experts, else not"},
        {"a width of experts that are not there",
         [](Model& m) { return m.layers[0].n_ff_expert = 32, &m.layers[0].n_ff_expert; },
         "config.layer[0].n_ff_expert", "32, allowed 0 without experts, else not"},
        {"a reserved word",
         [](Model& m) { return m.config.reserved[0] = 7, &m.config.reserved[0]; },
         "config.reserved", "0x7, allowed 0"},
        {"a layer's last reserved word",
         [](Model& m) { return m.layers[2].reserved[7] = 1, &m.layers[2].reserved[7]; },
         "config.layer[2].reserved", "0x1, allowed 0"},
    };
    for (const Case& c : cases) {
        Model m;
        const void* const at = c.change(m);
        INFO(c.what);
        CHECK(m.text() == refusal(m, c.field, at, c.rest));
    }
}

TEST_CASE("what stands at a limit of another field is accepted") {
    Model m;
    m.config.n_expert_used = 4;
    CHECK(m.text() == "");
    m.config.n_expert_used = 1;
    m.layers[0].n_head_kv = 8;
    m.layers[1].n_head_kv = 1;
    CHECK(m.text() == "");
    m.layers[1].head_dim = 8;  // as wide as its table
    CHECK(m.text() == "");
    m.config.rope[0].longer = 2;
    m.config.rope[2].n_dims = 16;
    m.layers[1].head_dim = 16;
    CHECK(m.text() == "");
    m.config.rope[0].max_ctx = 1;
    CHECK(m.text() == "");
    // A table that nobody uses may be wider than any head.
    m.config.n_rope_tables = 4;
    m.config.rope[3] = {1024, 1, 0, kNone};
    CHECK(m.text() == "");
    // Nothing rotates, nothing routes.
    for (LayerConfig& l : m.layers) l.rope = kNone;
    m.config.n_rope_tables = 0;
    m.layers[1] = m.layers[0];
    m.layers[1].kv_layer = 1;
    m.config.n_expert_used = 0;
    CHECK(m.text() == "");
}

TEST_CASE("a layer's tensors are those it cannot do without and none that it has no use for") {
    const Model good;
    const auto text = [&](size_t i, uint64_t required, uint64_t allowed, const Model& m) {
        return refusal(m, "config.layer[" + std::to_string(i) + "].tensors", &m.layers[i].tensors,
                       std::string(Text<128>(Hex{m.layers[i].tensors}, ", allowed all of ",
                                             Hex{required}, ", none but ", Hex{allowed})
                                       .view()));
    };
    const Role dense[] = {Role::attn_q,   Role::attn_k, Role::attn_v,  Role::attn_output,
                          Role::ffn_gate, Role::ffn_up, Role::ffn_down};
    const Role routed[] = {Role::attn_q, Role::attn_k,      Role::attn_v,    Role::attn_output,
                           Role::router, Role::expert_gate, Role::expert_up, Role::expert_down};
    uint64_t dense_bits = 0, routed_bits = 0;
    for (const Role role : dense) dense_bits |= role_bit(role);
    for (const Role role : routed) routed_bits |= role_bit(role);
    const uint64_t optional = layer_roles() & ~(dense_bits | routed_bits);
    for (const size_t i : {size_t{0}, size_t{1}}) {
        const uint64_t required = i == 0 ? dense_bits : routed_bits;
        for (uint32_t bit = 0; bit < 64; bit++) {
            CAPTURE(i, bit);
            Model m;
            m.layers[i].tensors = required ^ uint64_t { 1 } << bit;
            const bool fine = (optional >> bit & 1) != 0;
            CHECK(m.text() == (fine ? "" : text(i, required, required | optional, m)));
        }
    }
    Model m;
    m.layers[0].tensors = dense_bits | optional;
    m.layers[1].tensors = routed_bits | optional;
    CHECK(m.text() == "");
}
