# SPDX-License-Identifier: MIT
"""The cases: which architecture, which shape, which features, and how large the weights are.

Every case exists in two formats, q8_0 and q4_k. Numbers in a tuple (a, b) are for q8_0 and for q4_k:
K formats need rows of a multiple of 256 columns, so their shapes are larger.
Keys and tensors are those of llama.cpp's converter for that architecture.
"""
import math

FORMATS = ("q8_0", "q4_k")

# How large things are. Root mean squares, for an input of root mean square 1:
#   embedding    the residual stream before the first layer
#   qk           a query or key (before a QK norm); about 1, or the model is chaotic and tests nothing
#   v, o         values, and the attention's output for values of size 1
#   gate, up, down, logits
#   norm, qk_norm, post_norm     center of those weights; `spread` around it, relative
#   bias         uniform on +- this
DEFAULT_SIZES = dict(embedding=0.7, qk=1.1, v=1.5, o=1.0, gate=1.4, up=1.0, down=0.8, logits=1.0, norm=1.0,
                     qk_norm=1.1, post_norm=0.6, spread=0.3, bias=0.8, router=1.0)


class Array:
    """A GGUF array: the element's type (make_gguf.py) and the elements."""

    def __init__(self, kind, items):
        self.kind, self.items = kind, items


class Tensor:
    def __init__(self, name, shape, kind="matrix", std=0.0, center=0.0, spread=0.0, values=None):
        self.name, self.shape, self.kind = name, tuple(shape), kind
        self.std, self.center, self.spread, self.values = std, center, spread, values


class Case:
    def __init__(self, name, file_format, arch, n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim, n_vocab,
                 tokenizer="gpt-2", tied=False, keys=None, sizes=None, pre_norm=True, post_norm=False, qk_norm=None,
                 qkv_bias=False, o_bias=False, ffn_bias=False, output_bias=False, fused=False, n_expert=0,
                 n_expert_used=0, n_ff_exp=0, n_ff_shexp=0, embedding_scale=1.0, rope=None, factors=None, n_ctx=256,
                 n_positions=161, weights=None, seed=1, off=(), explicit_head=True):
        def of(value):
            return value[FORMATS.index(file_format)] if isinstance(value, tuple) else value

        self.name, self.format, self.arch = name, file_format, arch
        self.n_layer, self.n_embd, self.n_ff = of(n_layer), of(n_embd), of(n_ff)
        self.n_head, self.n_head_kv, self.head_dim = of(n_head), of(n_head_kv), of(head_dim)
        self.n_vocab, self.tokenizer, self.tied = of(n_vocab), tokenizer, of(tied)
        self.sizes = {**DEFAULT_SIZES, **{k: of(v) for k, v in (sizes or {}).items()}}
        self.pre_norm, self.post_norm, self.qk_norm = pre_norm, post_norm, qk_norm
        self.qkv_bias, self.o_bias, self.ffn_bias, self.output_bias = qkv_bias, o_bias, ffn_bias, output_bias
        self.fused = fused
        self.n_expert, self.n_expert_used = of(n_expert), of(n_expert_used)
        self.n_ff_exp, self.n_ff_shexp = of(n_ff_exp), of(n_ff_shexp)
        self.embedding_scale = math.sqrt(self.n_embd) if embedding_scale == "sqrt" else embedding_scale
        self.rope_dim = of(rope) or self.head_dim
        self.factors = {stem: of(values) for stem, values in (factors or {}).items()}
        self.n_ctx, self.n_positions = n_ctx, n_positions
        self.weights, self.seed = weights or name, of(seed)
        self.off = list(off)
        self.keys = self._keys({k: of(v) for k, v in (keys or {}).items()}, explicit_head)

    def _keys(self, more, explicit_head):
        keys = {
            "block_count": self.n_layer,
            "context_length": 512,
            "embedding_length": self.n_embd,
            "feed_forward_length": self.n_ff,
            "attention.head_count": self.n_head,
            "attention.head_count_kv": self.n_head_kv,
            "attention.layer_norm_rms_epsilon": 1e-5,
        }
        if explicit_head:
            keys["attention.key_length"] = self.head_dim
            keys["attention.value_length"] = self.head_dim
        keys["rope.dimension_count"] = self.rope_dim
        if self.n_expert:
            keys["expert_count"] = self.n_expert
            keys["expert_used_count"] = self.n_expert_used
        if self.n_ff_exp:
            keys["expert_feed_forward_length"] = self.n_ff_exp
        if self.n_ff_shexp:
            keys["expert_shared_feed_forward_length"] = self.n_ff_shexp
        keys.update(more)
        return keys

    def tensors(self):
        s, n = self.sizes, self.n_embd
        n_q, n_kv = self.n_head * self.head_dim, self.n_head_kv * self.head_dim

        def matrix(name, n_in, *rows, gain):
            return Tensor(name + ".weight", (n_in, *rows), std=gain / math.sqrt(n_in))

        def norm(name, n_cols, center=s["norm"]):
            return Tensor(name + ".weight", (n_cols,), "vector", center=center, spread=center * s["spread"])

        def bias(name, n_rows):
            return Tensor(name + ".bias", (n_rows,), "vector", center=0.0, spread=s["bias"])

        out = [Tensor("token_embd.weight", (n, self.n_vocab), std=s["embedding"] / self.embedding_scale)]
        for stem, values in self.factors.items():
            assert len(values) == self.rope_dim // 2
            out.append(Tensor(stem + ".weight", (len(values),), "vector", values=values))
        for i in range(self.n_layer):
            b = f"blk.{i}."
            if self.pre_norm:
                out.append(norm(b + "attn_norm", n))
            if self.fused:
                out.append(matrix(b + "attn_qkv", n, n_q + 2 * n_kv, gain=s["qk"]))
                if self.qkv_bias:
                    out.append(bias(b + "attn_qkv", n_q + 2 * n_kv))
            else:
                for part, rows, gain in (("q", n_q, s["qk"]), ("k", n_kv, s["qk"]), ("v", n_kv, s["v"])):
                    out.append(matrix(b + "attn_" + part, n, rows, gain=gain))
                    if self.qkv_bias:
                        out.append(bias(b + "attn_" + part, rows))
            if self.qk_norm:
                whole = self.qk_norm == "whole"
                out.append(norm(b + "attn_q_norm", n_q if whole else self.head_dim, s["qk_norm"]))
                out.append(norm(b + "attn_k_norm", n_kv if whole else self.head_dim, s["qk_norm"]))
            out.append(matrix(b + "attn_output", n_q, n, gain=s["o"]))
            if self.o_bias:
                out.append(bias(b + "attn_output", n))
            if self.post_norm:
                out.append(norm(b + "post_attention_norm", n, s["post_norm"]))
            if self.pre_norm:
                out.append(norm(b + "ffn_norm", n))
            if self.n_expert:
                n_ff = self.n_ff_exp or self.n_ff
                out.append(Tensor(b + "ffn_gate_inp.weight", (n, self.n_expert), "router",
                                  std=s["router"] / math.sqrt(n)))
                out.append(matrix(b + "ffn_gate_exps", n, n_ff, self.n_expert, gain=s["gate"]))
                out.append(matrix(b + "ffn_up_exps", n, n_ff, self.n_expert, gain=s["up"]))
                out.append(matrix(b + "ffn_down_exps", n_ff, n, self.n_expert, gain=s["down"]))
                if self.n_ff_shexp:
                    out.append(matrix(b + "ffn_gate_shexp", n, self.n_ff_shexp, gain=s["gate"]))
                    out.append(matrix(b + "ffn_up_shexp", n, self.n_ff_shexp, gain=s["up"]))
                    out.append(matrix(b + "ffn_down_shexp", self.n_ff_shexp, n, gain=s["down"]))
            elif self.fused:
                out.append(matrix(b + "ffn_up", n, 2 * self.n_ff, gain=s["gate"]))
                out.append(matrix(b + "ffn_down", self.n_ff, n, gain=s["down"]))
            else:
                for part, n_in, rows in (("gate", n, self.n_ff), ("up", n, self.n_ff), ("down", self.n_ff, n)):
                    out.append(matrix(b + "ffn_" + part, n_in, rows, gain=s[part]))
                    if self.ffn_bias:
                        out.append(bias(b + "ffn_" + part, rows))
            if self.post_norm:
                out.append(norm(b + "post_ffw_norm", n, s["post_norm"]))
        out.append(norm("output_norm", n))
        if not self.tied:
            out.append(matrix("output", n, self.n_vocab, gain=s["logits"]))
        if self.output_bias:
            out.append(bias("output", self.n_vocab))
        return out


def ramp(n, first, last):
    """n factors from first to last, by equal steps."""
    return [first + (last - first) * i / (n - 1) for i in range(n)]


NORMS = ("attn_norm", "ffn_norm", "output_norm")

# The file's own list of layers with a window.
def layers(text):
    return Array(7, [c == "w" for c in text])  # gguf's bool


LLAMA_BIASES = ("q_bias", "k_bias", "v_bias", "attn_output_bias", "gate_bias", "up_bias", "down_bias")
# Seeds of cases with experts are chosen so that few routes are nearly tied.
EXPERTS = dict(sizes=dict(v=1.3, gate=1.6, down=1.0, spread=0.2))
GEMMA = dict(tokenizer="spm", tied=True, post_norm=True, embedding_scale="sqrt")
GEMMA_27B = dict(embedding=1.0, post_norm=0.12, qk=(1.0, 1.5), qk_norm=(1.0, 1.4))
PHI3 = dict(arch="phi3", n_layer=(3, 2), n_embd=(288, 768), n_ff=(256, 512), n_head=(6, 16), n_head_kv=(2, 4),
            head_dim=48, fused=True, explicit_head=False)
PHI3_LONGROPE = dict(PHI3, rope=36, n_vocab=331, tokenizer="phi3", tied=(True, False), weights="phi3",
                     keys={"context_length": 1024, "rope.scaling.original_context_length": 256,
                           "rope.scaling.attn_factor": 1.3, "attention.sliding_window": 24},
                     factors={"rope_factors_long": ramp(18, 1.5, 12.0), "rope_factors_short": ramp(18, 1.0, 3.0)},
                     off=("longrope", "rope_magnitude", "partial_rotation", "other_longrope",
                          "ignored_window"))

# name -> arguments of Case. `off` lists what can be switched off; what that does is measured (cases.txt).
CASES = {
    # ---- llama: rope of neighbouring pairs.
    "llama": dict(arch="llama", n_layer=3, n_embd=(160, 256), n_ff=(288, 512), n_head=4, n_head_kv=2, head_dim=40,
                  n_vocab=283, tokenizer="spm", off=NORMS + ("rope",)),
    # Llama 3: a divisor for every frequency. One head of keys for eight of queries.
    "llama3": dict(arch="llama", n_layer=3, n_embd=(192, 256), n_ff=(320, 512), n_head=8, n_head_kv=1,
                   head_dim=(24, 40), n_vocab=301, tokenizer="llama-bpe", tied=True, keys={"rope.freq_base": 500.0},
                   factors={"rope_freqs": (ramp(12, 1.0, 8.0), ramp(20, 1.0, 8.0))}, off=("rope_freqs",)),
    "llama-linear": dict(arch="llama", n_layer=2, n_embd=(224, 256), n_ff=(160, 256), n_head=4, n_head_kv=4,
                         head_dim=56, n_vocab=259, tokenizer="spm", tied=(False, True),
                         keys={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}, off=("rope_scaling",)),
    # The base and the original context are such that the ramp begins and ends inside a head.
    "llama-yarn": dict(arch="llama", n_layer=3, n_embd=(192, 256), n_ff=(256, 512), n_head=6, n_head_kv=1, head_dim=48,
                       n_vocab=277, tokenizer="spm", sizes=dict(qk=1.2),
                       keys={"rope.scaling.type": "yarn", "rope.scaling.factor": 16.0, "rope.freq_base": 100.0,
                             "rope.scaling.original_context_length": 256, "rope.scaling.attn_factor": 1.1},
                       off=("rope_scaling", "yarn_ramp", "rope_magnitude")),
    # Every bias that llama.cpp reads.
    "llama-bias": dict(arch="llama", n_layer=2, n_embd=(128, 256), n_ff=(224, 256), n_head=4, n_head_kv=1, head_dim=40,
                       n_vocab=263, tokenizer="spm", qkv_bias=True, o_bias=True, ffn_bias=True, off=LLAMA_BIASES),
    # Mixtral: two experts of eight; and all of four.
    "llama-moe": dict(arch="llama", n_layer=2, n_embd=(160, 256), n_ff=(96, 256), n_head=4, n_head_kv=2, head_dim=40,
                      n_vocab=269, tokenizer="spm", n_expert=8, n_expert_used=2, seed=(3, 5), **EXPERTS,
                      off=("normalized_routes",)),
    "llama-moe-all": dict(arch="llama", n_layer=2, n_embd=(160, 256), n_ff=(96, 256), n_head=4, n_head_kv=1,
                          head_dim=40, n_vocab=271, tokenizer="spm", n_expert=4, n_expert_used=4, **EXPERTS, off=()),
    # ---- smollm3: the fourth layer has no rope, which the file doesn't say.
    "smollm3": dict(arch="smollm3", n_layer=5, n_embd=(160, 256), n_ff=(224, 256), n_head=(8, 16), n_head_kv=(2, 4),
                    head_dim=(20, 16), n_vocab=311, tokenizer="llama-bpe", tied=True, explicit_head=False,
                    off=NORMS + ("layers_without_rope", "rope")),
    # ---- qwen: rope of the head's halves.
    "qwen2": dict(arch="qwen2", n_layer=3, n_embd=(224, 256), n_ff=(192, 512), n_head=(14, 16), n_head_kv=2,
                  head_dim=16, n_vocab=293, tied=(True, False), qkv_bias=True, explicit_head=False,
                  off=NORMS + ("q_bias", "k_bias", "v_bias", "rope")),
    "qwen3": dict(arch="qwen3", n_layer=3, n_embd=(192, 256), n_ff=(320, 512), n_head=6, n_head_kv=2, head_dim=48,
                  n_vocab=307, tied=(False, True), qk_norm="head", sizes=dict(qk=0.7),
                  off=NORMS + ("q_norm", "k_norm", "rope")),
    "qwen3moe": dict(arch="qwen3moe", n_layer=2, n_embd=(160, 256), n_ff=(384, 512), n_head=4, n_head_kv=1, head_dim=56,
                     n_vocab=313, qk_norm="head", n_expert=16, n_expert_used=4, n_ff_exp=(96, 256), seed=8,
                     sizes=dict(qk=0.7, v=1.3, gate=1.6, down=1.0, spread=0.2),
                     off=NORMS + ("q_norm", "k_norm", "normalized_routes")),
    # ---- gemma2: windows in even layers, both caps where they bite.
    "gemma2": dict(arch="gemma2", n_layer=4, n_embd=(160, 256), n_ff=(256, 512), n_head=4, n_head_kv=2, head_dim=56,
                   n_vocab=317, **GEMMA, sizes=dict(qk=1.4, embedding=0.5),
                   keys={"attention.sliding_window": 24, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 1.0},
                   off=NORMS + ("attn_post_norm", "ffn_post_norm", "embedding_scale", "window", "window_pattern",
                                "attn_softcap", "final_softcap", "gelu")),
    # llama.cpp takes 46 layers for the 27B, whose attention scale is that of n_embd / n_head.
    "gemma2-27b": dict(arch="gemma2", n_layer=46, n_embd=(96, 256), n_ff=(96, 256), n_head=(8, 2), n_head_kv=(4, 1),
                       head_dim=(40, 48), n_vocab=261, n_positions=131, **GEMMA, sizes=GEMMA_27B,
                       keys={"attention.sliding_window": 24, "attn_logit_softcapping": 8.0,
                             "final_logit_softcapping": 2.0},
                       off=("attention_scale",)),
    # ---- gemma3: five layers with a window and the default base, then one with neither and scaled.
    "gemma3": dict(arch="gemma3", n_layer=7, n_embd=(160, 256), n_ff=(224, 256), n_head=4, n_head_kv=1, head_dim=56,
                   n_vocab=323, **GEMMA, qk_norm="head", sizes=dict(qk=0.7, embedding=0.6),
                   keys={"attention.sliding_window": 24, "rope.freq_base": 5000.0, "rope.scaling.type": "linear",
                         "rope.scaling.factor": 8.0},
                   off=NORMS + ("q_norm", "k_norm", "attn_post_norm", "ffn_post_norm", "embedding_scale", "window",
                        "window_pattern", "local_rope", "global_rope", "global_rope_scaling", "gelu")),
    # 62 layers: the 27B's attention scale.
    "gemma3-27b": dict(arch="gemma3", n_layer=62, n_embd=(96, 256), n_ff=(96, 256), n_head=(8, 2), n_head_kv=(4, 1),
                       head_dim=(40, 48), n_vocab=261, n_positions=131, **GEMMA, qk_norm="head",
                       sizes=GEMMA_27B,
                       keys={"attention.sliding_window": 24, "rope.freq_base": 1000000.0}, off=("attention_scale",)),
    # The pattern and the windowed layers' base said by the file, and a cap (Rnj-1 has one).
    "gemma3-said": dict(arch="gemma3", n_layer=4, n_embd=(192, 256), n_ff=(160, 256), n_head=8, n_head_kv=1,
                        head_dim=40, n_vocab=263, **GEMMA, qk_norm="head", sizes=dict(embedding=0.6),
                        keys={"attention.sliding_window": 17, "attention.sliding_window_pattern": layers("-ww-"),
                              "rope.freq_base": 1000.0, "rope.freq_base_swa": 30.0, "final_logit_softcapping": 1.0},
                        off=("window", "local_rope", "final_softcap")),
    # ---- phi3: one file, once with n_ctx up to the original context, once above.
    "phi3-short": dict(PHI3_LONGROPE, n_ctx=256),
    "phi3-long": dict(PHI3_LONGROPE, n_ctx=512),
    # Phi-4: none of that.
    "phi4": dict(PHI3, n_vocab=337, weights="phi4", keys={"attention.sliding_window": 0}, off=NORMS + ("rope",)),
    # ---- granite: four multipliers.
    "granite": dict(arch="granite", n_layer=3, n_embd=(160, 256), n_ff=(224, 512), n_head=(4, 16), n_head_kv=(2, 4),
                    head_dim=(40, 16), n_vocab=347, tied=True, embedding_scale=6.0, explicit_head=False,
                    sizes=dict(qk=(1.8, 1.9), v=2.5, o=2.0, down=2.5),
                    keys={"embedding_scale": 6.0, "residual_scale": 0.3, "attention.scale": (0.06, 0.07),
                          "logit_scale": 5.0},
                    off=NORMS + ("embedding_scale", "residual_scale", "attention_scale", "logit_scale", "rope")),
    # With experts, and one that all tokens use.
    "granite-moe": dict(arch="granitemoe", n_layer=2, n_embd=(160, 256), n_ff=(96, 256), n_head=(4, 16),
                        n_head_kv=(1, 2), head_dim=(40, 16), n_vocab=349, tied=True, embedding_scale=6.0, explicit_head=False,
                        n_expert=8, n_expert_used=3, n_ff_shexp=(64, 256), seed=(7, 8),
                        sizes=dict(qk=(1.8, 1.9), v=2.5, o=2.0, gate=1.6, down=2.5, spread=0.2),
                        keys={"embedding_scale": 6.0, "residual_scale": 0.3, "attention.scale": (0.06, 0.07),
                              "logit_scale": 5.0},
                        off=("embedding_scale", "residual_scale", "attention_scale", "logit_scale", "normalized_routes",
                             "shared_expert")),
    # ---- olmo2: norms after the branches only, and over whole projections.
    "olmo2": dict(arch="olmo2", n_layer=3, n_embd=(160, 256), n_ff=(288, 512), n_head=(10, 16), n_head_kv=2,
                  head_dim=16, n_vocab=353, pre_norm=False, post_norm=True, qk_norm="whole", explicit_head=False,
                  off=("q_norm", "k_norm", "attn_post_norm", "ffn_post_norm", "output_norm", "rope")),
    # OLMo 3: every fourth layer sees everything and has YaRN. The yarn_ keys are ignored.
    "olmo3": dict(arch="olmo2", n_layer=5, n_embd=(192, 256), n_ff=(256, 256), n_head=(12, 16), n_head_kv=(4, 16),
                  head_dim=16, n_vocab=359, pre_norm=False, post_norm=True, qk_norm="whole", explicit_head=False,
                  keys={"attention.sliding_window": 24, "rope.scaling.type": "yarn", "rope.scaling.factor": 32.0,
                        "rope.scaling.original_context_length": 64, "rope.scaling.yarn_attn_factor": 3.0,
                        "rope.scaling.yarn_beta_fast": 4.0, "rope.freq_base": 1000.0},
                  off=("window", "window_pattern", "rope_scaling", "yarn_ramp", "rope_magnitude", "local_rope")),
}


def all_cases():
    return [(name, file_format) for name in CASES for file_format in FORMATS]


def case(name, file_format):
    return Case(name, file_format, **CASES[name])
