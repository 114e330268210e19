//! The recorder of metrics, and their text form.

use std::io;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use settle_runtime::clock::{SystemClock, WallClock as _};
use settle_runtime::metrics::{self, Kind};

use super::Error;

/// Gives the metrics of the process as text.
#[derive(Clone)]
pub(crate) struct Exposition {
    handle: PrometheusHandle,
}

impl Exposition {
    /// Installs the recorder of the process. Handles that were made before stay without effect: do it before
    /// workers and clients are created.
    ///
    /// # Errors
    /// [`Error::Start`] when a recorder is installed already.
    pub(crate) fn install() -> Result<Self, Error> {
        let (recorder, exposition) = Self::new();
        let twice = |_| Error::Start { source: io::Error::other("metrics are installed twice") };
        ::metrics::set_global_recorder(recorder).map_err(twice)?;
        metrics::record_process(env!("CARGO_PKG_VERSION"), SystemClock.now());
        Ok(exposition)
    }

    /// A recorder that knows the catalogue, and what renders it.
    pub(super) fn new() -> (PrometheusRecorder, Self) {
        let mut builder = PrometheusBuilder::new();
        for histogram in metrics::all().filter(|metric| metric.kind == Kind::Histogram) {
            let name = Matcher::Full(histogram.name.to_owned());
            builder = builder
                .set_buckets_for_metric(name, metrics::buckets(histogram))
                .expect("no histogram of the catalogue is without buckets");
        }
        let recorder = builder.build_recorder();
        metrics::describe(&recorder);
        let handle = recorder.handle();
        (recorder, Self { handle })
    }

    /// All metrics that have a value, in the text format of Prometheus.
    pub(super) fn render(&self) -> String {
        self.handle.render()
    }

    /// Puts measurements of histograms into their buckets.
    pub(super) fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}
