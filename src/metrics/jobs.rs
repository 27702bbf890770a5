//! The numbers of jobs by status. `node` sets them; `super::Metrics` registers them.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The numbers; cloning gives another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct JobMetrics(Family<StatusLabel, Gauge>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

impl JobMetrics {
    /// The numbers, registered.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Jobs by their stored status, of the whole cluster";
        registry.register("jobs", help, metrics.0.clone());
        metrics
    }

    /// Takes the number of the jobs of each status.
    pub fn set(&self, numbers: &[(&'static str, u64)]) {
        for (status, number) in numbers {
            let number = i64::try_from(*number).unwrap_or(i64::MAX);
            self.0.get_or_create(&StatusLabel { status }).set(number);
        }
    }
}
