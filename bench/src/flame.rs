//! A flame graph out of what `perf script` prints: widths are shares of the samples, callers stand below.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, Write};

/// Reads samples from the standard input, writes an SVG to the standard output.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut root = Frame::default();
    let mut stack: Vec<String> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match function_of(&line) {
            Some(function) => stack.push(function),
            // An empty line ends a sample, whose innermost function stands first.
            None if line.trim().is_empty() => root.add(stack.drain(..).rev()),
            None => {}
        }
    }
    root.add(stack.into_iter().rev());
    std::io::stdout().write_all(root.svg().as_bytes())?;
    Ok(())
}

/// The function of a line such as `    55d0 settle::run+0x12 (/usr/bin/settle)`; inlined ones stand without an offset.
fn function_of(line: &str) -> Option<String> {
    if !line.starts_with(char::is_whitespace) {
        return None;
    }
    let (_, rest) = line.trim_start().split_once(' ')?;
    let name = rest.rsplit_once(" (").map_or(rest, |(name, _)| name);
    let name = name.split_once("+0x").map_or(name, |(name, _)| name).trim();
    Some(if name.is_empty() { "?".to_owned() } else { name.to_owned() })
}

#[derive(Default)]
struct Frame {
    samples: u32,
    callees: BTreeMap<String, Frame>,
}

const WIDTH: f64 = 1_400.0;
const ROW: f64 = 17.0;
/// Narrower boxes are left out: nobody could read them.
const NARROWEST: f64 = 1.5;

impl Frame {
    fn add(&mut self, stack: impl Iterator<Item = String>) {
        let mut frame = self;
        let mut is_empty = true;
        for function in stack {
            if is_empty {
                frame.samples += 1;
                is_empty = false;
            }
            frame = frame.callees.entry(function).or_default();
            frame.samples += 1;
        }
    }

    fn depth(&self) -> u32 {
        1 + self.callees.values().map(Self::depth).max().unwrap_or(0)
    }

    fn svg(&self) -> String {
        let height = f64::from(self.depth() + 1) * ROW;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        let scale = WIDTH / f64::from(self.samples.max(1));
        self.boxes(&mut svg, "all", 0.0, height - ROW, scale, self.samples);
        svg.push_str("</svg>\n");
        svg
    }

    fn boxes(&self, svg: &mut String, name: &str, x: f64, y: f64, scale: f64, total: u32) {
        let width = f64::from(self.samples) * scale;
        if width < NARROWEST {
            return;
        }
        let share = f64::from(self.samples) * 100.0 / f64::from(total.max(1));
        // Warm colours, the same for the same name.
        let tone =
            name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 90;
        let characters: String = name.chars().take(short(width)).collect();
        writeln!(
            svg,
            "<g><title>{} ({share:.2} %)</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"rgb(230,{},60)\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            escaped(name),
            ROW - 1.0,
            120 + tone,
            x + 2.0,
            y + 12.0,
            escaped(&characters),
        )
        .expect("a string can be written");
        let mut left = x;
        for (callee, frame) in &self.callees {
            frame.boxes(svg, callee, left, y - ROW, scale, total);
            left += f64::from(frame.samples) * scale;
        }
    }
}

/// Characters that fit.
fn short(width: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a width is small and not below zero"
    )]
    let characters = (width / 6.8) as usize;
    if characters < 3 { 0 } else { characters }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_read_with_and_without_offsets() {
        let line = "        55d0c settle::Store<R>::load+0x12 (/x/settle)";
        assert_eq!(function_of(line).as_deref(), Some("settle::Store<R>::load"));
        assert_eq!(function_of("        55d0c keys (inlined)").as_deref(), Some("keys"));
        assert_eq!(function_of("settle 12 34.5: 100 cpu-clock:"), None);
    }

    #[test]
    fn widths_add_up() {
        let mut root = Frame::default();
        root.add(["main", "a"].map(str::to_owned).into_iter());
        root.add(["main", "b"].map(str::to_owned).into_iter());
        assert_eq!((root.samples, root.callees["main"].samples, root.depth()), (2, 2, 3));
        assert!(root.svg().contains("main (100.00 %)"));
    }
}
