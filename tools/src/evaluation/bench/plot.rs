//! Size against divergence, drawn.

use super::table::kl;
use super::{Report, Row};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 200.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 48.0;
const COLOURS: [&str; 10] = [
    "#0b5fff", "#d6336c", "#2b8a3e", "#868e96", "#e67700", "#7048e8", "#0c8599", "#a61e4d", "#5c940d",
    "#343a40",
];

/// Where values are drawn: bits from left to right, logarithms of divergences from bottom to top.
struct Frame {
    bits: (f64, f64),
    kl: (f64, f64),
}

impl Frame {
    fn x(&self, bits: f64) -> f64 {
        LEFT + (bits - self.bits.0) / (self.bits.1 - self.bits.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, kl: f64) -> f64 {
        let share = (kl.log10() - self.kl.0) / (self.kl.1 - self.kl.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

/// A picture of all rows: those of a series are joined.
pub(super) fn svg(report: &Report) -> String {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| kl(row) > 0.0).collect();
    let over = |f: &dyn Fn(&Row) -> f64| {
        rows.iter().map(|r| f(r)).fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)))
    };
    let (bits, logs) = (over(&|r| r.bits_per_weight), over(&|r| kl(r).log10()));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    if rows.is_empty() {
        return out + "</svg>\n";
    }
    let frame = Frame {
        bits: (bits.0.floor(), bits.1.ceil().max(bits.0.floor() + 1.0)),
        kl: (logs.0 - 0.1, logs.1 + 0.1),
    };
    axes(&mut out, &frame);
    let mut series: Vec<&str> = Vec::new();
    for row in &rows {
        if !series.contains(&row.series.as_str()) {
            series.push(&row.series);
        }
    }
    for (at, name) in series.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let mut points: Vec<&&Row> = rows.iter().filter(|r| r.series == *name).collect();
        points.sort_by(|a, b| a.bits_per_weight.total_cmp(&b.bits_per_weight));
        let ours = points.first().is_some_and(|r| r.ours);
        if ours {
            let line: Vec<String> = points
                .iter()
                .map(|r| format!("{:.1},{:.1}", frame.x(r.bits_per_weight), frame.y(kl(r))))
                .collect();
            _ = writeln!(
                out,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
                line.join(" ")
            );
        }
        for row in points {
            let (x, y) = (frame.x(row.bits_per_weight), frame.y(kl(row)));
            _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
            if !ours {
                _ = writeln!(
                    out,
                    "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"8\" fill=\"{colour}\">{}</text>",
                    x + 5.0,
                    y + 3.0,
                    row.name
                );
            }
        }
        let y = TOP + 16.0 * (at as f64 + 1.0);
        _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{y:.1}\">{name}</text>",
            WIDTH - RIGHT + 20.0,
            y - 4.0,
            WIDTH - RIGHT + 30.0
        );
    }
    out + "</svg>\n"
}

fn axes(out: &mut String, frame: &Frame) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut bits = frame.bits.0;
    while bits <= frame.bits.1 + 1e-9 {
        let x = frame.x(bits);
        _ = writeln!(
            out,
            "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#dee2e6\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{bits}</text>",
            bottom + 16.0
        );
        bits += 0.5;
    }
    for power in -6..3 {
        for digit in [1.0, 2.0, 5.0] {
            let kl = digit * 10f64.powi(power);
            if !(frame.kl.0..=frame.kl.1).contains(&kl.log10()) {
                continue;
            }
            let y = frame.y(kl);
            _ = writeln!(
                out,
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#dee2e6\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{kl}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
    }
    let middle = (LEFT + right) / 2.0;
    _ = writeln!(
        out,
        "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">bits per weight</text>",
        HEIGHT - 12.0
    );
    _ = writeln!(
        out,
        "<text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">KL to the original, nats a token</text>",
        HEIGHT / 2.0
    );
}
