# SPDX-License-Identifier: MIT
# The page of axiom-compare in headless Chromium: what its charts draw is what the files say, nothing is
# fetched or complained about, axe-core finds no violation, and it can be read by keyboard and on paper.
import collections
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "boot")]
import browser  # noqa: E402
import samples  # noqa: E402
import tally  # noqa: E402

WINDOWS = ((1280, 900), (390, 844))
SCHEMES = ("light", "dark")

# Each chart's points as uPlot has them, and how many of them have nothing painted near them.
POINTS = """
return [...document.querySelectorAll(".chart")].map((holder) => {
  const u = holder.chart, canvas = holder.querySelector("canvas");
  const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const painted = (x, y) => {
    for (let dy = -3; dy <= 3; dy++) {
      for (let dx = -3; dx <= 3; dx++) {
        const i = (Math.round(y) + dy) * canvas.width + Math.round(x) + dx;
        if (image.data[4 * i + 3] > 0) return true;
      }
    }
    return false;
  };
  let bare = 0;
  const series = u.series.slice(1).map((s, k) => {
    const points = [];
    u.data[0].forEach((x, i) => {
      const y = u.data[k + 1][i];
      if (y === undefined) return;
      points.push([x, y]);
      if (!painted(u.valToPos(x, "x", true), u.valToPos(y, "y", true))) bare++;
    });
    return { name: s.label, points };
  });
  const figure = holder.closest("figure");
  return { section: holder.closest("section").id, title: figure.querySelector("h3").textContent,
           text: figure.querySelector("figcaption p").textContent, bare, series,
           label: holder.getAttribute("aria-label"),
           cells: [...figure.querySelectorAll("td")].map((cell) => cell.textContent) };
});
"""
AXE = """
return axe.run(document, { resultTypes: ["violations"] }).then((result) => result.violations.map(
    (v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.target.join(" ")).join(", ")));
"""


def pooled(records, field):
    """[(upper end of a bin, share of times up to there)] of all histograms together."""
    counts = collections.Counter()
    for record in records:
        h = record[field]
        for i, n in enumerate(h["counts"]):
            counts[h["from_ns"] * 2 ** ((i + 1) / h["per_doubling"])] += n
    total, sum_so_far, out = sum(counts.values()), 0, []
    for edge in sorted(e for e in counts if counts[e]):
        sum_so_far += counts[edge]
        out.append((edge, sum_so_far / total))
    return out


def expected(files, compared):
    """{(section, title): {series: points}} of what the files say, for one chart of every kind."""
    first, second = files["first.jsonl"][1], files["second.jsonl"][1]
    runs = [r for r in first if r.get("test") == "tg32"]
    base = [r for r in runs if "disturb" not in r]
    slow = [r for r in runs if "disturb" in r]
    other = [r for r in second if r["test"] == "tg32"]
    work = "small-Q4_0, tg32, 2 threads"
    sides = {"first": base, "first:tick=1000": slow, "second": other}
    out = {}
    out["throughput", work] = {name: [(r["avg_ts"], i) for r in records]
                               for i, (name, records) in enumerate(sides.items())}
    for section, field in (("tokens", "token_histogram"), ("layer-times", "layer_histogram"),
                           ("boundaries", "boundary_histogram")):
        out[section, work] = {name: pooled(records, field) for name, records in sides.items()}
    rates = {name: [r["gb_per_s"] for r in records] for name, records in sides.items()}
    out["bandwidth", first[0]["cpu_info"] + ", 2 threads"] = {
        f"{name}: small-Q4_0, tg32": [(v, i) for v in values]
        for i, (name, values) in enumerate(rates.items())}
    ratio = next(r["pair"]["ratio"] for r in compared["rows"] if r["side"] == "first:tick=1000")
    out["ablation", "first: " + work] = {"tick=1000": [((ratio - 1) * 100, 0)]}

    stages = ("attention", "feed-forward", "boundary", "stall")
    middle = {}
    for name in ("first", "second"):
        passes = files[name + ".trace"][1][1:]
        middle[name] = [[statistics.median(p["layers"][n][s] for p in passes)
                         for n in range(samples.N_LAYER)] for s in range(len(stages))]
        # Columns on one another.
        out["layers", f"{name}: {work}, decode, 1 row"] = {
            stage: [(n, sum(middle[name][k][n] for k in range(s + 1))) for n in range(samples.N_LAYER)]
            for s, stage in enumerate(stages)}
    out["layers", f"second less first: {work}, decode, 1 row"] = {
        stage: [(n, middle["second"][s][n] - middle["first"][s][n]) for n in range(samples.N_LAYER)]
        for s, stage in enumerate(stages)}
    out["layers", f"Passes in order: {work}, decode, 1 row"] = {
        name: [(p["pass"], p["ns"]) for p in files[name + ".trace"][1][1:]]
        for name in ("first", "second")}

    cores = [r for r in first if r.get("kind") == "noise"]
    gaps = {}
    for r in cores:
        h = r["gap_histogram"]
        gaps[f"first, core {r['core']}"] = [
            (h["from_ns"] * 2 ** ((i + 0.5) / h["per_doubling"]), n / (r["duration_ns"] / 1e9))
            for i, n in enumerate(h["counts"]) if n]
    out["noise", "Gaps in which a core did nothing of ours"] = gaps
    out["noise", "A fixed amount of work"] = {
        f"first, core {r['core']}": pooled([r], "fwq_histogram") for r in cores}
    at, phases = 0, {}
    for i, phase in enumerate(second[0]["boot_phases"]):
        phases[phase["name"]] = [(at, i), (at + phase["ns"], i)]
        at += phase["ns"]
    out["boot", "second"] = phases
    return out


def difference(wanted, found):
    """None if both have the same points, up to the rounding of doubles."""
    if len(wanted) != len(found):
        return f"found {len(found)} points, expected {len(wanted)}"
    for a, b in zip(sorted(wanted), sorted(map(tuple, found))):
        if any(abs(x - y) > 1e-9 * max(abs(x), abs(y), 1e-3) for x, y in zip(a, b)):
            return f"found {b}, expected {a}"
    return None


def wrong_points(charts, wanted):
    problems = []
    by_title = {(c["section"], c["title"]): c for c in charts}
    for key, series in wanted.items():
        if key not in by_title:
            problems.append(f"no chart {key} among {sorted(by_title)}")
            continue
        found = {s["name"]: s["points"] for s in by_title[key]["series"]}
        for name, points in series.items():
            problem = difference(points, found.get(name, []))
            if problem:
                problems.append(f"{key}, {name}: {problem}")
    return "\n".join(problems) or None


def wordless(charts):
    return "\n".join(f"{c['section']}, {c['title']}" for c in charts
                     if not c["label"] or len(c["text"]) < 20 or len(c["cells"]) < 3) or None


class Checks:
    def __init__(self, page, files, compared, axe, chromium, results):
        self.page, self.axe, self.browser, self.results = page, axe, chromium, results
        self.files = files
        self.expected = expected(files, compared)

    def look(self, width, height, scheme):
        where = f"{scheme}, {width} pixels wide"
        b, result = self.browser, self.results.result
        b.look(width, height, scheme)
        b.log("performance")
        b.open(self.page)
        charts = b.run(POINTS)
        result(f"every chart has the points of the files: {where}", wrong_points(charts, self.expected))
        bare = [f"{c['section']}, {c['title']}: {c['bare']}" for c in charts if c["bare"]]
        result(f"every point is painted: {where}", "\n".join(bare) or None)
        result(f"every chart has words and a table: {where}", wordless(charts))
        wide = b.run("return document.documentElement.scrollWidth") - width
        result(f"nothing is wider than the window: {where}", f"{wide} pixels" if wide > 0 else None)
        b.run("document.querySelectorAll('details').forEach((d) => { d.open = true; });")
        b.run(self.axe)
        result(f"axe-core finds no violation: {where}", "\n".join(b.run(AXE)) or None)
        asked = [a for a in b.addresses() if a != self.page.resolve().as_uri()]
        result(f"nothing is fetched: {where}", "\n".join(asked) or None)
        said = [entry["message"] for entry in b.log("browser")]
        result(f"the console stays empty: {where}", "\n".join(said) or None)

    def keys(self):
        b = self.browser
        b.look(*WINDOWS[0], "light")
        b.open(self.page)
        # To the first slider by Tab alone, then along the points.
        for _ in range(60):
            b.press("Tab")
            if b.run("return document.activeElement.type === 'range'"):
                break
        b.press("ArrowRight", 3)
        found = b.run("""const slider = document.activeElement;
            return [slider.value, slider.closest(".tools").querySelector("output").textContent,
                    slider.getAttribute("aria-valuetext")];""")
        speeds = [r["avg_ts"] for name in ("first", "second") for r in self.files[name + ".jsonl"][1]
                  if r.get("test") == "pp64"]
        good = found[0] == "3" and found[1] == found[2] and any(f"{v:.5g}" in found[1] for v in speeds)
        self.results.result("the points of a chart are read by keyboard", None if good else str(found))

    def colours(self):
        """A chart follows when the system changes to dark while the page is open."""
        b = self.browser
        count = """const c = document.querySelector("canvas");
            const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
            const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
            const at = [1, 3, 5].map((i) => parseInt(ink.slice(i, i + 2), 16));
            let n = 0;
            for (let i = 0; i < d.length; i += 4) n += at.every((v, k) => d[i + k] === v) && d[i + 3] > 250;
            return [ink, n];"""
        b.look(*WINDOWS[0], "light")
        b.open(self.page)
        light = b.run(count)
        b.look(*WINDOWS[0], "dark")
        dark = b.run("return new Promise((done) => requestAnimationFrame(() => setTimeout(() => done((() => {"
                     + count + "})()), 100)))")
        good = light[1] > 0 and dark[1] > 0 and light[0] != dark[0]
        self.results.result("charts change with the system's colours", None if good else f"{light} {dark}")

    def paper(self):
        b = self.browser
        b.look(*WINDOWS[1], "dark")
        b.open(self.page)
        pdf = b.pdf()
        after = b.run("""return [document.documentElement.classList.contains("paper"),
            [...document.querySelectorAll(".chart")].every((c) => c.chart.width === c.clientWidth)];""")
        good = pdf.startswith(b"%PDF") and len(pdf) > 30000 and after == [False, True]
        self.results.result("it prints, and is as before afterwards", None if good else f"{len(pdf)} {after}")

    def texts(self):
        found = self.browser.run("return document.querySelectorAll('main i, main img').length")
        self.results.result("texts of files stay texts", f"{found} elements" if found else None)


def main():
    arguments = tally.arguments()
    results = tally.Tally()
    missing = [p for p in ("chromium", "chromedriver") if not shutil.which(p)]
    axe = arguments.build / "page" / "axe.js"
    if not axe.exists():
        missing.append("axe-core (npm)")
    if missing:
        what = "the page of axiom-compare in a browser"
        why = "found no " + ", no ".join(missing) + "; make deps-test"
        if os.environ.get("CI"):
            results.result(what, why)
        else:
            results.skip(what, why)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        page = folder / "report.html"
        files = samples.make(folder)
        command = [str(arguments.build / "axiom-compare"), "--json", "--html", str(page),
                   *(str(path) for path, _ in files.values())]
        done = subprocess.run(command, capture_output=True, text=True)
        results.result("axiom-compare writes a page of every kind of measurement",
                       None if done.returncode == 0 and not done.stderr
                       else f"exit status {done.returncode}: {done.stderr}")
        if done.returncode == 0 and not missing:
            with browser.Browser(folder / "profile") as chromium:
                checks = Checks(page, files, json.loads(done.stdout), axe.read_text(), chromium, results)
                for window in WINDOWS:
                    for scheme in SCHEMES:
                        checks.look(*window, scheme)
                checks.keys()
                checks.colours()
                checks.paper()
                checks.texts()
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
