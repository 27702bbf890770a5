//! Words for occurrences that wait, and for runs that workers perform. `explain_words` calls them.
//! They say nothing that the facts do not show.

use crate::model::job::Pending;
use crate::model::run::{CancelCause, Phase, Run, WorkerRun};
use crate::model::time::rfc3339;

/// What the row of an occurrence waits for. `queue` is the name of the queue of an offer; `behind`
/// says that other runs of the job are under way.
pub(super) fn waiting(row: &Pending, queue: Option<&str>, behind: bool) -> String {
    let attempt = row.attempt;
    if let Some(offer) = row.on_offer {
        let bound = offer.expires.map(|at| format!("; given up after {}", rfc3339(at)));
        let (since, bound) = (rfc3339(offer.since), bound.unwrap_or_default());
        let queue = queue.unwrap_or_default();
        return format!(
            "attempt {attempt} waits for a worker of queue {queue} since {since}{bound}"
        );
    }
    let Some(at) = row.attempt_at().filter(|_| !behind) else {
        return "it waits until the run before it is over".to_owned();
    };
    let why = row.postponement().map(|postponed| postponed.waits_for());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("attempt {attempt} is to be made at {}{why}", rfc3339(at))
}

/// How a run stands that a worker was handed.
pub(super) fn performed(run: &Run, kept: &WorkerRun) -> String {
    let who = match kept.worker.as_str() {
        "" => "a worker".to_owned(),
        name => format!("worker {name}"),
    };
    let queue = match kept.terms.queue.as_str() {
        "" => String::new(),
        name => format!(" of queue {name}"),
    };
    let (attempt, since) = (run.attempt, rfc3339(run.started));
    let bound = |what: &str| {
        let end = run.bounded_by().map(|end| format!("; {what} after {}", rfc3339(end)));
        end.unwrap_or_default()
    };
    match kept.phase {
        Phase::Pending => {
            let bound = bound("given up");
            format!(
                "attempt {attempt} was published at {since}, and nobody said that it began{bound}"
            )
        }
        Phase::Running => {
            let progress = kept.progress.map(|percent| format!(", {percent} % done"));
            let (progress, bound) = (progress.unwrap_or_default(), bound("cancelled"));
            format!("under way: {who}{queue} has attempt {attempt} since {since}{progress}{bound}")
        }
        Phase::Cancelling => {
            let why = match &kept.why {
                Some(CancelCause::Client { by: Some(by) }) => format!(" by {by}"),
                Some(CancelCause::NotStarted) => ", because nobody began in time".to_owned(),
                Some(CancelCause::TimedOut) => ", because it took too long".to_owned(),
                Some(CancelCause::Client { by: None }) | None => String::new(),
            };
            let bound = bound("it ends without that");
            format!("cancelled{why}: {who}{queue} is to confirm that{bound}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;
    use crate::model::delivery::Retry;
    use crate::model::job::{OFFERED, PARKED};
    use crate::model::members::Members;
    use crate::model::on_offer::OnOffer;
    use crate::model::run::Occurrence;
    use crate::model::run_terms::{BusKind, RunTerms};

    const T0: Millis = 1_763_700_000_000;

    #[test]
    fn a_row_says_what_it_waits_for() {
        let row = |next_at| Pending::new(1, 0, T0, Members::from_sorted([1])).next_at(next_at);
        let offer = |expires| {
            let on_offer = Some(OnOffer { since: T0, expires, executor: 7 });
            Pending { attempt: 2, on_offer, ..row(OFFERED) }
        };
        let words = |row: &Pending| waiting(row, Some("emails"), false);
        let since = "attempt 2 waits for a worker of queue emails since 2025-11-21T04:40:00Z";
        assert_eq!(words(&offer(None)), since);
        let bound = "; given up after 2025-11-21T04:41:00Z";
        assert_eq!(words(&offer(Some(T0 + 60_000))), format!("{since}{bound}"));
        let behind = "it waits until the run before it is over";
        assert_eq!(
            (words(&row(PARKED)), waiting(&row(T0), None, true)),
            (behind.into(), behind.into())
        );
        assert_eq!(words(&row(T0)), "attempt 1 is to be made at 2025-11-21T04:40:00Z");
    }

    #[test]
    fn a_run_says_who_has_it_and_how_far_it_is() {
        let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
        let terms =
            RunTerms { queue: "emails".into(), ..RunTerms::new(BusKind::Embedded, 7, retry) };
        let kept = |phase, why: Option<CancelCause>, worker: &str| WorkerRun {
            phase,
            since: T0,
            why,
            worker: worker.into(),
            progress: Some(40),
            message: None,
            terms: terms.clone(),
        };
        let run = |deadline| Run {
            occurrence: Occurrence { job: 1, scheduled: T0, run: 0 },
            project: 1,
            shard: 0,
            due: T0,
            attempt: 3,
            base: 0,
            node: 1,
            epoch: 1,
            accepted: true,
            started: T0,
            heard: T0,
            deadline,
            heartbeat_timeout: None,
            ends: None,
            retry,
            forced: false,
            worker: None,
        };
        let (bounded, unbounded) = (run(T0 + 60_000), run(Millis::MAX));
        let end = "after 2025-11-21T04:41:00Z";
        let running = "under way: worker w of queue emails has attempt 3 since \
                       2025-11-21T04:40:00Z, 40 % done";
        assert_eq!(performed(&unbounded, &kept(Phase::Running, None, "w")), running);
        let words = performed(&bounded, &kept(Phase::Running, None, "w"));
        assert_eq!(words, format!("{running}; cancelled {end}"));
        let words = performed(&bounded, &kept(Phase::Pending, None, ""));
        let published = "attempt 3 was published at 2025-11-21T04:40:00Z, and nobody said that it \
                         began";
        assert_eq!(words, format!("{published}; given up {end}"));
        let by = Some(CancelCause::Client { by: Some("me".into()) });
        let words = performed(&bounded, &kept(Phase::Cancelling, by, "w"));
        let asked = "cancelled by me: worker w of queue emails is to confirm that";
        assert_eq!(words, format!("{asked}; it ends without that {end}"));
        let words = performed(&bounded, &kept(Phase::Cancelling, Some(CancelCause::TimedOut), ""));
        assert!(words.starts_with("cancelled, because it took too long: a worker of"), "{words}");
    }
}
