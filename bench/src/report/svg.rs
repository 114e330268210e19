//! Bar charts as SVG, written by hand: a plot needs no library.

use std::fmt::Write as _;

use super::Results;
use crate::contender::Contender;
use crate::stats::Spread;
use crate::throughput::Throughput;

const WIDTH: f64 = 760.0;
const LABEL: f64 = 210.0;
const BAR: f64 = 22.0;
const GAP: f64 = 12.0;
const TOP: f64 = 44.0;

/// File name, title, and the figure that is drawn.
type Chart = (&'static str, &'static str, fn(&Throughput) -> f64);

/// Names of files and their content.
pub(super) fn plots(results: &Results) -> Vec<(String, String)> {
    let charts: [Chart; 3] = [
        ("throughput.svg", "payments per second", |run| run.payments_per_second),
        ("cpu.svg", "client CPU seconds per million payments", |run| run.client_cpu_per_million),
        ("memory.svg", "peak resident memory, MiB", |run| run.peak_rss_mib),
    ];
    charts
        .into_iter()
        .map(|(name, title, figure)| {
            let bars: Vec<(String, Spread)> = Contender::ALL
                .into_iter()
                .filter_map(|contender| {
                    Some((contender.title().to_owned(), results.spread(contender, figure)?))
                })
                .collect();
            (name.to_owned(), bar_chart(title, &bars))
        })
        .collect()
}

/// Horizontal bars of medians; a thin line shows lowest to highest.
pub(super) fn bar_chart(title: &str, bars: &[(String, Spread)]) -> String {
    let largest = bars.iter().map(|(_, spread)| spread.high).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let rows = u32::try_from(bars.len()).unwrap_or(0);
    let height = TOP + f64::from(rows) * (BAR + GAP) + GAP;
    let scale = (WIDTH - LABEL - 90.0) / largest;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"26\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    );
    for (row, (label, spread)) in (0_u32..).zip(bars) {
        let y = TOP + f64::from(row) * (BAR + GAP);
        let (middle, text_y) = (y + BAR / 2.0, y + BAR * 0.7);
        let colour = if label.starts_with("Settle") { "#1f77b4" } else { "#9aa5b1" };
        let digits = if spread.median < 100.0 { 2 } else { 0 };
        write!(
            svg,
            "<text x=\"{:.0}\" y=\"{text_y:.1}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{LABEL}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\n\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" stroke=\"#222222\"/>\n\
             <text x=\"{:.1}\" y=\"{text_y:.1}\">{:.digits$}</text>\n",
            LABEL - 8.0,
            escaped(label),
            spread.median * scale,
            LABEL + spread.low * scale,
            LABEL + spread.high * scale,
            LABEL + spread.high * scale + 6.0,
            spread.median,
        )
        .expect("a string can be written");
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_bar_for_each_row_and_escapes_names() {
        let spread = Spread { median: 10.0, low: 9.0, high: 11.0 };
        let chart = bar_chart("a < b", &[("x & y".to_owned(), spread.clone()), ("z".to_owned(), spread)]);
        assert_eq!(chart.matches("fill=\"#9aa5b1\"").count(), 2);
        assert!(chart.contains("a &lt; b") && chart.contains("x &amp; y"), "{chart}");
    }
}
