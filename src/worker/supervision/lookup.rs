//! The look-up of members that a claim has popped: whether they are still to be performed, by which
//! queue, under which terms and with which data, as the store says now (the fresh-state rule).
//! `prepare` makes it within one read of the store; nothing is proposed or changed here.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::answers::JobData;
use crate::delivery::registry::Registry;
use crate::model::attempt::SkipReason;
use crate::model::delivery::Overlap;
use crate::model::job::{PARKED, Pending};
use crate::model::members::Members;
use crate::model::run::{BeginRun, Occurrence};
use crate::model::run_terms::{BusKind, RunTerms};
use crate::model::{JobId, Millis, NodeId, ProjectId};
use crate::store::jobs::Payload;
use crate::store::{attempts, jobs, meta, pending, projects, runs};
use crate::worker::queue::{Instants, Plans};
use crate::worker::send::{
    BEGUN_TIMEOUT, Defaults, DeliveryMode, OfferTerms, Routes, SkipCause, Terms, skip_cause_now,
};
use crate::worker::supervisor::{Part, Prepared, Source};

/// Everything that a look-up takes, beside the store.
#[derive(Clone)]
pub(super) struct Lookup {
    pub(super) node: NodeId,
    pub(super) plans: Arc<Plans>,
    pub(super) kinds: Registry,
    pub(super) defaults: Defaults,
}

/// Jobs of a part that need leave to begin, each with the question and the terms.
pub(super) type Asking = Vec<(JobId, BeginRun, Arc<RunTerms>)>;

/// What was found of a part.
#[derive(Debug)]
pub(super) struct FoundPart {
    pub(super) prepared: Prepared,
    pub(super) asking: Asking,
}

/// The parts of a claim, which are to be looked up.
#[derive(Clone, Debug)]
pub(super) struct AskedParts {
    pub(super) parts: Arc<Vec<Part>>,
    /// The most bytes of data that are read, but those of one job always: the rest waits on.
    /// Without a bound no data are read.
    pub(super) max_bytes: Option<usize>,
}

impl AskedParts {
    /// The number of the members.
    pub(super) fn members(&self) -> usize {
        self.parts.iter().map(|part| part.jobs.len()).sum()
    }
}

/// What was found of the parts of a claim.
#[derive(Debug, Default)]
pub(super) struct FoundParts {
    pub(super) parts: Vec<FoundPart>,
    /// The data of the jobs that may be handed out.
    pub(super) data: HashMap<Occurrence, JobData>,
}

/// The way of the jobs of a definition.
#[derive(Clone)]
enum Way {
    /// They wait for a worker.
    Queue { terms: Arc<RunTerms>, overlap: Overlap, timeout: Millis },
    /// Their target is no queue now.
    Other,
}

/// A look-up under way.
struct Look<'a> {
    conn: &'a Connection,
    lookup: &'a Lookup,
    routes: Routes<'a>,
    ways: HashMap<(u64, bool), (ProjectId, Way)>,
    /// The terms of jobs that a broker knows by the client's id, by definition and id.
    named: HashMap<(u64, String), Arc<RunTerms>>,
    pauses: HashMap<(ProjectId, Millis), Option<SkipCause>>,
    log_time: Option<Millis>,
    /// The bytes of data that still find room in the answer; `None` where nobody gets any.
    room: Option<usize>,
    data: HashMap<Occurrence, JobData>,
}

impl Lookup {
    /// Looks up the parts of some claims, each by itself; what they have in common is read once.
    pub(super) fn look_up(
        &self,
        conn: &Connection,
        asked: &[AskedParts],
    ) -> rusqlite::Result<Vec<FoundParts>> {
        let mut look = Look {
            conn,
            lookup: self,
            routes: Routes::new(conn, &self.kinds, self.defaults),
            ways: HashMap::new(),
            named: HashMap::new(),
            pauses: HashMap::new(),
            log_time: None,
            room: None,
            data: HashMap::new(),
        };
        asked.iter().map(|asked| look.parts(asked)).collect()
    }
}

impl Look<'_> {
    fn parts(&mut self, asked: &AskedParts) -> rusqlite::Result<FoundParts> {
        self.room = asked.max_bytes;
        let parts = asked.parts.iter().map(|part| self.part(part)).collect::<Result<_, _>>()?;
        Ok(FoundParts { parts, data: std::mem::take(&mut self.data) })
    }

    fn part(&mut self, part: &Part) -> rusqlite::Result<FoundPart> {
        let source = &part.source;
        let members = Members::from_sorted(part.jobs.iter().copied());
        let (payloads, last) = match self.room {
            Some(room) => jobs::payloads(self.conn, &members, room.max(1))?,
            None => (jobs::without_data(self.conn, &members)?, None),
        };
        let external_ids = jobs::external_ids(self.conn, &members)?;
        let rows = pending::at_occurrence(
            self.conn,
            source.shard,
            source.scheduled,
            source.run,
            &members,
        )?;
        let mut payloads = payloads.into_iter().peekable();
        let prepared = Prepared::new(Arc::clone(source));
        let mut found = FoundPart { prepared, asking: Vec::new() };
        for job in &part.jobs {
            if last.is_some_and(|last| *job > last) {
                found.prepared.later.push(*job);
                continue;
            }
            let Some(payload) = payloads.next_if(|payload| payload.id == *job) else {
                found.prepared.gone.push(*job);
                continue;
            };
            let row = rows.iter().find(|row| row.members.contains(*job));
            let name = external_ids.get(job);
            self.job(part, &payload, row, name, &mut found)?;
        }
        Ok(found)
    }

    /// Looks at one job, and puts it into the list that it belongs to, if any.
    fn job(
        &mut self,
        part: &Part,
        payload: &Payload,
        row: Option<&Pending>,
        external_id: Option<&String>,
        found: &mut FoundPart,
    ) -> rusqlite::Result<()> {
        let (source, job) = (&*part.source, payload.id);
        let of = source.occurrence(job);
        // What is in another attempt, or parked or over, is the store's to say.
        let is_open = match row {
            Some(row) => row.attempt == source.attempt && row.next_at != PARKED,
            None => !self.is_over(of, source.due)?,
        };
        if !is_open {
            return Ok(());
        }
        let once = source.run == 0 && payload.anchor == source.scheduled;
        let Some((project, way)) = self.way(payload.definition_id, once)? else {
            found.prepared.later.push(job);
            return Ok(());
        };
        let is_planned = source.pending.is_none() && row.is_none() && source.run == 0;
        if is_planned && let Some(reason) = self.objection(source, payload, project)? {
            if self.is_certain(source.due)? {
                add(&mut found.prepared.skipped, job, |known| *known == reason, || reason);
            } else {
                found.prepared.later.push(job);
            }
            return Ok(());
        }
        let Way::Queue { terms, overlap, timeout } = way else {
            found.prepared.rerouted.push(job);
            return Ok(());
        };
        let terms = self.named(payload.definition_id, terms, external_id);
        if terms.executor != source.queue {
            add(&mut found.prepared.moved, job, |known| *known == terms, || Arc::clone(&terms));
            return Ok(());
        }
        if let Some(room) = self.room {
            if !self.data.is_empty() && payload.data.len() > room {
                found.prepared.later.push(job);
                return Ok(());
            }
            self.room = Some(room.saturating_sub(payload.data.len()));
            let (external_id, data) = (external_id.cloned(), payload.data.clone());
            self.data.insert(of, JobData { external_id, data });
        }
        let forced = row.is_some_and(|row| row.forced);
        if overlap != Overlap::Allow
            && !forced
            && (part.asks || runs::get(self.conn, of)?.is_none())
        {
            let begin = BeginRun {
                occurrence: of,
                project,
                shard: source.shard,
                node: self.lookup.node,
                epoch: source.epoch,
                due: source.due,
                attempt: source.attempt,
                pending: row.map(|row| row.id),
                overlap,
                timeout: timeout.saturating_add(BEGUN_TIMEOUT),
                retry: terms.retry,
            };
            found.asking.push((job, begin, terms));
        } else {
            add(&mut found.prepared.ready, job, |known| *known == terms, || Arc::clone(&terms));
        }
        Ok(())
    }

    /// Says whether an occurrence that is in no row has an end, or somebody who has it.
    fn is_over(&self, of: Occurrence, due: Millis) -> rusqlite::Result<bool> {
        Ok(runs::get(self.conn, of)?.is_some_and(|run| run.accepted)
            || attempts::end_of(self.conn, of, due, due)?.is_some())
    }

    /// Why a planned occurrence is not to be performed, by an edit or a pause from before it fell
    /// due.
    fn objection(
        &mut self,
        source: &Source,
        payload: &Payload,
        project: ProjectId,
    ) -> rusqlite::Result<Option<SkipReason>> {
        let key = (project, source.due);
        let pause = if let Some(known) = self.pauses.get(&key) {
            *known
        } else {
            let pause = SkipCause::of_pauses(&projects::pauses(self.conn, project)?, source.due);
            *self.pauses.entry(key).or_insert(pause)
        };
        let planned = Instants { scheduled: source.scheduled, due: source.due };
        let read = (self.conn, &*self.lookup.plans);
        Ok(skip_cause_now(read, payload, planned, (project, pause))?.map(SkipCause::reason))
    }

    /// Says whether no change can come any more that takes effect before an instant (the certainty
    /// rule).
    fn is_certain(&mut self, due: Millis) -> rusqlite::Result<bool> {
        let now = match self.log_time {
            Some(known) => known,
            None => *self.log_time.insert(meta::log_time(self.conn)?),
        };
        Ok(due <= now)
    }

    /// The project and the way of a definition's jobs; `None` where it cannot be read.
    fn way(
        &mut self,
        definition_id: u64,
        once: bool,
    ) -> rusqlite::Result<Option<(ProjectId, Way)>> {
        if let Some(known) = self.ways.get(&(definition_id, once)) {
            return Ok(Some(known.clone()));
        }
        let Some(definition) = self.lookup.plans.definition(self.conn, definition_id)? else {
            return Ok(None);
        };
        let terms = self.routes.terms(&definition, once && definition.is_one_off())?;
        let Terms { project, timeout, mode, .. } = terms;
        let way = match mode {
            DeliveryMode::Offer(_, OfferTerms { terms, overlap, .. }) => {
                Way::Queue { terms, overlap, timeout }
            }
            _ => Way::Other,
        };
        self.ways.insert((definition_id, once), (project, way.clone()));
        Ok(Some((project, way)))
    }

    /// The terms of a job: on a broker a job without a name of its own has the client's id.
    fn named(
        &mut self,
        definition_id: u64,
        terms: Arc<RunTerms>,
        external_id: Option<&String>,
    ) -> Arc<RunTerms> {
        let Some(name) = external_id.filter(|_| terms.bus == BusKind::Rabbitmq) else {
            return terms;
        };
        if !terms.name.is_empty() {
            return terms;
        }
        let key = (definition_id, name.clone());
        let named = || Arc::new(RunTerms { name: name.clone(), ..(*terms).clone() });
        Arc::clone(self.named.entry(key).or_insert_with(named))
    }
}

/// Adds a job to the list of those that have something in common, or to a new one.
fn add<T>(
    lists: &mut Vec<(Vec<JobId>, T)>,
    job: JobId,
    is_its: impl Fn(&T) -> bool,
    new: impl FnOnce() -> T,
) {
    match lists.iter_mut().find(|(_, known)| is_its(known)) {
        Some((jobs, _)) => jobs.push(job),
        None => lists.push((vec![job], new())),
    }
}
