// SPDX-License-Identifier: MIT
// Layers that come from a disk while others are computed: the same bits as from memory, whatever
// stays and however the disk behaves, and errors where it fails.
#include "test/unit/streamed.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/cpu_features.h"
#include "model/run/generate.h"
#include "test/unit/machine.h"
#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;

namespace {

// 7 layers of two pieces each, of which the second is short.
constexpr char kLayers[] = "512,7,8,4,1024,300";
// 5 layers, each less than a block of the disk's largest read.
constexpr char kSmall[] = "96,5,4,2,200,300";

std::vector<TokenId> some_tokens(size_t n) {
    std::vector<TokenId> tokens(n);
    for (size_t i = 0; i < n; i++) tokens[i] = TokenId((i * 7919 + 13) % 300);
    return tokens;
}

EngineShape engine_shape(size_t n_workers, size_t n_batch = 16) {
    return {.n_ctx = 64,
            .n_batch = n_batch,
            .n_logit_rows = n_batch,
            .n_workers = n_workers,
            .n_sequences = 4,
            .n_return = 64};
}

struct Model {
    AlignedBytes file;
    Frame frame;
    std::vector<TokenId> tokens = some_tokens(24);
    uint64_t hash = 0;  // from memory

    explicit Model(const char* shape)
        : file(synthetic_model(shape, StoredType::q4)), frame(file.span()) {
        const Result<Weights> whole = Weights::open("test.axm", file.span());
        REQUIRE(whole.ok());
        hash = Engine(whole.value(), kScalarKernels, engine_shape(1)).hash(tokens, 16);
    }
    const ModelConfig& config() const { return frame.weights.config; }
    PoolShape shape(uint64_t i) const { return PoolShape::at(config(), i); }
    uint64_t last() const { return PoolShape::last(config()); }
};

Status forward_one(StreamedEngine& engine, TokenId token) {
    Sequence& sequence = engine->sequence();
    const Row row = {&sequence, sequence.length(), token, true};
    return engine->transformer().forward({&row, 1});
}

}  // namespace

TEST_CASE("one hash whatever stays in memory, however many work and however rows are cut") {
    for (const char* shape : {kLayers, kSmall}) {
        const Model model(shape);
        REQUIRE(model.last() == model.config().n_layer - PoolShape::kBuffers);
        for (uint64_t i = 0; i <= model.last(); i++) {
            for (const size_t n_workers : {1u, 2u, 3u}) {
                for (const size_t n_at_once : {1u, 5u, 16u}) {
                    INFO(shape << ", residency " << i << ", " << n_workers << " workers, "
                               << n_at_once << " rows");
                    FakeDisk disk(model.file.span());
                    StreamedEngine engine(model.frame, disk, model.shape(i), kScalarKernels,
                                          engine_shape(n_workers));
                    REQUIRE(engine.started.ok());
                    REQUIRE(engine->hash(model.tokens, n_at_once) == model.hash);
                }
            }
        }
    }
}

TEST_CASE("one hash on disks that are slow, end reads in any order, or take small or few reads") {
    const Model model(kLayers);
    struct Way {
        size_t n_polls, depth, read_bytes, alignment;
        bool last_first;
    };
    for (const Way& way : {Way{1, 1, 4096, 512, false}, Way{50, 3, 65536, 4096, true},
                           Way{7, 64, 1 << 20, 4096, true}, Way{3, 8, 3 * 4096, 512, true},
                           Way{0, 64, 16 << 20, 4096, false}}) {
        for (const uint64_t i : {uint64_t{0}, uint64_t{2}, model.last()}) {
            INFO("polls " << way.n_polls << ", depth " << way.depth << ", " << way.read_bytes
                          << " bytes, residency " << i);
            FakeDisk disk(model.file.span());
            disk.allowed = {way.alignment, way.read_bytes, way.depth};
            disk.n_polls_a_read = way.n_polls;
            disk.last_first = way.last_first;
            StreamedEngine engine(model.frame, disk, model.shape(i), kScalarKernels,
                                  engine_shape(2));
            REQUIRE(engine.started.ok());
            REQUIRE(engine->hash(model.tokens, 3) == model.hash);
        }
    }
}

TEST_CASE("every layer that does not stay is read once a pass, and the others never again") {
    const Model model(kLayers);
    for (uint64_t i = 0; i <= model.last(); i++) {
        FakeDisk disk(model.file.span());
        StreamedEngine engine(model.frame, disk, model.shape(i), kScalarKernels, engine_shape(1));
        const size_t n = model.config().n_layer, n_streamed = model.shape(i).n_streamed(n);
        REQUIRE(n_streamed == (i == model.last() ? 0 : n - i));
        const uint64_t layer_bytes = round_up(model.frame.layer(0).bytes, 4096);
        const size_t n_first = i == model.last() ? n : i + PoolShape::kBuffers;
        REQUIRE(disk.n_bytes == n_first * layer_bytes);
        REQUIRE(engine.n_told_bytes == n_first * model.frame.layer(0).bytes);
        const uint64_t before = disk.n_bytes;
        engine.pool().count_anew();
        for (size_t t = 0; t < 10; t++) REQUIRE(forward_one(engine, 5).ok());
        // What is read ahead for the pass that comes next has been asked for, or is under way.
        const uint64_t read = disk.n_bytes - before;
        REQUIRE(read <= 10 * n_streamed * layer_bytes);
        REQUIRE(read + PoolShape::kBuffers * layer_bytes >= 10 * n_streamed * layer_bytes);
        // The first streamed layers of the next pass are asked for before it begins.
        if (n_streamed != 0) REQUIRE(disk.n_under_way() != 0);
        const DiskTraffic traffic = engine.pool().traffic();
        REQUIRE(traffic.n_layers == 10 * n);
        uint64_t of_layers = 0;
        size_t n_with_bytes = 0;
        for (const DiskTraffic::Layer& layer : traffic.layers) {
            of_layers += layer.n_bytes;
            n_with_bytes += layer.n_bytes != 0;
        }
        REQUIRE(of_layers == traffic.n_bytes);
        REQUIRE(n_with_bytes == n_streamed);
        REQUIRE(traffic.busy_ticks <= traffic.ticks);
    }
}

TEST_CASE("streamed layers alternate with those that stay") {
    const Model model("96,12,4,2,200,300");
    for (uint64_t i = 0; i < model.last(); i++) {
        FakeDisk disk(model.file.span());
        StreamedEngine engine(model.frame, disk, model.shape(i), kScalarKernels, engine_shape(1));
        engine.pool().count_anew();
        for (size_t t = 0; t < 3; t++) REQUIRE(forward_one(engine, 5).ok());
        std::string which;
        for (const DiskTraffic::Layer& layer : engine.pool().traffic().layers)
            which += layer.n_bytes != 0 ? 'S' : 'r';
        INFO(i << " stay: " << which);
        REQUIRE(size_t(std::count(which.begin(), which.end(), 'r')) == i);
        // Runs of either kind differ by one layer at most, but for the ends that meet.
        if (i <= 6) REQUIRE(which.find("rr") == which.npos);
        if (i >= 6) REQUIRE(which.find("SS") == which.npos);
    }
}

TEST_CASE("a shape's resident bytes are its layers and all that is no layer") {
    const Model model(kSmall);
    const Weights& w = model.frame.weights;
    for (uint64_t i = 0; i <= model.last(); i++) {
        const size_t n = i == model.last() ? 5 : i;
        REQUIRE(model.shape(i).resident_bytes(w) ==
                w.layout.frame_bytes() + n * model.frame.layer(0).bytes);
    }
    REQUIRE(w.layout.frame_bytes() <
            w.layout.header.file_bytes - 5 * model.frame.layer(0).bytes + 4096);
}

TEST_CASE(
    "sequences side by side and rejected drafts give streamed weights' hash like resident ones") {
    const Model model(kLayers);
    FakeDisk disk(model.file.span());
    StreamedEngine engine(model.frame, disk, model.shape(1), kScalarKernels, engine_shape(2, 40));
    Sequence others[] = {engine->open(), engine->open()};
    Xxh64 hash;
    for (size_t at = 0; at < model.tokens.size(); at++) {
        // The token, two wrong drafts behind it, and neighbours.
        Sequence& own = engine->sequence();
        std::vector<Row> rows = {
            {&own, at, model.tokens[at], true}, {&own, at + 1, 7, true}, {&own, at + 2, 8, true}};
        for (Sequence& other : others) rows.push_back({&other, other.length(), 9, true});
        REQUIRE(engine->transformer().forward(rows).ok());
        const std::span<const float> logits = engine->workspace().logits_row(0);
        hash.update(logits.data(), logits.size_bytes());
        own.truncate(at + 1);
    }
    REQUIRE(hash.digest() == model.hash);
}

// --- faults

TEST_CASE(
    "a read that fails for good ends the pass, names layer, offset and cause, and harms nothing") {
    const Model model(kLayers);
    for (const size_t n_workers : {1u, 3u}) {
        for (size_t i_layer = 0; i_layer < model.config().n_layer; i_layer++) {
            FakeDisk disk(model.file.span());
            StreamedEngine engine(model.frame, disk, model.shape(0), kScalarKernels,
                                  engine_shape(n_workers));
            engine->append(engine->sequence(), std::span(model.tokens).first(9), 9);
            disk.bad_offset = model.frame.layer(i_layer).offset + format::kPieceBytes + 5;
            Status status;
            size_t n_passes = 0;
            // What had been read ahead already is right.
            for (; status.ok() && n_passes < 3; n_passes++) {
                engine->sequence().truncate(9);
                status = forward_one(engine, model.tokens[9]);
            }
            INFO(status.text());
            REQUIRE(status.code() == Code::io);
            const std::string text(status.text());
            REQUIRE(text.find("(layer " + std::to_string(i_layer) + " at 0x") != text.npos);
            const Text<24> offset(Hex{model.frame.layer(i_layer).offset + format::kPieceBytes});
            REQUIRE(text.find(std::string("at offset ") + std::string(offset.view())) != text.npos);
            REQUIRE(text.find("LBA 1234, unrecovered read error") != text.npos);
            REQUIRE(disk.n_under_way() == 0);
            // It fails again, and once the disk is well it goes on where it was.
            REQUIRE_FALSE(forward_one(engine, model.tokens[9]).ok());
            disk.bad_offset = ~uint64_t{0};
            REQUIRE(engine->hash(model.tokens, 16) == model.hash);
        }
    }
}

TEST_CASE("a bit flipped on the disk is found before anybody computes with it, in any piece") {
    const Model model(kLayers);
    for (const size_t n_workers : {1u, 3u}) {
        for (const uint64_t place : {uint64_t{0}, format::kPieceBytes - 1, format::kPieceBytes,
                                     model.frame.layer(3).bytes - 1}) {
            for (const uint64_t residency : {uint64_t{0}, uint64_t{3}}) {
                FakeDisk disk(model.file.span());
                StreamedEngine engine(model.frame, disk, model.shape(residency), kScalarKernels,
                                      engine_shape(n_workers));
                disk.wrong_offset = model.frame.layer(3).offset + place;
                Status status;
                for (size_t i = 0; status.ok() && i < 3; i++) {
                    engine->sequence().truncate(0);
                    status = forward_one(engine, model.tokens[0]);
                }
                if (residency == 3) {  // it had been read before
                    const auto& layers = engine.pool().traffic().layers;
                    if (layers[3].n_bytes == 0) continue;
                }
                INFO(status.text());
                REQUIRE(status.code() == Code::bad_format);
                const std::string text(status.text());
                REQUIRE(text.find("(layer 3 at 0x") != text.npos);
                REQUIRE(text.find(place < format::kPieceBytes ? "piece 0 checksum"
                                                              : "piece 1 checksum") != text.npos);
                disk.wrong_offset = ~uint64_t{0};
                REQUIRE(engine->hash(model.tokens, 16) == model.hash);
            }
        }
    }
}

TEST_CASE("what is wrong at the start is said at the start") {
    const Model model(kLayers);
    FakeDisk bad(model.file.span()), wrong(model.file.span());
    bad.bad_offset = wrong.wrong_offset = model.frame.layer(1).offset + 100;
    StreamedEngine unreadable(model.frame, bad, model.shape(model.last()), kScalarKernels,
                              engine_shape(2));
    REQUIRE(unreadable.started.code() == Code::io);
    StreamedEngine damaged(model.frame, wrong, model.shape(model.last()), kScalarKernels,
                           engine_shape(2));
    REQUIRE(damaged.started.code() == Code::bad_format);
}

TEST_CASE("a pass that ends in the middle leaves weights that the next one can use") {
    const Model model(kLayers);
    for (size_t n_layers = 1; n_layers < model.config().n_layer; n_layers++) {
        FakeDisk disk(model.file.span());
        disk.n_polls_a_read = 3;
        StreamedEngine engine(model.frame, disk, model.shape(1), kScalarKernels, engine_shape(2));
        std::atomic<bool> stop{false};
        struct Stop {
            std::atomic<bool>& stop;
            size_t n_left;
        } context{stop, n_layers};
        engine->loop().add({.name = "stop",
                            .poll =
                                [](void* c, uint64_t) {
                                    Stop& s = *static_cast<Stop*>(c);
                                    if (s.n_left != 0 && --s.n_left == 0) s.stop = true;
                                },
                            .context = &context});
        engine->loop().stop_when(&stop);
        REQUIRE(forward_one(engine, 5).code() == Code::interrupted);
        stop = false;
        REQUIRE(engine->hash(model.tokens, 4) == model.hash);
        engine.pool().stop();
        REQUIRE(disk.n_under_way() == 0);
    }
}

// --- whole runs

namespace {

struct Run {
    Status status;
    Record record;
    std::string text;
    nlohmann::json j;

    Run(const Weights& weights, DiskReader* disk, std::vector<std::string_view> words,
        uint64_t n_bytes = 0, size_t stop_at = ~size_t{0}) {
        words.insert(words.end(), {"--isa", "scalar", "--raw", "--ignore-eos", "-c", "128"});
        const Options options = options_of(words);
        const Result<MemoryNeed> need = memory_needed(weights, options, 1);
        INFO(need.status().text());
        REQUIRE(need.ok());
        TestMachine m(n_bytes != 0 ? n_bytes : need.value().wanted);
        m.stop_at = stop_at;
        m.machine.disk = disk;
        status = generate(m.machine, weights, options, &record);
        std::string line;
        print_json(
            record, [](void* to, std::string_view t) { static_cast<std::string*>(to)->append(t); },
            &line);
        j = nlohmann::json::parse(line);
        text = m.text;
    }
};

}  // namespace

TEST_CASE("a streamed run says what a resident one says, by --resident-mib and by memory") {
    const Model model(kLayers);
    const Result<Weights> whole = Weights::open("test.axm", model.file.span());
    const std::vector<std::string_view> words = {"-p", "abcabcabcabcabc", "-n", "24"};
    const Run resident(whole.value(), nullptr, words);
    REQUIRE(resident.status.ok());
    REQUIRE(resident.j["stream"] == "off");
    REQUIRE(resident.j["layers"].is_null());
    for (const char* mib : {"0", "3", "5", "6", "-1"}) {
        for (const char* draft : {"off", "lookup"}) {
            FakeDisk disk(model.file.span());
            std::vector<std::string_view> asked = words;
            asked.insert(asked.end(), {"--resident-mib", mib, "--draft", draft});
            const Run run(model.frame.weights, &disk, asked);
            INFO(mib << " MiB, drafts " << draft << ": " << run.status.text());
            REQUIRE(run.status.ok());
            REQUIRE(run.text == resident.text);
            REQUIRE(run.record.logits_hash == resident.record.logits_hash);
            REQUIRE(disk.n_under_way() == 0);
            REQUIRE(run.j["stream"] == "on");
            const uint64_t n_mib = std::stoul(mib);
            const uint64_t bytes = run.j["resident_bytes"];
            if (n_mib > 1) REQUIRE(bytes <= n_mib << 20);
            const size_t n_streamed =
                run.j["n_streamed_layers"].is_null() ? 0 : size_t(run.j["n_streamed_layers"]);
            REQUIRE((n_streamed == 0) == (n_mib > 1000));
            if (n_streamed == 0) continue;
            REQUIRE(run.j["layers"].size() == 7);
            double of_layers = 0;
            const double n_passes = double(run.j["layer_n"]) / 7;
            for (const auto& layer : run.j["layers"]) of_layers += double(layer["bytes"]);
            REQUIRE(of_layers * n_passes == Approx(double(run.j["disk_bytes"])).epsilon(0.01));
        }
    }
    // Less memory than all layers want: what fits stays.
    const Options options = options_of({"-p", "abcabcabcabcabc", "-n", "24", "-c", "128", "--raw"});
    const Result<MemoryNeed> need = memory_needed(model.frame.weights, options, 1);
    REQUIRE(need.ok());
    size_t last_streamed = 8;
    for (uint64_t bytes = need.value().least; bytes <= need.value().wanted; bytes += 512 << 10) {
        FakeDisk disk(model.file.span());
        const Run run(model.frame.weights, &disk, words, bytes);
        INFO(bytes << " bytes: " << run.status.text());
        REQUIRE(run.status.ok());
        REQUIRE(run.text == resident.text);
        REQUIRE(run.record.logits_hash == resident.record.logits_hash);
        REQUIRE(run.record.n_streamed_layers <= last_streamed);
        last_streamed = run.record.n_streamed_layers;
    }
    REQUIRE(last_streamed <= 3);
    FakeDisk disk(model.file.span());
    const Run none(model.frame.weights, &disk, words, need.value().least - 16384);
    REQUIRE(none.status.code() == Code::no_memory);
}

TEST_CASE("a prompt is read in passes of a chosen size, with the same bits and a word of it") {
    const Model model(kLayers);
    std::string prompt;
    for (int i = 0; i < 60; i++) prompt += char('a' + i % 7);
    const std::vector<std::string_view> words = {"-p",      prompt, "-n",     "4",
                                                 "--draft", "off",  "--quiet"};
    const Run resident(Weights::open("test.axm", model.file.span()).value(), nullptr, words);
    REQUIRE(resident.j["stream_m"].is_null());
    REQUIRE(resident.j["n_batch"] == 128);
    for (const char* n_batch : {"0", "1", "17", "128"}) {
        FakeDisk disk(model.file.span());
        std::vector<std::string_view> asked = words;
        asked.insert(asked.end(), {"-b", n_batch, "--resident-mib", "0"});
        const Run run(model.frame.weights, &disk, asked);
        INFO("-b " << n_batch << ": " << run.status.text());
        REQUIRE(run.status.ok());
        REQUIRE(run.text == resident.text);
        REQUIRE(run.record.logits_hash == resident.record.logits_hash);
        const bool is_chosen = std::string_view(n_batch) == "0";
        REQUIRE(run.j["stream_m"].is_null() != is_chosen);
        if (!is_chosen) REQUIRE(run.j["n_batch"] == std::stoi(n_batch));
    }
}

TEST_CASE("more rows a pass than without streaming are possible where they cost little memory") {
    const Model model(kLayers);
    const Options options = options_of({"-c", "1024"});
    const RunRequest request{model.frame.weights, options, 1};
    RunNeed need;
    need.engine = axiom::engine_shape(request, 1024);
    REQUIRE(need.engine.n_batch == kDefaultBatch);
    need.n_streamed_batch = most_batch(request, 1024);
    REQUIRE(need.n_streamed_batch == kMaxStreamedBatch);
    size_t last = kDefaultBatch;
    for (const uint64_t mib : {8, 16, 24, 32, 64, 128, 256}) {
        TestMachine m(mib << 20);
        const size_t n = fitting_batch(request, need, m.slab);
        REQUIRE(n >= last);
        last = n;
        if (mib == 8) REQUIRE(n < kMaxStreamedBatch / 2);
    }
    REQUIRE(last == kMaxStreamedBatch);
    // As -b says, it is neither more nor less.
    const Options fixed = options_of({"-c", "1024", "-b", "40"});
    const RunRequest asked{model.frame.weights, fixed, 1};
    need.engine = axiom::engine_shape(asked, 1024);
    need.n_streamed_batch = most_batch(asked, 1024);
    TestMachine m(256 << 20);
    REQUIRE(fitting_batch(asked, need, m.slab) == 40);
}

TEST_CASE("a run that is stopped or fails keeps its text so far and leaves no read under way") {
    const Model model(kLayers);
    for (const size_t stop_at : {2u, 9u, 40u}) {
        FakeDisk disk(model.file.span());
        disk.n_polls_a_read = 2;
        const Run run(model.frame.weights, &disk, {"-p", "abc", "-n", "24", "--resident-mib", "0"},
                      0, stop_at);
        REQUIRE(run.status.code() == Code::interrupted);
        REQUIRE(disk.n_under_way() == 0);
    }
    const Run whole(Weights::open("test.axm", model.file.span()).value(), nullptr,
                    {"-p", "abc", "-n", "24", "--draft", "off"});
    FakeDisk disk(model.file.span());
    disk.allowed.max_read_bytes = 1 << 20;
    // The reads of the layer: at the start or in the first passes, then one fails.
    disk.bad_offset = model.frame.layer(4).offset;
    struct Later final : DiskReader {
        explicit Later(FakeDisk& d) : disk(d), bad(d.bad_offset) { disk.bad_offset = ~uint64_t{0}; }
        Limits limits() const override { return disk.limits(); }
        bool read(uint64_t tag, uint64_t offset, size_t n, void* to) override {
            if (disk.n_reads == 60) disk.bad_offset = bad;
            return disk.read(tag, offset, n, to);
        }
        size_t poll(std::span<Done> done) override { return disk.poll(done); }
        uint64_t n_retries() const override { return 0; }
        FakeDisk& disk;
        uint64_t bad;
    } later(disk);
    const Run run(model.frame.weights, &later,
                  {"-p", "abc", "-n", "24", "--resident-mib", "0", "--draft", "off"});
    REQUIRE(run.status.code() == Code::io);
    REQUIRE(run.j["status"] == "error");
    REQUIRE(run.text.size() > 4);
    REQUIRE(run.text.size() < whole.text.size());
    REQUIRE(whole.text.starts_with(run.text.substr(0, run.text.size() - 1)));
    REQUIRE(disk.n_under_way() == 0);
}
