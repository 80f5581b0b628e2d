// SPDX-License-Identifier: MIT
// Draws the charts of the page with uPlot from the data that the page carries. Without this script
// the page has the same figures as text and tables.
"use strict";
(function () {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const kRowHeight = 46, kLineHeight = 290, kPhoneHeight = 240, kPrintWidth = 660;
  const kDashes = [[], [7, 4], [2, 3]];  // as .swatch, .d1 and .d2
  const kFont = "system-ui, sans-serif";

  function css(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }
  const colour = (name) => css("--" + name);

  // ---- figures as people write them

  function digits(v, n) {
    return String(Number(v.toPrecision(n)));
  }
  function written(v, unit, n) {
    const size = Math.abs(v);
    if (unit === "ns") {
      if (size >= 1e9) return digits(v / 1e9, n) + " s";
      if (size >= 1e6) return digits(v / 1e6, n) + " ms";
      if (size >= 1e3) return digits(v / 1e3, n) + " µs";
      return digits(v, n) + " ns";
    }
    if (unit === "share") return digits(v * 100, 6) + " %";
    if (unit === "%") return (v > 0 ? "+" : "") + digits(v, n) + " %";
    return digits(v, n) + (unit ? " " + unit : "");
  }
  // At an axis, whose label has the unit.
  const ticked = (v, unit) => written(v, unit.includes("/") ? "" : unit, 3);

  // ---- axes

  // 1, 2 and 5 times powers of ten; where these are few, every 1 to 9.
  function logSplits(min, max) {
    for (const steps of [[1, 10], [1, 3, 10], [1, 2, 5, 10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]) {
      const out = new Set();
      for (let e = Math.floor(Math.log10(min)); e <= Math.ceil(Math.log10(max)); e++) {
        for (const s of steps) {
          const v = s * 10 ** e;
          if (v >= min * 0.999 && v <= max * 1.001) out.add(Number(v.toPrecision(3)));
        }
      }
      if (out.size >= 3) return [...out].sort((a, b) => a - b);
    }
    return [min, Math.sqrt(min * max), max];
  }
  function bounds(values, axis) {
    let min = Math.min(...values), max = Math.max(...values);
    if (axis.zero) min = Math.min(0, min), max = Math.max(0, max);
    if (axis.scale === "log") return min === max ? [min / 2, max * 2] : [min / 1.15, max * 1.15];
    const room = (max - min) * 0.04 || Math.abs(max) * 0.1 || 1;
    return [axis.zero && min === 0 ? 0 : min - room, axis.zero && max === 0 ? 0 : max + room];
  }
  function scaleOf(axis, values) {
    if (axis.scale === "rows") return { range: [-0.62, axis.rows.length - 0.38], dir: -1 };
    if (axis.scale === "nines") {
      const least = 10 ** -axis.nines;
      return { distr: 100, fwd: (v) => -Math.log10(Math.max(1 - v, least)), bwd: (s) => 1 - 10 ** -s,
               range: [0, 1 - least] };
    }
    const range = bounds(values, axis);
    return axis.scale === "log" ? { distr: 3, log: 10, range } : { range };
  }
  function axisOf(axis, side) {
    const out = {
      side, stroke: () => colour("dim"), font: "12px " + kFont, labelFont: "12px " + kFont,
      label: axis.label, labelSize: 18, labelGap: 0, size: side === 2 ? 34 : 68, gap: 4,
      grid: { stroke: () => colour("line"), width: 1 },
      ticks: { stroke: () => colour("line"), width: 1, size: 4 },
      values: (u, splits) => splits.map((v) => (v === null ? "" : ticked(v, axis.unit))),
      space: side === 2 ? 70 : 32,
    };
    if (side === 3) delete out.label;
    if (axis.scale === "log") {
      out.splits = (u, i, min, max) => logSplits(min, max);
      out.filter = (u, splits) => splits;
      out.values = (u, splits) => {
        const space = side === 2 ? u.bbox.width / devicePixelRatio / 62
                                 : u.bbox.height / devicePixelRatio / 18;
        const every = Math.max(1, Math.ceil(splits.length / space));
        return splits.map((v, i) => (i % every ? "" : ticked(v, axis.unit)));
      };
    }
    if (axis.scale === "nines") {
      out.filter = (u, splits) => splits;
      out.splits = () => [0, 0.5, ...Array.from({ length: Math.floor(axis.nines) },
                                                (_, i) => Number((1 - 10 ** -(i + 1)).toFixed(i + 1)))];
    }
    if (axis.scale === "whole") out.incrs = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e5, 1e6];
    if (axis.scale === "rows") return { show: false, side, size: 0 };
    return out;
  }

  // ---- points: series have their own x, uPlot wants one of all

  function merged(chart) {
    if (chart.series[0].draw === "stack") return stacked(chart);
    const points = [];
    chart.series.forEach((s, i) => s.x.forEach((x, k) => points.push([x, i, s.y[k]])));
    points.sort((a, b) => a[0] - b[0]);
    return [points.map((p) => p[0]),
            ...chart.series.map((s, i) => points.map((p) => (p[1] === i ? p[2] : undefined)))];
  }
  // Columns stand on one another: each reaches to the sum of those below and itself.
  function tops(chart, i) {
    return chart.series[i].y.map((_, k) => {
      let sum = 0;
      for (let below = 0; below <= i; below++) sum += chart.series[below].y[k];
      return sum;
    });
  }
  function stacked(chart) {
    return [chart.series[0].x, ...chart.series.map((_, i) => tops(chart, i))];
  }

  function seriesOf(s, i) {
    const stroke = () => colour(s.colour);
    const base = { label: s.name, scale: "y", stroke, width: 2, dash: kDashes[s.dash || 0],
                   points: { show: false } };
    switch (s.draw) {
      case "points":
        return { ...base, paths: () => null,
                 points: { show: true, size: 8, fill: () => colour(s.colour), stroke, width: 1 } };
      case "mark":
        return { ...base, paths: () => null };  // drawMarks
      case "range":
        return { ...base, width: 3, dash: [] };
      case "bar":
        return { ...base, width: 16, dash: [] };
      case "step":
        return { ...base, paths: uPlot.paths.stepped({ align: 1 }) };
      case "histogram":
        return { ...base, points: { show: true, size: 6, fill: () => colour(s.colour), stroke } };
      case "stack":
        return { ...base, width: 0, fill: () => colour(s.colour), dash: [],
                 paths: uPlot.paths.bars({ size: [0.86, 60] }) };
      default:
        return base;
    }
  }

  // ---- what uPlot does not draw itself

  function shortened(ctx, text, width) {
    if (ctx.measureText(text).width <= width) return text;
    while (text && ctx.measureText(text + "…").width > width) text = text.slice(0, -1);
    return text + "…";
  }
  function drawRows(u, chart) {
    const ctx = u.ctx, ratio = devicePixelRatio;
    ctx.save();
    ctx.font = 12 * ratio + "px " + kFont;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    chart.y.rows.forEach((name, i) => {
      const y = u.valToPos(i - 0.34, "y", true);
      ctx.fillStyle = colour("ink");
      ctx.fillText(shortened(ctx, name, u.bbox.width - 8 * ratio), u.bbox.left + 2 * ratio, y);
    });
    ctx.restore();
  }
  function drawMarks(u, chart) {
    const ctx = u.ctx, ratio = devicePixelRatio;
    ctx.save();
    chart.series.forEach((s) => {
      if (s.draw !== "mark") return;
      ctx.strokeStyle = colour("ink");
      ctx.lineWidth = 3 * ratio;
      s.x.forEach((x, k) => {
        const left = u.valToPos(x, "x", true), top = u.valToPos(s.y[k], "y", true);
        ctx.beginPath();
        ctx.moveTo(left, top - 9 * ratio);
        ctx.lineTo(left, top + 9 * ratio);
        ctx.stroke();
      });
    });
    ctx.restore();
  }
  function drawLines(u, chart) {
    const ctx = u.ctx, ratio = devicePixelRatio;
    ctx.save();
    ctx.font = 12 * ratio + "px " + kFont;
    for (const line of chart.lines || []) {
      const x = u.valToPos(line.at, "x", true);
      ctx.strokeStyle = ctx.fillStyle = colour("limit");
      ctx.lineWidth = 2 * ratio;
      ctx.setLineDash([6 * ratio, 4 * ratio]);
      ctx.beginPath();
      ctx.moveTo(x, u.bbox.top);
      ctx.lineTo(x, u.bbox.top + u.bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  // ---- one chart

  function heightOf(chart, width) {
    if (chart.y.scale === "rows") return chart.y.rows.length * kRowHeight + 62;
    return width < 500 ? kPhoneHeight : kLineHeight;
  }

  // What stands at the cursor, in words.
  function spoken(chart, data, i) {
    const at = written(data[0][i], chart.x.unit, 5);
    const words = [];
    chart.series.forEach((s, k) => {
      const y = data[k + 1][i];
      if (y === undefined) return;
      if (chart.y.scale === "rows") words.push(s.name);
      else words.push(s.name + " " + written(s.draw === "stack" ? s.y[i] : y, chart.y.unit, 5));
    });
    return chart.y.scale === "rows" ? words.join(", ") + ": " + at : at + ": " + words.join(", ");
  }

  function build(holder, chart) {
    const data = merged(chart);
    const xs = [...data[0], ...(chart.lines || []).map((l) => l.at)];
    const ys = data.slice(1).flat().filter((v) => v !== undefined);
    if (chart.y.most !== undefined) ys.push(chart.y.most);
    const isStack = chart.series[0].draw === "stack";
    // Of columns on one another, the tallest is drawn first.
    const order = chart.series.map((_, i) => i);
    if (isStack) order.reverse();
    const width = holder.clientWidth;
    const xScale = isStack ? { range: [-0.6, data[0].length - 0.4] } : scaleOf(chart.x, xs);
    const yScale = scaleOf(chart.y, ys);
    const tools = holder.nextElementSibling;
    const slider = tools.querySelector("input"), output = tools.querySelector("output");
    const say = (i) => {
      output.textContent = spoken(chart, data, i);
      slider.value = i;
      slider.setAttribute("aria-valuetext", output.textContent);
    };
    let moving = false;
    const u = new uPlot({
      width, height: heightOf(chart, width), padding: [8, 14, 0, chart.y.scale === "rows" ? 20 : 0],
      scales: { x: { time: false, ...xScale }, y: yScale },
      axes: [axisOf(chart.x, 2), axisOf(chart.y, 3)],
      series: [{ label: chart.x.label }, ...order.map((i) => seriesOf(chart.series[i], i))],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false, points: { show: false } },
      hooks: {
        draw: [(self) => {
          drawLines(self, chart);
          if (chart.y.scale === "rows") drawRows(self, chart);
          drawMarks(self, chart);
        }],
        setCursor: [(self) => {
          if (!moving && self.cursor.idx !== null && self.cursor.idx !== undefined) say(self.cursor.idx);
        }],
      },
    }, [data[0], ...order.map((i) => data[i + 1])], holder);
    slider.max = data[0].length - 1;
    slider.addEventListener("input", () => {
      const i = Number(slider.value);
      moving = true;
      u.setCursor({ left: u.valToPos(data[0][i], "x"), top: 0 });
      moving = false;
      say(i);
    });
    holder.chart = u;
    return u;
  }

  const drawn = [...document.querySelectorAll(".chart")].map((holder) => {
    const chart = charts[Number(holder.dataset.chart)];
    return { holder, chart, u: build(holder, chart) };
  });

  // ---- other widths, other colours, paper

  function fit(width) {
    for (const { holder, chart, u } of drawn) {
      const wanted = width || holder.clientWidth;
      if (wanted > 0) u.setSize({ width: wanted, height: heightOf(chart, wanted) });
    }
  }
  const redraw = () => drawn.forEach(({ u }) => u.redraw(false, true));
  new ResizeObserver(() => {
    if (drawn.some(({ holder, u }) => holder.clientWidth > 0 && holder.clientWidth !== u.width)) fit();
  }).observe(document.querySelector("main"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("paper");
    fit(kPrintWidth);
    redraw();
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("paper");
    fit();
    redraw();
  });
})();
