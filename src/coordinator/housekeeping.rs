//! The leader's housekeeping: it lets log time go on in an idle cluster, ends runs of which nothing
//! is heard and one-offs that lapsed, drops history and audit that are past their keeping. Runs for
//! one term, beside the collector; it decides nothing about shards.

use std::time::Duration;

use crate::clock::SchedulerTime;
use crate::cluster::Cluster;
use crate::command::{Command, Outcome};
use crate::model::Millis;
use crate::store;

use std::sync::Arc;

/// The step of log time where there are no other entries, in milliseconds. Watermarks follow log
/// time, so this is how much a take-over in an idle cluster may have to look through.
const TICK_MS: Millis = 5_000;
/// Time between two looks at the history's size, in milliseconds.
const RETAIN_MS: u64 = 60_000;
/// Records that one entry drops at most: short enough that no write waits long behind it.
const RETAIN_LIMIT: u32 = 2_000;
/// Runs and one-offs, each, that one entry ends at most.
const EXPIRE_LIMIT: u32 = 500;
/// The age of a term, in milliseconds, from which silence counts: while there was no leader no run
/// could be reported on, and reports that waited must come in first.
const REPRIEVE_MS: u64 = 5_000;

/// The housekeeping of one term.
pub(super) struct Housekeeping {
    /// The cluster, to read from and to propose to.
    pub(super) cluster: Cluster,
    /// The term in which this node leads; it ends when another begins.
    pub(super) term: u64,
    /// Scheduler time.
    pub(super) time: Arc<SchedulerTime>,
    /// Age at which history goes.
    pub(super) max_age: Duration,
    /// Age at which dead letters go.
    pub(super) dead_letters_max_age: Duration,
    /// Size at which the oldest history goes, in bytes.
    pub(super) max_bytes: u64,
    /// Age at which rows of the audit go.
    pub(super) audit_max_age: Duration,
    /// Size at which the oldest of them go, in bytes.
    pub(super) audit_max_bytes: u64,
    /// Says whether this node's disk is nearly full.
    pub(super) disk_short: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Housekeeping {
    /// Works until dropped.
    pub(super) async fn run(self) {
        let began = self.time.clock().boot();
        let mut retained = began;
        let mut was_short = false;
        loop {
            let boot = self.time.clock().boot();
            self.time.clock().sleep_until(boot + 1_000).await;
            let stamp = self.cluster.applied().borrow().stamp;
            let mut outcome = Ok(());
            if self.time.now() - stamp >= TICK_MS {
                outcome = self.propose(Command::Tick).await.map(drop);
            }
            let boot = self.time.clock().boot();
            if outcome.is_ok() && boot.saturating_sub(began) >= REPRIEVE_MS {
                outcome = self.expire().await;
            }
            let boot = self.time.clock().boot();
            let short = (self.disk_short)();
            let early = short && !was_short;
            if outcome.is_ok() && (early || boot.saturating_sub(retained) >= RETAIN_MS) {
                (retained, was_short) = (boot, short);
                outcome = self.retain(short).await;
                if outcome.is_ok() {
                    outcome = self.retain_audit().await;
                }
            }
            was_short &= short;
            // Also when this node is said not to lead: a hand-over that fails leaves it the term.
            if let Err(error) = outcome {
                tracing::debug!(%error, "housekeeping waits for its next turn");
            }
        }
    }

    /// Ends the runs whose deadline has passed, the offers that nobody took in time, and the
    /// one-offs that lapsed (their instant came while they did not fire), a bounded number in an
    /// entry. The state is asked each time whether there are any; what an entry could not end (its
    /// stamp may lie a little before the deadline) waits for the next turn.
    async fn expire(&self) -> Result<(), crate::cluster::Error> {
        loop {
            let now = self.time.now();
            let past = move |instant: Option<Millis>| instant.is_some_and(|instant| instant < now);
            let due = self.cluster.read(move |conn| {
                let expired = past(store::runs::next_deadline(conn)?);
                let untaken = past(store::pending::next_expiry(conn)?);
                Ok(expired || untaken || past(store::jobs::next_lapse(conn)?))
            });
            if !due.await? {
                return Ok(());
            }
            let expired = self.propose(Command::Expire { limit: EXPIRE_LIMIT }).await?;
            if !matches!(expired, Outcome::Changed(n) if n >= EXPIRE_LIMIT) {
                return Ok(());
            }
        }
    }

    /// Drops history by age, and by size when the executions outgrow their share; a bounded piece
    /// an entry, so that writes go on between them. With a disk that is nearly full about the older
    /// half goes at once, and half of the rest at each turn: its pages are used again, so that the
    /// state stops growing.
    async fn retain(&self, disk_short: bool) -> Result<(), crate::cluster::Error> {
        let (mut most, mut limit) = (self.max_bytes, RETAIN_LIMIT);
        if disk_short {
            limit = RETAIN_LIMIT / 10;
            most = most.min(self.cluster.read(store::attempts::bytes).await? / 2);
            tracing::warn!(bytes = most, "the disk is nearly full: history is cut to this size");
        }
        loop {
            let bytes = self.cluster.read(store::attempts::bytes).await?;
            let now = self.time.now();
            // Too big: the oldest goes, and `Retain` itself spares what is not settled.
            let before = if bytes > most { now } else { now - millis(self.max_age) };
            let dead_letters = now - millis(self.dead_letters_max_age);
            let command = Command::Retain { before, dead_letters, limit };
            // Closed plans, pauses and receipts grow old also where nothing fires: one entry in any
            // case, more while records are left.
            let dropped = self.propose(command).await?;
            if !matches!(dropped, Outcome::Dropped(n) if n >= limit) {
                return Ok(());
            }
        }
    }

    /// Drops the oldest rows of the audit by age and by size, a bounded piece an entry. A disk that
    /// is nearly full takes none of them: who did what is worth more than the history of calls.
    async fn retain_audit(&self) -> Result<(), crate::cluster::Error> {
        let (most_bytes, limit) = (self.audit_max_bytes, RETAIN_LIMIT);
        let before = self.time.now() - millis(self.audit_max_age);
        // Most of the time nothing is to be dropped, and then there is no entry.
        while self.cluster.read(move |conn| store::audit::has_old(conn, before, most_bytes)).await?
        {
            let dropped = self.propose(Command::RetainAudit { before, most_bytes, limit }).await?;
            if !matches!(dropped, Outcome::Dropped(n) if n > 0) {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn propose(&self, command: Command) -> Result<Outcome, crate::cluster::Error> {
        Ok(self.cluster.propose_as_leader(self.term, command).await?.1)
    }
}

fn millis(age: Duration) -> Millis {
    age.as_millis() as Millis
}
