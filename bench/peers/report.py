# SPDX-License-Identifier: MIT
"""From samples to figures: medians, ratios, shares of the machine's peaks, as a dictionary, a table
for people and one HTML page that fetches nothing.
Must not know: how samples are taken."""
import html as markup
import statistics

import tests
from workshop import FORMATS, SHAPES, layer_macs


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values),
            "n": len(values)}


def macs(shape_name, test):
    """Multiply-adds with weights of one token; a prompt needs the logits of its last one only."""
    layers, output = layer_macs(SHAPES[shape_name])
    return layers + (output / test.n_tokens if test.kind == "pp" else output)


def peak_rows(measured):
    """Per thread count: the best reading of each round, whichever pages gave it, and the fastest
    dot product; over the rounds their medians."""
    rows = []
    for n_threads in sorted({m["n_threads"] for m in measured}):
        mine = [m for m in measured if m["n_threads"] == n_threads]
        reads = [max(m["read"], key=lambda r: r["gb_per_s"]) for m in mine if m["read"]]
        dots = [max(m["dot"], key=lambda d: d["gmac_per_s"]) for m in mine if m["dot"]]
        row = {"n_threads": n_threads}
        if reads:
            row["read_gb_per_s"] = spread([r["gb_per_s"] for r in reads])
            row["read_loop"] = reads[-1]["loop"]
            for pages in ("4k", "2m"):
                values = [r["gb_per_s"] for m in mine for r in m["read"] if r["pages"] == pages]
                if values:
                    row[f"read_{pages}_gb_per_s"] = spread(values)
            huge = [r["huge_page_bytes"] / r["buffer_bytes"] for m in mine for r in m["read"]
                    if r["pages"] == "2m"]
            row["share_in_2m_pages"] = min(huge, default=None)
        if dots:
            row["dot_gmac_per_s"] = spread([d["gmac_per_s"] for d in dots])
            row["dot_instruction"] = dots[-1]["instruction"]
        rows.append(row)
    return rows


def program_figures(name, samples, test, peak):
    out = {**spread([s["ts"] for s in samples]), "samples_ts": [s["ts"] for s in samples]}
    ts, record = out["median"], samples[-1]["record"]
    out["build_commit"] = record.get("build_commit")
    if name == "axiom":
        out["kernel_sets"] = sorted({s["record"]["kernel_set"] for s in samples})
        out["logits_hashes"] = sorted({s["record"]["logits_hash"] for s in samples})
    if test.kind == "tg" and test.n_sequences == 1:
        n_bytes = (record["weight_bytes_per_token"] if name == "axiom"
                   else samples[-1]["model_facts"]["bytes_per_token"])
        out["bytes_per_token"] = n_bytes
        out["gb_per_s"] = n_bytes * ts * 1e-9
        if "read_gb_per_s" in peak:
            out["read_share"] = out["gb_per_s"] / peak["read_gb_per_s"]["median"]
    else:
        out["gmac_per_s"] = macs(samples[-1]["shape"], test) * ts * 1e-9
        if "dot_gmac_per_s" in peak:
            out["peak_share"] = out["gmac_per_s"] / peak["dot_gmac_per_s"]["median"]
    return out


def in_order(values, known=()):
    """Each once: the known ones first, in their order, then by first appearance."""
    seen = list(dict.fromkeys(values))
    return [v for v in known if v in seen] + [v for v in seen if v not in known]


def make(samples, peaks, failures, facts):
    peak_list = peak_rows(peaks)
    peak_of = {p["n_threads"]: p for p in peak_list}
    programs = in_order((s["program"] for s in samples), ["axiom", "llama.cpp"])
    all_models = [(shape, kind) for shape in SHAPES for kind in FORMATS]
    rows, models = [], []
    for shape, kind in in_order(((s["shape"], s["format"]) for s in samples), all_models):
        mine = [s for s in samples if (s["shape"], s["format"]) == (shape, kind)]
        models.append({"shape": shape, "format": kind, **mine[-1]["model_facts"]})
        cells = {(tests.parse(s["test"]), s["n_threads"]) for s in mine}
        for test, n_threads in sorted(cells, key=lambda c: (c[0].order(), c[1])):
            row = {"shape": shape, "format": kind, "n_threads": n_threads, "test": str(test),
                   "programs": {}, "ratios": {}}
            for name in programs:
                of_program = [s for s in mine if s["program"] == name
                              and (s["n_threads"], s["test"]) == (n_threads, str(test))]
                if of_program:
                    row["programs"][name] = program_figures(name, of_program, test,
                                                            peak_of.get(n_threads, {}))
            ours = row["programs"].get("axiom")
            for name, figures in row["programs"].items():
                if name != "axiom" and ours:
                    row["ratios"][name] = ours["median"] / figures["median"]
            rows.append(row)
    n_rounds = 1 + max((s["round"] for s in samples), default=-1)
    return {"axiom_bench_peers": 2, **facts, "rounds": n_rounds, "programs": programs,
            "peaks": peak_list, "rows": rows, "models": models,
            "failures": [{"program": p, "model": m, "test": t, "error": e}
                         for (p, m, t), e in failures.items()]}


# ---- for people --------------------------------------------------------------------------------

def rate(value):
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def percent(value):
    return f"{value * 100:.0f} %"


def work(figures):
    """Effective GB/s of weights and its share of the read bandwidth, or GMAC/s and its share of the
    dot-product peak."""
    amount = (f"{figures['gb_per_s']:.2f} GB/s" if "gb_per_s" in figures
              else f"{figures['gmac_per_s']:.1f} GMAC/s")
    share = figures.get("read_share", figures.get("peak_share"))
    return amount, percent(share) if share is not None else ""


def counted(n, noun):
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def notes(report):
    """What a reader must know beside the figures."""
    lines = [f"{report['cpu']}, {report['system']}, {report['begun']}, "
             f"{counted(report['rounds'], 'round')}"]
    if report["status"] != "ok":
        lines.append(f"{report['status']}: fewer samples than asked for")
    lines.append(f"load {report['load_at_start']:.2f} at the start")
    for p in report["peaks"]:
        parts = []
        if "read_gb_per_s" in p:
            r = p["read_gb_per_s"]
            by_pages = ", ".join(f"{pages} pages {p[f'read_{pages}_gb_per_s']['median']:.2f}"
                                 for pages in ("4k", "2m") if f"read_{pages}_gb_per_s" in p)
            parts.append(f"reads {r['median']:.2f} GB/s ({r['min']:.2f}..{r['max']:.2f}; {by_pages}; "
                         f"{p['read_loop']})")
            if p["share_in_2m_pages"] is not None and p["share_in_2m_pages"] < 0.99:
                parts.append(f"only {percent(p['share_in_2m_pages'])} of it in 2 MiB pages")
        if "dot_gmac_per_s" in p:
            d = p["dot_gmac_per_s"]
            parts.append(f"{p['dot_instruction']} {d['median']:.1f} GMAC/s "
                         f"({d['min']:.1f}..{d['max']:.1f})")
        lines.append(f"{counted(p['n_threads'], 'thread')}: " + ", ".join(parts))
    for row in report["rows"]:
        ours = row["programs"].get("axiom", {})
        if len(ours.get("logits_hashes", [])) > 1:
            lines.append(f"axiom: {row['shape']} {row['format']} {row['test']}: logits hashes differ: "
                         f"{' '.join(ours['logits_hashes'])}")
    for f in report["failures"]:
        lines.append(f"{f['program']} on {f['model']}, {f['test']}: {f['error']}")
    return lines


def text(report):
    peers = report["programs"][1:]
    head = (f"{'model':<14} {'format':<7} {'thr':>3} {'test':<14} {'n':>2} {'axiom t/s':>10} "
            f"{'(min..max)':>18} {'work':>14} {'peak':>6}")
    head += "".join(f" {name[:12] + ' t/s':>16} {'(min..max)':>18} {'ratio':>6}" for name in peers)
    lines = [*notes(report), "", head]
    for row in report["rows"]:
        line = f"{row['shape']:<14} {row['format']:<7} {row['n_threads']:>3} {row['test']:<14}"
        ours = row["programs"].get("axiom")
        if ours:
            amount, share = work(ours)
            limits = f"({rate(ours['min'])}..{rate(ours['max'])})"
            line += f" {ours['n']:>2} {rate(ours['median']):>10} {limits:>18} {amount:>14} {share:>6}"
        else:
            line += f" {'':>2} {'-':>10} {'':>18} {'':>14} {'':>6}"
        for name in peers:
            theirs = row["programs"].get(name)
            if theirs is None:
                line += f" {'-':>16} {'':>18} {'':>6}"
                continue
            limits = f"({rate(theirs['min'])}..{rate(theirs['max'])})"
            ratio = f"{row['ratios'][name]:.2f}" if name in row["ratios"] else ""
            line += f" {rate(theirs['median']):>16} {limits:>18} {ratio:>6}"
        lines.append(line)
    return "\n".join(lines)


STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #66707a; --line: #d8dde2; --bg: #fff;
        --ours: #2563a8; --theirs: #a9b4bf; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --dim: #98a2ac; --line: #343a41;
        --bg: #15181c; --ours: #5b9be0; --theirs: #59636d; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--bg);
       max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p, li { color: var(--dim); } ul { padding-left: 1.2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--dim); font-size: .85rem; }
th, td { padding: .25rem .6rem; white-space: nowrap; }
td.num, th.num { text-align: right; } tr.first td { border-top: 1px solid var(--line); }
td.bar { width: 45%; } td.dim { color: var(--dim); font-size: .85rem; }
.bar div { height: .8rem; background: var(--theirs); border-radius: 2px; }
tr.ours .bar div { background: var(--ours); } tr.ours td { font-weight: 600; }
"""


def html(report):
    escape = markup.escape
    out = ["<!doctype html><html lang='en'><head><meta charset='utf-8'>",
           "<meta name='viewport' content='width=device-width'><title>AXIOM beside its peers</title>",
           f"<style>{STYLE}</style></head><body><h1>AXIOM beside its peers</h1>",
           "<p>Tokens per second: the median over the rounds, in which the programs took turns; every "
           "sample follows a warm-up run in the same process. Ratio: AXIOM's median over the other's. "
           "Peak: of the read bandwidth for tg of one sequence, of the 8-bit dot-product peak for pp and tg "
           "of more (x8: tokens of 8 sequences together), both measured in the same rounds with as many "
           "threads; weights only. @ d: tokens in the cache before.</p><ul>"]
    out += [f"<li>{escape(line)}</li>" for line in notes(report)]
    out.append("</ul>")
    groups = []
    for row in report["rows"]:
        if (row["shape"], row["test"]) not in groups:
            groups.append((row["shape"], row["test"]))
    for shape, test in groups:
        kind = "decode" if test.startswith("tg") else "prefill"
        out.append(f"<h2>{escape(shape)}, {kind} ({escape(test)})</h2><table><tr><th>format</th>"
                   "<th class='num'>threads</th><th>program</th><th class='num'>t/s</th><th></th>"
                   "<th>min..max, n</th><th class='num'>ratio</th><th class='num'>work</th>"
                   "<th class='num'>peak</th></tr>")
        rows = [r for r in report["rows"] if (r["shape"], r["test"]) == (shape, test)]
        rows.sort(key=lambda r: r["n_threads"])
        most = max(f["median"] for r in rows for f in r["programs"].values())
        for row in rows:
            for i, (name, f) in enumerate(row["programs"].items()):
                amount, share = work(f)
                ratio = f"{row['ratios'][name]:.2f}" if name in row["ratios"] else ""
                kinds = ("first " if i == 0 else "") + ("ours" if name == "axiom" else "")
                label = (f"<td>{escape(row['format'])}</td><td class='num'>{row['n_threads']}</td>"
                         if i == 0 else "<td></td><td></td>")
                out.append(
                    f"<tr class='{kinds}'>{label}<td>{escape(name)}</td>"
                    f"<td class='num'>{rate(f['median'])}</td><td class='bar'>"
                    f"<div style='width:{100 * f['median'] / most:.1f}%'></div></td>"
                    f"<td class='dim'>{rate(f['min'])}..{rate(f['max'])}, {f['n']}</td>"
                    f"<td class='num'>{ratio}</td><td class='num'>{amount}</td>"
                    f"<td class='num'>{share}</td></tr>")
        out.append("</table>")
    out.append("</body></html>\n")
    return "\n".join(out)
