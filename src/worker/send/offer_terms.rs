//! The terms on which occurrences are offered to workers, resolved from the job, its queue and the
//! configuration. `route` calls it, once a definition. Pure.

use std::sync::Arc;

use super::defaults::Defaults;
use crate::delivery::executor::QueueSettings;
use crate::model::Millis;
use crate::model::delivery::{MAX_WAITING, Overlap, Retry};
use crate::model::job::JobDefinition;
use crate::model::run_terms::{BusKind, RetryOn, RunTerms};
use crate::model::target::Executor;

/// The terms of offers. Jobs with equal ones may be offered as one group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::worker) struct OfferTerms {
    /// The terms of the runs. Their name on a broker is that of the definition: where it is empty
    /// and the bus is a broker, each job goes by its external id.
    pub(in crate::worker) terms: Arc<RunTerms>,
    /// The behaviour of an occurrence while another run of its job is under way.
    pub(in crate::worker) overlap: Overlap,
    /// The most occurrences of a job that may wait for a worker, at least 1; `None` for no bound.
    /// Only where `overlap` allows all: else `BeginRun` counts.
    pub(in crate::worker) max_waiting: Option<u32>,
}

/// The terms of a definition's jobs in a queue.
pub(super) fn offer_terms(
    definition: &JobDefinition,
    queue: &Executor,
    settings: &QueueSettings,
    retry: Retry,
    defaults: &Defaults,
) -> OfferTerms {
    let bus = settings.bus;
    let usual = match bus {
        BusKind::Embedded => Some(defaults.heartbeat_timeout.as_millis() as Millis),
        // The workers of published clients need not send any.
        BusKind::Rabbitmq | BusKind::Http => None,
    };
    // 0 stands for none.
    let bound = |length: Option<Millis>| length.filter(|length| *length > 0);
    let heartbeat = definition.heartbeat_timeout.or(settings.heartbeat_timeout).or(usual);
    let name = definition.worker_name.clone().filter(|_| bus == BusKind::Rabbitmq);
    let terms = RunTerms {
        queue: queue.name.clone(),
        name: name.unwrap_or_default(),
        start_timeout: bound(definition.start_timeout),
        run_timeout: bound(definition.run_timeout),
        heartbeat_timeout: bound(heartbeat),
        cancel_timeout: definition
            .cancel_timeout
            .unwrap_or(defaults.cancel_timeout.as_millis() as Millis),
        retry_on: definition.retry_on.unwrap_or_else(|| RetryOn::of(bus)),
        ..RunTerms::new(bus, queue.id, retry)
    };
    let most = definition.max_queue.unwrap_or(MAX_WAITING);
    let max_waiting = (definition.overlap == Overlap::Allow && most > 0).then_some(most);
    OfferTerms { terms: Arc::new(terms), overlap: definition.overlap, max_waiting }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RETRY: Retry = Retry { max: 3, delay: 5_000, factor: 2_000, max_delay: 60_000 };

    fn terms(bus: BusKind, silence: Option<Millis>, definition: &JobDefinition) -> OfferTerms {
        let queue = Executor { id: 7, name: "emails".into(), ..Executor::default() };
        let (takes_data, broker) = (false, None);
        let settings = QueueSettings { bus, heartbeat_timeout: silence, takes_data, broker };
        let defaults = Defaults {
            retry_max: 0,
            retry_delay: Duration::ZERO,
            timeout: Duration::ZERO,
            max_timeout: Duration::ZERO,
            heartbeat_timeout: Duration::from_secs(50),
            cancel_timeout: Duration::from_secs(40),
        };
        offer_terms(definition, &queue, &settings, RETRY, &defaults)
    }

    #[test]
    fn what_a_job_does_not_say_its_queue_says_and_else_the_configuration() {
        let bare = JobDefinition::default();
        let known = terms(BusKind::Embedded, None, &bare).terms;
        let wanted = RunTerms {
            queue: "emails".into(),
            heartbeat_timeout: Some(50_000),
            cancel_timeout: 40_000,
            ..RunTerms::new(BusKind::Embedded, 7, RETRY)
        };
        assert_eq!(*known, wanted);
        let silence = |bus, queue, job| {
            let definition = JobDefinition { heartbeat_timeout: job, ..bare.clone() };
            terms(bus, queue, &definition).terms.heartbeat_timeout
        };
        let (embedded, rabbitmq) = (BusKind::Embedded, BusKind::Rabbitmq);
        assert_eq!(silence(embedded, Some(3_000), None), Some(3_000));
        assert_eq!(silence(embedded, Some(3_000), Some(2_000)), Some(2_000));
        assert_eq!(silence(embedded, Some(0), None), None, "none is expected");
        assert_eq!(silence(embedded, Some(0), Some(1_000)), Some(1_000));
        assert_eq!(silence(rabbitmq, None, None), None);
        assert_eq!(silence(rabbitmq, Some(3_000), None), Some(3_000));
        assert_eq!(terms(rabbitmq, None, &bare).terms.retry_on, RetryOn::of(rabbitmq));
    }

    #[test]
    fn what_a_job_says_counts() {
        let failed = RetryOn { failed: true, ..RetryOn::default() };
        let definition = JobDefinition {
            start_timeout: Some(1),
            run_timeout: Some(2),
            heartbeat_timeout: Some(3),
            cancel_timeout: Some(4),
            retry_on: Some(failed),
            worker_name: Some("nightly".into()),
            ..JobDefinition::default()
        };
        let wanted = RunTerms {
            queue: "emails".into(),
            name: "nightly".into(),
            start_timeout: Some(1),
            run_timeout: Some(2),
            heartbeat_timeout: Some(3),
            cancel_timeout: 4,
            retry_on: failed,
            ..RunTerms::new(BusKind::Rabbitmq, 7, RETRY)
        };
        assert_eq!(*terms(BusKind::Rabbitmq, None, &definition).terms, wanted);
        let own = terms(BusKind::Embedded, None, &definition).terms;
        assert_eq!(own.name, "", "only a broker knows names");
    }

    #[test]
    fn waiting_occurrences_are_bounded_where_overlap_allows_all() {
        let waiting = |overlap, max_queue| {
            let definition = JobDefinition { overlap, max_queue, ..JobDefinition::default() };
            terms(BusKind::Embedded, None, &definition).max_waiting
        };
        assert_eq!(waiting(Overlap::Allow, None), Some(1_000));
        assert_eq!(waiting(Overlap::Allow, Some(5)), Some(5));
        assert_eq!(waiting(Overlap::Allow, Some(0)), None, "no bound");
        for overlap in [Overlap::Skip, Overlap::QueueOne, Overlap::Queue { most: 9 }] {
            assert_eq!(waiting(overlap, Some(9)), None, "BeginRun counts");
        }
    }
}
