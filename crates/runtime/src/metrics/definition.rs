//! What a metric is, and how its handle comes to be.
//!
//! Owns the only calls of the recorder: everything else asks the catalogue for a handle. Must not know which
//! metrics there are, nor who renders them.

use std::time::Duration;

use ::metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, Unit as RecorderUnit};

/// What a metric counts or measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; it begins at 0 with the process.
    Counter,
    /// A value of the moment.
    Gauge,
    /// A distribution, in buckets.
    Histogram,
}

impl Kind {
    /// The type as Prometheus writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// In what a metric is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// How many.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Seconds since 1970-01-01 UTC.
    Timestamp,
    /// 1 for yes, 0 for no.
    Truth,
}

impl Unit {
    /// The unit, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Timestamp => "seconds since 1970",
            Self::Truth => "0 or 1",
        }
    }

    fn for_recorder(self) -> RecorderUnit {
        match self {
            Self::Count | Self::Truth => RecorderUnit::Count,
            Self::Bytes => RecorderUnit::Bytes,
            Self::Seconds | Self::Timestamp => RecorderUnit::Seconds,
        }
    }
}

/// A metric of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name, as Prometheus knows it.
    pub name: &'static str,
    /// What it counts or measures.
    pub kind: Kind,
    /// In what.
    pub unit: Unit,
    /// Names of its labels, in order.
    pub labels: &'static [&'static str],
    pub(super) doc: &'static str,
}

impl Metric {
    /// What it means, in one line.
    pub fn help(&self) -> &'static str {
        self.doc.trim()
    }

    pub(super) fn describe(&self, recorder: &dyn Recorder) {
        let unit = Some(self.unit.for_recorder());
        match self.kind {
            Kind::Counter => recorder.describe_counter(self.name.into(), unit, self.help().into()),
            Kind::Gauge => recorder.describe_gauge(self.name.into(), unit, self.help().into()),
            Kind::Histogram => recorder.describe_histogram(self.name.into(), unit, self.help().into()),
        }
    }
}

/// Metrics that answer the same question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What they are about.
    pub title: &'static str,
    /// The metrics.
    pub metrics: &'static [Metric],
}

/// A handle that a recorder gives out.
pub(super) trait Handle {
    fn register(recorder: &dyn Recorder, key: &Key, metadata: &Metadata<'_>) -> Self;
}

impl Handle for Counter {
    fn register(recorder: &dyn Recorder, key: &Key, metadata: &Metadata<'_>) -> Self {
        recorder.register_counter(key, metadata)
    }
}

impl Handle for Gauge {
    fn register(recorder: &dyn Recorder, key: &Key, metadata: &Metadata<'_>) -> Self {
        recorder.register_gauge(key, metadata)
    }
}

impl Handle for Histogram {
    fn register(recorder: &dyn Recorder, key: &Key, metadata: &Metadata<'_>) -> Self {
        recorder.register_histogram(key, metadata)
    }
}

/// The handle of a metric with these labels. It allocates and looks up: get it once and keep it.
#[expect(clippy::disallowed_methods, reason = "this is the one place that registers metrics")]
pub(super) fn handle<H: Handle>(name: &'static str, labels: Vec<Label>) -> H {
    let key = Key::from_parts(name, labels);
    let metadata = Metadata::new("settle", Level::INFO, Some(module_path!()));
    ::metrics::with_recorder(|recorder| H::register(recorder, &key, &metadata))
}

/// A whole number as the floating-point number that a gauge takes; above 2^53 the nearest one.
///
/// Gauges are floating-point numbers in Prometheus. A time of so many seconds converts without a cast.
pub(crate) fn gauge_value(number: u64) -> f64 {
    Duration::from_secs(number).as_secs_f64()
}

/// Makes, from one table, the list of all metrics and a function for each that returns its handle.
macro_rules! catalogue {
    ($(
        section $title:literal {$(
            $(#[doc = $doc:literal])+
            $function:ident: $kind:ident of $unit:ident ($($label:ident: $type:ty),*);
        )+}
    )+) => {
        /// Every metric of the program, by section.
        pub const SECTIONS: &[Section] = &[$(Section {
            title: $title,
            metrics: &[$(Metric {
                name: concat!("settle_", stringify!($function)),
                kind: Kind::$kind,
                unit: Unit::$unit,
                labels: &[$(stringify!($label)),*],
                doc: concat!($($doc),+),
            }),+],
        }),+];

        $($(
            $(#[doc = $doc])+
            pub fn $function($($label: $type),*) -> ::metrics::$kind {
                let labels = vec![$(::metrics::Label::new(stringify!($label), $label.to_string())),*];
                handle(concat!("settle_", stringify!($function)), labels)
            }
        )+)+
    };
}
pub(super) use catalogue;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_become_gauge_values() {
        let cases =
            [(0, 0.0), (1, 1.0), (4_294_967_297, 4_294_967_297.0), (1 << 53, 9_007_199_254_740_992.0)];
        for (number, expected) in cases {
            assert!((gauge_value(number) - expected).abs() < f64::EPSILON, "{number}");
        }
    }
}
