//! Queues that nobody works for: runs wait, and no worker that was heard lately has asked for them.
//! The status of the cluster warns of them; nothing is changed here.

use crate::app::actor::Actor;
use crate::app::state::App;
use crate::gateway::{ClusterWorkers, QueueTotals};
use crate::model::Millis;
use crate::model::run_terms::BusKind;
use crate::model::time::rfc3339;

/// The time for which a run has waited, at least, where its queue is warned of, in milliseconds:
/// that for which gateways remember a worker.
const WAITED: Millis = 60_000;
/// The most queues that are named.
const MOST_NAMED: usize = 10;

impl App {
    /// Gathers a warning for each queue with runs that wait and without a worker. Where not all
    /// nodes say whom they have heard, there is none: a worker may have asked the others.
    pub(in crate::app) async fn warn_of_unserved_queues(&self, actor: &Actor) -> Vec<String> {
        let Some(gateway) = self.gateway() else { return Vec::new() };
        let view = gateway.cluster_view(false).await;
        let now = self.now();
        if unserved(&view, now).next().is_none() {
            return Vec::new();
        }
        // Only now are the workers asked for, since they may be many.
        if has_stranger(&gateway.cluster_view(true).await) {
            return Vec::new();
        }
        let queues = match self.queues(actor).await {
            Ok(queues) => queues,
            Err(error) => {
                tracing::debug!(?error, "the queues without workers cannot be named");
                return Vec::new();
            }
        };
        // By a broker workers ask this cluster for nothing.
        let claimed = queues.into_iter().filter(|(_, bus)| *bus == BusKind::Embedded);
        let names: Vec<_> = claimed.map(|(queue, _)| (queue.id, queue.name)).collect();
        warnings(&view, &names, now)
    }
}

/// The queues with runs that have waited for a while, and no worker.
fn unserved(
    view: &ClusterWorkers,
    now: Millis,
) -> impl Iterator<Item = (u64, QueueTotals, Millis)> {
    let is_known = view.unanswered.is_empty() && !view.is_new;
    let all = view.queues.iter().filter(move |_| is_known);
    all.filter_map(move |(queue, totals)| {
        let has_worker = totals.taken > 0 || totals.waiting > 0 || view.asked.contains(queue);
        let since = totals.since.filter(|since| now.saturating_sub(*since) >= WAITED)?;
        (totals.offers > 0 && !has_worker).then_some((*queue, *totals, since))
    })
}

/// Returns whether a worker is busy that nobody has heard claim: it came from a node that is gone,
/// and any queue may be its own.
fn has_stranger(view: &ClusterWorkers) -> bool {
    let workers = view.workers.values().map(|at| &at.worker);
    workers.into_iter().any(|it| it.queues.is_empty() && it.runs.is_some_and(|runs| runs > 0))
}

/// The warnings, the queue whose runs have waited longest first.
fn warnings(view: &ClusterWorkers, names: &[(u64, String)], now: Millis) -> Vec<String> {
    let mut all: Vec<_> = unserved(view, now)
        .filter_map(|(queue, totals, since)| {
            let (_, name) = names.iter().find(|(id, _)| *id == queue)?;
            Some((since, name, totals.offers))
        })
        .collect();
    all.sort_unstable();
    let more = all.len().saturating_sub(MOST_NAMED);
    let mut told: Vec<_> = all
        .into_iter()
        .take(MOST_NAMED)
        .map(|(since, name, offers)| {
            let runs = if offers == 1 { "run waits" } else { "runs wait" };
            let since = rfc3339(since);
            format!(
                "queue {name}: {offers} {runs} since {since}, and no worker has asked for it for \
                 a minute: start one, such as scheduler0 worker --queue {name}"
            )
        })
        .collect();
    if more > 0 {
        told.push(format!("{more} more queues have runs that wait and no worker: see GET /queues"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{SeenWorker, WorkerAtNode};

    const NOW: Millis = 1_763_700_060_000;

    fn view(change: impl FnOnce(&mut ClusterWorkers)) -> Vec<String> {
        let totals = QueueTotals {
            offers: 12,
            taken: 0,
            waiting: 0,
            oldest: Some(NOW - 5 * WAITED),
            since: Some(NOW - WAITED),
        };
        let mut view = ClusterWorkers::default();
        view.queues.insert(7, totals);
        change(&mut view);
        warnings(&view, &[(7, "emails".to_owned()), (8, "mine".to_owned())], NOW)
    }

    fn totals(view: &mut ClusterWorkers) -> &mut QueueTotals {
        view.queues.get_mut(&7).unwrap()
    }

    #[test]
    fn runs_that_wait_for_a_minute_without_a_worker_are_warned_of() {
        let said = view(|_| ());
        let [said] = &said[..] else { panic!("{said:?}") };
        for part in [
            "queue emails: 12 runs wait since 2025-11-21T04:40:00Z",
            "no worker has asked",
            "scheduler0 worker --queue emails",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(view(|view| view.asked = [8].into()).len(), 1, "another queue's worker");
        assert!(view(|view| totals(view).offers = 1)[0].contains("1 run waits"));
    }

    #[test]
    fn a_worker_or_a_node_that_may_know_of_one_takes_the_warning_away() {
        let none: Vec<String> = Vec::new();
        assert_eq!(view(|view| totals(view).offers = 0), none);
        assert_eq!(view(|view| totals(view).since = Some(NOW - WAITED + 1)), none, "just now");
        assert_eq!(view(|view| totals(view).taken = 1), none, "a worker is busy with one");
        assert_eq!(view(|view| totals(view).waiting = 1), none, "a worker waits");
        assert_eq!(view(|view| view.asked = [7].into()), none, "a worker has asked");
        assert_eq!(view(|view| view.unanswered = vec![2]), none, "its worker may ask node 2");
        assert_eq!(view(|view| view.is_new = true), none, "its worker may look for the node yet");
        assert_eq!(view(|view| view.queues = [(9, *totals(view))].into()), none, "no such queue");
    }

    #[test]
    fn a_busy_worker_whose_queues_nobody_knows_is_a_stranger() {
        let mut view = ClusterWorkers::default();
        let mut is_strange = |queues: &[u64], runs| {
            let worker = SeenWorker {
                worker: "w".to_owned(),
                queues: queues.to_vec(),
                runs,
                seen_ms_ago: 5,
            };
            view.workers.insert("w".to_owned(), WorkerAtNode { worker, node: 1 });
            has_stranger(&view)
        };
        assert!(is_strange(&[], Some(1)));
        assert!(!is_strange(&[7], Some(1)), "its claims are known");
        assert!(!is_strange(&[], Some(0)) && !is_strange(&[], None), "it has nothing to do");
    }

    #[test]
    fn of_many_queues_those_that_wait_longest_are_named() {
        let mut many = ClusterWorkers::default();
        let mut names = Vec::new();
        for queue in 0_u64..15 {
            let since = Some(NOW - WAITED - queue.cast_signed());
            let totals = QueueTotals { offers: 1, taken: 0, waiting: 0, oldest: since, since };
            many.queues.insert(queue, totals);
            names.push((queue, format!("q{queue}")));
        }
        let told = warnings(&many, &names, NOW);
        assert_eq!(told.len(), MOST_NAMED + 1);
        assert!(told[0].starts_with("queue q14:") && told[10].starts_with("5 more"), "{told:?}");
    }
}
