// SPDX-License-Identifier: MIT
#include "bench/compare/layers.h"

#include <algorithm>
#include <cmath>

namespace axiom::compare {
namespace {

// The values of all runs, or none: what one run lacks cannot be compared.
bool all_positive(const Values& values) {
    return std::all_of(values.begin(), values.end(), [](double v) { return v > 0; });
}

LayerGroup& group_for(std::vector<LayerGroup>* groups, LayerGroup wanted) {
    for (LayerGroup& group : *groups) {
        if (group.same_work(wanted)) return group;
    }
    wanted.ns.assign(wanted.stages.size(), std::vector<Values>(wanted.n_layer));
    wanted.stage_ns.resize(wanted.stages.size());
    groups->push_back(std::move(wanted));
    return groups->back();
}

// One run's passes of one kind become one value for each stage and layer.
void add_passes(const std::vector<const Pass*>& passes, LayerGroup* group) {
    const size_t n_stages = group->stages.size();
    std::vector<Values> sums(n_stages);
    Values whole;
    for (size_t s = 0; s < n_stages; s++) {
        std::vector<Values> of_layer(group->n_layer);
        for (const Pass* pass : passes) {
            double sum = 0;
            for (size_t l = 0; l < group->n_layer; l++) {
                of_layer[l].push_back(pass->layers[l][s]);
                sum += pass->layers[l][s];
            }
            sums[s].push_back(sum);
        }
        for (size_t l = 0; l < group->n_layer; l++) group->ns[s][l].push_back(median(of_layer[l]));
        group->stage_ns[s].push_back(median(sums[s]));
    }
    for (const Pass* pass : passes) whole.push_back(pass->ns);
    group->pass_ns.push_back(median(whole));
    group->in_order.push_back(std::move(whole));
    group->n_passes.push_back(passes.size());
}

void add_trace(const Side& side, const Trace& trace, std::vector<LayerGroup>* groups) {
    std::vector<std::vector<const Pass*>> kinds;
    for (const Pass& pass : trace.passes) {
        const auto mine = std::find_if(kinds.begin(), kinds.end(), [&](const auto& kind) {
            return kind[0]->stage == pass.stage && kind[0]->n_rows == pass.n_rows;
        });
        if (mine == kinds.end()) {
            kinds.push_back({&pass});
        } else {
            mine->push_back(&pass);
        }
    }
    for (const auto& passes : kinds) {
        LayerGroup wanted;
        wanted.side = &side;
        wanted.model = trace.model;
        wanted.test = trace.test;
        wanted.pass = passes[0]->stage;
        wanted.n_rows = passes[0]->n_rows;
        wanted.n_threads = trace.n_threads;
        wanted.stages.assign(kLayerStages.begin(), kLayerStages.end());
        wanted.n_layer = trace.n_layer;
        add_passes(passes, &group_for(groups, std::move(wanted)));
    }
}

void add_record(const Side& side, const Run& run, std::vector<LayerGroup>* groups) {
    const Values* const times[] = {&run.details.compute_ns, &run.details.stall_ns};
    const size_t n_layer = times[0]->size();
    for (const Values* of : times) {
        for (const double v : *of) {
            if (std::isnan(v)) return;
        }
    }
    if (n_layer == 0) return;
    LayerGroup wanted;
    wanted.side = &side;
    wanted.model = run.model;
    wanted.test = run.test.name();
    wanted.n_threads = run.n_threads;
    wanted.stages = {"compute", "stall"};
    wanted.n_layer = n_layer;
    LayerGroup& group = group_for(groups, std::move(wanted));
    for (size_t s = 0; s < 2; s++) {
        double sum = 0;
        for (size_t l = 0; l < n_layer; l++) {
            group.ns[s][l].push_back((*times[s])[l]);
            sum += (*times[s])[l];
        }
        group.stage_ns[s].push_back(sum);
    }
    group.n_passes.push_back(0);
}

LayerLine line_of(const std::string& stage, int layer, const Values& base, const Values& other,
                  double confidence) {
    LayerLine line;
    line.has_ratio = all_positive(base) && all_positive(other);
    if (line.has_ratio) static_cast<Difference&>(line) = difference(base, other, confidence);
    line.stage = stage;
    line.layer = layer;
    line.base_ns = median(base);
    line.other_ns = median(other);
    return line;
}

LayerPair pair_of(const LayerGroup& base, const LayerGroup& other, double confidence) {
    LayerPair pair;
    pair.base = base;
    pair.other = other;
    for (size_t s = 0; s < base.stages.size(); s++) {
        pair.totals.push_back(
            line_of(base.stages[s], -1, base.stage_ns[s], other.stage_ns[s], confidence));
        for (size_t l = 0; l < base.n_layer; l++)
            pair.lines.push_back(
                line_of(base.stages[s], int(l), base.ns[s][l], other.ns[s][l], confidence));
    }
    if (!base.pass_ns.empty())
        pair.totals.push_back(line_of("whole pass", -1, base.pass_ns, other.pass_ns, confidence));
    std::stable_sort(pair.lines.begin(), pair.lines.end(),
                     [](const LayerLine& a, const LayerLine& b) {
                         return std::abs(a.other_ns - a.base_ns) > std::abs(b.other_ns - b.base_ns);
                     });
    size_t n_tested = 0;
    for (const LayerLine& line : pair.lines) {
        pair.n_shown += line.differs;
        n_tested += line.has_ratio && !line.too_few;
    }
    pair.n_by_chance = (1 - confidence) * double(n_tested);
    return pair;
}

}  // namespace

std::string LayerGroup::what() const {
    if (pass.empty()) return "means of a run";
    return pass + ", " + std::to_string(n_rows) + (n_rows == 1 ? " row" : " rows");
}

bool LayerGroup::same_work(const LayerGroup& other) const {
    return model.same_as(other.model) && test == other.test && pass == other.pass &&
           n_rows == other.n_rows && n_threads == other.n_threads && n_layer == other.n_layer &&
           stages == other.stages;
}

std::vector<LayerGroup> layer_groups(const Side& side) {
    std::vector<LayerGroup> groups;
    for (const Trace& trace : side.traces) add_trace(side, trace, &groups);
    for (const Run& run : side.runs) add_record(side, run, &groups);
    return groups;
}

std::vector<LayerPair> compare_layers(const std::vector<Side>& sides, const Side& baseline,
                                      double confidence) {
    std::vector<LayerGroup> base = layer_groups(baseline);
    const Side* base_side = &baseline;
    for (const Side& side : sides) {
        if (!base.empty()) break;
        base = layer_groups(side);
        base_side = &side;
    }
    std::vector<LayerPair> pairs;
    for (const Side& side : sides) {
        if (&side == base_side) continue;
        const std::vector<LayerGroup> groups = layer_groups(side);
        for (const LayerGroup& mine : base) {
            for (const LayerGroup& group : groups) {
                if (mine.same_work(group)) pairs.push_back(pair_of(mine, group, confidence));
            }
        }
    }
    return pairs;
}

}  // namespace axiom::compare
