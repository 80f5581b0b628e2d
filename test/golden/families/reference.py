# SPDX-License-Identifier: MIT
"""A forward pass of all families in numpy, after llama.cpp's graphs (see README.md): a second opinion.

It proves that what we believe about the graphs is what llama.cpp computes, says how much each feature
moves the logits (Model.switch_off), and how large the error of int8 activations is (quantize=True).
"""
import math

import numpy as np


def dequantize(kind, data, n_cols):
    """[n_rows, n_cols] in binary32 from the bytes of a tensor, by ggml's rules."""
    raw = np.frombuffer(data, np.uint8)
    if kind == 0:
        return raw.view("<f4").reshape(-1, n_cols)
    if kind == 8:
        blocks = raw.reshape(-1, 34)
        d = blocks[:, :2].copy().view("<f2").astype(np.float32)
        return (d * blocks[:, 2:].view(np.int8).astype(np.float32)).reshape(-1, n_cols)
    if kind == 6:
        blocks = raw.reshape(-1, 22)
        d = blocks[:, :2].copy().view("<f2").astype(np.float32)
        high = blocks[:, 2:6].copy().view("<u4")
        q = blocks[:, 6:]
        bit = (high >> np.arange(32, dtype=np.uint32)) & 1
        q = np.concatenate([q & 15, q >> 4], axis=1).astype(np.int32) | (bit << 4).astype(np.int32)
        return (d * (q - 16).astype(np.float32)).reshape(-1, n_cols)
    if kind == 12:
        blocks = raw.reshape(-1, 144)
        d = blocks[:, :2].copy().view("<f2").astype(np.float32)
        dmin = blocks[:, 2:4].copy().view("<f2").astype(np.float32)
        s = blocks[:, 4:16]
        scale = np.concatenate([s[:, 0:4] & 63, (s[:, 8:12] & 15) | (s[:, 0:4] >> 6) << 4], axis=1)
        minimum = np.concatenate([s[:, 4:8] & 63, (s[:, 8:12] >> 4) | (s[:, 4:8] >> 6) << 4], axis=1)
        q = blocks[:, 16:].reshape(-1, 4, 32)
        q = np.stack([q & 15, q >> 4], axis=2).reshape(-1, 8, 32).astype(np.float32)
        w = (d * scale.astype(np.float32))[:, :, None] * q - (dmin * minimum.astype(np.float32))[:, :, None]
        return w.reshape(-1, n_cols)
    if kind == 14:
        blocks = raw.reshape(-1, 210)
        low, high = blocks[:, :128].reshape(-1, 2, 64), blocks[:, 128:192].reshape(-1, 2, 32)
        scale = blocks[:, 192:208].view(np.int8).astype(np.float32)
        d = blocks[:, 208:].copy().view("<f2").astype(np.float32)
        parts = [low[:, :, :32] & 15, low[:, :, 32:] & 15, low[:, :, :32] >> 4, low[:, :, 32:] >> 4]
        q = np.stack([p | ((high >> 2 * i) & 3) << 4 for i, p in enumerate(parts)], axis=2)
        q = q.reshape(-1, 16, 16).astype(np.float32) - 32
        return ((d * scale)[:, :, None] * q).reshape(-1, n_cols)
    raise ValueError(kind)


def rope_table(n_dims, base, scale, factors=None, yarn_context=0):
    """[n_dims / 2] angles per position. scale is 1 / factor; yarn_context != 0: YaRN with ggml's defaults."""
    i = np.arange(n_dims // 2, dtype=np.float64)
    extrapolated = base ** (-2 * i / n_dims) / (1 if factors is None else np.asarray(factors, np.float64))
    interpolated = extrapolated * scale
    if not yarn_context:
        return interpolated

    def turns(n):
        return n_dims * math.log(yarn_context / (n * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(0, math.floor(turns(32))), min(n_dims - 1, math.ceil(turns(1)))
    mix = 1 - np.clip((i - low) / max(0.001, high - low), 0, 1)
    return interpolated * (1 - mix) + extrapolated * mix


class Model:
    """The packed configuration and the weights; what can be switched off is an attribute."""

    def __init__(self, keys, tensors, n_ctx):
        arch = self.arch = keys["general.architecture"]
        self.t = {name: dequantize(kind, data, shape[0]) for name, shape, kind, data in tensors}
        self.quantized = {name for name, _, kind, _ in tensors if kind != 0}

        def key(name, default=None):
            return keys.get(f"{arch}.{name}", default)

        self.n_layer, self.n_embd = key("block_count"), key("embedding_length")
        self.n_head, self.n_head_kv = key("attention.head_count"), key("attention.head_count_kv")
        self.head_dim = key("attention.key_length", self.n_embd // self.n_head)
        self.eps = np.float32(key("attention.layer_norm_rms_epsilon"))
        self.n_expert_used, self.n_expert = key("expert_used_count", 0), key("expert_count", 0)
        self.normalize_routes = True

        # Scales.
        gemma, granite = arch in ("gemma2", "gemma3"), arch in ("granite", "granitemoe")
        self.embedding_scale = math.sqrt(self.n_embd) if gemma else key("embedding_scale", 1.0) if granite else 1.0
        self.residual_scale = key("residual_scale", 1.0) if granite else 1.0
        self.logit_scale = 1.0 / key("logit_scale") if granite else 1.0
        self.attention_scale = 1 / math.sqrt(self.head_dim)
        if granite:
            self.attention_scale = key("attention.scale", 0.0) or self.attention_scale
        if (arch, self.n_layer) in (("gemma2", 46), ("gemma3", 62)):
            self.attention_scale = 1 / math.sqrt(self.n_embd // self.n_head)
        self.attention_softcap = key("attn_logit_softcapping", 50.0) if arch == "gemma2" else 0.0
        self.final_softcap = key("final_logit_softcapping", 30.0 if arch == "gemma2" else 0.0) if gemma else 0.0
        self.activation = "gelu" if gemma else "silu"
        self.half_split = arch in ("qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3", "olmo2")

        # Windows: a layer with one sees its own and the window - 1 positions before it.
        window = key("attention.sliding_window", 4096 if arch == "gemma2" else 0)
        period = {"gemma2": 2, "gemma3": 6, "olmo2": 4}.get(arch, 1)  # others: the key is ignored
        pattern = key("attention.sliding_window_pattern", period)
        if hasattr(pattern, "items"):
            local = list(pattern.items)
        else:
            local = [pattern == 0 or i % pattern < pattern - 1 for i in range(self.n_layer)]
        if period == 1 or not window:
            local = [False] * self.n_layer
        self.window = [window if x else 0 for x in local]
        self.stated_window = key("attention.sliding_window", 0)

        # Rope.
        self.n_rot = key("rope.dimension_count", self.head_dim)
        base = key("rope.freq_base", 10000.0)
        kind = key("rope.scaling.type", "linear")
        factor = key("rope.scaling.factor", 0.0) or 1.0
        scale = 1.0 if kind == "none" else 1 / factor
        context = key("rope.scaling.original_context_length", key("context_length"))
        long, short, factors = (self.t.get(f"rope_{stem}.weight", [None])[0]
                                for stem in ("factors_long", "factors_short", "freqs"))
        other = None
        if factors is None:
            factors, other = (long, short) if n_ctx > context else (short, long)
        yarn = context if kind == "yarn" else 0
        magnitude = key("rope.scaling.attn_factor", 1.0)
        if yarn and factor > 1:
            magnitude *= 1 + 0.1 * math.log(factor)
        everywhere = rope_table(self.n_rot, base, scale, factors, yarn)
        self.rope, self.magnitude = [everywhere] * self.n_layer, [magnitude] * self.n_layer
        self.plain_rope = rope_table(self.n_rot, base, 1.0)
        self.other_rope = rope_table(self.n_rot, base, scale, other, yarn)
        self.scaled_rope = rope_table(self.n_rot, base, scale, factors)
        for i in range(self.n_layer):
            if local[i] and arch == "gemma2":
                swa_base = key("rope.freq_base_swa", base)
                self.rope[i] = rope_table(self.n_rot, swa_base, 1 / factor, None, yarn)
            elif local[i] and arch == "gemma3":
                self.rope[i] = rope_table(self.n_rot, key("rope.freq_base_swa", 10000.0), 1.0)
                self.magnitude[i] = key("rope.scaling.attn_factor", 1.0)
            elif local[i] and arch == "olmo2":
                self.rope[i], self.magnitude[i] = self.plain_rope, 1.0
            elif arch == "smollm3" and (i + 1) % 4 == 0:
                self.rope[i] = None

    # ---- Switching off

    def drop(self, *suffixes):
        for suffix in suffixes:
            gone = [name for name in self.t if name.endswith(suffix)]
            assert gone, suffix
            for name in gone:
                del self.t[name]

    def switch_off(self, what):
        every = range(self.n_layer)
        drops = {
            "attn_norm": ["attn_norm.weight"], "ffn_norm": ["ffn_norm.weight"], "output_norm": ["output_norm.weight"],
            "q_norm": ["attn_q_norm.weight"], "k_norm": ["attn_k_norm.weight"],
            "attn_post_norm": ["post_attention_norm.weight"], "ffn_post_norm": ["post_ffw_norm.weight"],
            "q_bias": ["attn_q.bias"], "k_bias": ["attn_k.bias"], "v_bias": ["attn_v.bias"],
            "attn_output_bias": ["attn_output.bias"], "gate_bias": ["ffn_gate.bias"], "up_bias": ["ffn_up.bias"],
            "down_bias": ["ffn_down.bias"], "output_bias": ["output.bias"],
        }
        if what in drops:
            self.drop(*drops[what])
        elif what == "rope":
            self.rope = [None] * self.n_layer
        elif what in ("rope_freqs", "rope_scaling", "longrope"):  # plain frequencies in all layers
            self.rope = [None if r is None else self.plain_rope for r in self.rope]
        elif what == "yarn_ramp":  # linear scaling instead
            self.rope = [r if self.window[i] else self.scaled_rope for i, r in enumerate(self.rope)]
        elif what == "rope_magnitude":
            self.magnitude = [1.0] * self.n_layer
        elif what == "partial_rotation":  # the last pairs turn like the last of those that should
            more = np.full((self.head_dim - self.n_rot) // 2, self.rope[0][-1])
            self.n_rot, self.rope = self.head_dim, [np.append(r, more) for r in self.rope]
        elif what == "other_longrope":
            self.rope = [self.other_rope] * self.n_layer
        elif what == "layers_without_rope":
            self.rope = [self.plain_rope] * self.n_layer
        elif what == "local_rope":  # the global table in layers with a window
            table = next(self.rope[i] for i in every if not self.window[i])
            size = next(self.magnitude[i] for i in every if not self.window[i])
            self.rope, self.magnitude = [table] * self.n_layer, [size] * self.n_layer
        elif what == "global_rope":  # the local table in layers without
            table = next(self.rope[i] for i in every if self.window[i])
            self.rope = [table] * self.n_layer
        elif what == "global_rope_scaling":
            self.rope = [r if self.window[i] else self.plain_rope for i, r in enumerate(self.rope)]
        elif what == "window":
            self.window = [0] * self.n_layer
        elif what == "window_pattern":  # a window in every layer
            self.window = [max(self.window)] * self.n_layer
        elif what == "ignored_window":
            self.window = [self.stated_window] * self.n_layer
        elif what == "attn_softcap":
            self.attention_softcap = 0.0
        elif what == "final_softcap":
            self.final_softcap = 0.0
        elif what in ("embedding_scale", "residual_scale", "logit_scale"):
            setattr(self, what, 1.0)
        elif what == "attention_scale":
            self.attention_scale = 1 / math.sqrt(self.head_dim)
        elif what == "gelu":
            self.activation = "silu"
        elif what == "half_split":
            self.half_split = not self.half_split
        elif what == "normalized_routes":
            self.normalize_routes = False
        elif what == "shared_expert":
            self.drop("_shexp.weight")
        else:
            raise ValueError(what)

    # ---- The pass

    def matmul(self, name, x, expert=None):
        w = self.t[name + ".weight"]
        if expert is not None:
            rows = len(w) // self.n_expert
            w = w[expert * rows : (expert + 1) * rows]
        if self.quantize and name + ".weight" in self.quantized:
            x = int8_activations(x)
        y = x @ w.T.astype(x.dtype)
        bias = self.t.get(name + ".bias")
        return y if bias is None else y + bias[0]

    def norm(self, name, x, n_cols=None):
        w = self.t.get(name + ".weight")
        if w is None:
            return x
        shape = x.shape
        x = x.reshape(-1, n_cols or shape[-1])
        return (x / np.sqrt((x * x).mean(axis=1, keepdims=True) + self.eps) * w[0]).reshape(shape)

    def rotate(self, x, layer):
        """x: [n_positions, n_heads, head_dim]"""
        if self.rope[layer] is None:
            return x
        angle = np.arange(len(x))[:, None, None] * self.rope[layer]
        c, s = np.cos(angle) * self.magnitude[layer], np.sin(angle) * self.magnitude[layer]
        out = x.copy()
        n = self.n_rot
        first, second = ((slice(0, n // 2), slice(n // 2, n)) if self.half_split else
                         (slice(0, n, 2), slice(1, n, 2)))
        a, b = x[..., first], x[..., second]
        out[..., first], out[..., second] = a * c - b * s, a * s + b * c
        return out

    def attention(self, x, i):
        b = f"blk.{i}."
        n, d = len(x), self.head_dim
        if b + "attn_qkv.weight" in self.t:
            q, k, v = np.split(self.matmul(b + "attn_qkv", x), [self.n_head * d, (self.n_head + self.n_head_kv) * d], 1)
        else:
            q, k, v = (self.matmul(b + "attn_" + part, x) for part in "qkv")
        whole = self.arch == "olmo2"  # the QK norm is over the whole projection
        q = self.norm(b + "attn_q_norm", q, None if whole else d).reshape(n, self.n_head, d)
        k = self.norm(b + "attn_k_norm", k, None if whole else d).reshape(n, self.n_head_kv, d)
        q, k, v = self.rotate(q, i), self.rotate(k, i), v.reshape(n, self.n_head_kv, d)
        group = self.n_head // self.n_head_kv
        k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
        scores = np.einsum("phd,thd->hpt", q, k) * self.attention_scale
        if self.attention_softcap:
            scores = self.attention_softcap * np.tanh(scores / self.attention_softcap)
        behind = np.arange(n)[:, None] - np.arange(n)[None, :]
        seen = (behind >= 0) & ((behind < self.window[i]) if self.window[i] else True)
        scores = np.where(seen, scores, -np.inf)
        p = np.exp(scores - scores.max(axis=2, keepdims=True))
        p /= p.sum(axis=2, keepdims=True)
        return self.matmul(b + "attn_output", np.einsum("hpt,thd->phd", p, v).reshape(n, -1))

    def act(self, gate, up):
        if self.activation == "silu":
            return gate / (1 + np.exp(-gate)) * up
        return 0.5 * gate * (1 + np.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate ** 3))) * up

    def feed_forward(self, x, i):
        b = f"blk.{i}."
        if b + "ffn_gate_inp.weight" in self.t:
            return self.experts(x, i)
        if b + "ffn_gate.weight" in self.t:
            gate, up = self.matmul(b + "ffn_gate", x), self.matmul(b + "ffn_up", x)
        else:
            gate, up = np.split(self.matmul(b + "ffn_up", x), 2, axis=1)
        return self.matmul(b + "ffn_down", self.act(gate, up))

    def experts(self, x, i):
        b = f"blk.{i}."
        logits = self.matmul(b + "ffn_gate_inp", x)
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        chosen = np.argsort(-p, axis=1, kind="stable")[:, : self.n_expert_used]
        self.routes[:, i] = chosen
        weight = np.take_along_axis(p, chosen, 1)
        if self.normalize_routes:
            weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), 6.103515625e-5)
        out = np.zeros_like(x)
        for e in range(self.n_expert):
            row, slot = np.nonzero(chosen == e)
            if len(row):
                inner = self.act(self.matmul(b + "ffn_gate_exps", x[row], e), self.matmul(b + "ffn_up_exps", x[row], e))
                out[row] += self.matmul(b + "ffn_down_exps", inner, e) * weight[row, slot][:, None]
        if b + "ffn_up_shexp.weight" in self.t:
            inner = self.act(self.matmul(b + "ffn_gate_shexp", x), self.matmul(b + "ffn_up_shexp", x))
            out += self.matmul(b + "ffn_down_shexp", inner)
        return out

    def forward(self, tokens, quantize=False):
        """Logits [n_positions, n_vocab]. self.routes: [n_positions, n_layer, n_expert_used]."""
        self.quantize = quantize
        self.routes = np.zeros((len(tokens), self.n_layer, self.n_expert_used), np.int64)
        x = self.t["token_embd.weight"][tokens].astype(np.float64) * self.embedding_scale
        self.trace = [rms(x)]
        for i in range(self.n_layer):
            b = f"blk.{i}."
            y = self.attention(self.norm(b + "attn_norm", x), i)
            y = self.norm(b + "post_attention_norm", y) * self.residual_scale
            self.trace.append(rms(y))
            x = x + y
            y = self.feed_forward(self.norm(b + "ffn_norm", x), i)
            y = self.norm(b + "post_ffw_norm", y) * self.residual_scale
            self.trace.append(rms(y))
            x = x + y
        x = self.norm("output_norm", x)
        logits = self.matmul("output" if "output.weight" in self.t else "token_embd", x) * self.logit_scale
        if self.final_softcap:
            logits = self.final_softcap * np.tanh(logits / self.final_softcap)
        return logits


def rms(x):
    return float(np.sqrt((x * x).mean()))


def int8_activations(x):
    """What int8 blocks of 32 with a binary32 scale keep of x, as AXIOM's kernels do it."""
    n_cols = x.shape[1]
    padded = np.pad(x, ((0, 0), (0, -n_cols % 32))).reshape(len(x), -1, 32)
    scale = np.abs(padded).max(axis=2, keepdims=True) / 127
    q = np.rint(padded / np.where(scale == 0, 1, scale))
    return (q * scale).reshape(len(x), -1)[:, :n_cols]


def relative_error(found, wanted):
    """(overall, median over positions) relative RMS error."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    diff2, ref2 = ((found - wanted) ** 2).sum(axis=1), (wanted ** 2).sum(axis=1)
    return math.sqrt(diff2.sum() / ref2.sum()), float(np.median(np.sqrt(diff2 / ref2)))
