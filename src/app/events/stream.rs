//! One stream: what its reader gets next. It is made by `App::open_events` and dropped with the
//! reader's connection, which gives its place back.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

use crate::app::actor::{Actor, ActorKind};
use crate::app::authz::{Action, Resource, authorize};
use crate::app::events::executions::PendingAttempts;
use crate::app::events::filter::{EventFilter, EventType};
use crate::app::events::items::{
    Hello, HelloCluster, Item, JobNews, ResetReason, StreamItem, members,
};
use crate::app::events::reached::ReachedRecords;
use crate::app::events::sums::PendingSums;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::auth::SessionLife;
use crate::cluster::Leadership;
use crate::events::{EventId, Position, Read, Subscription};
use crate::model::credential::Credential;
use crate::model::event::{ChangeEvent, Fact, JobChange};
use crate::model::execution_id::occurrence_id;
use crate::model::reach::Reach;
use crate::model::scope::Scopes;
use crate::model::{JobId, Millis, NodeId};
use crate::store::{credentials, ended_sessions, jobs, meta, template_jobs};

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(10);
/// The time for which a reader that is ahead of this node waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most jobs that a stream reads within a second; further events do not show theirs.
const MOST_JOBS: u32 = 20;

/// The stream of one reader.
pub struct EventStream {
    app: Arc<App>,
    actor: Actor,
    /// The session by which the actor reads, if it is one.
    session: Option<SessionLife>,
    filter: EventFilter,
    reached: ReachedRecords,
    /// The reader may read the status of the cluster.
    sees_cluster: bool,
    subscription: Subscription,
    leadership: watch::Receiver<Leadership>,
    leader: (u64, Option<NodeId>),
    /// Facts that were read, and that the reader gets one by one.
    read: VecDeque<Arc<ChangeEvent>>,
    ready: VecDeque<StreamItem>,
    sums: PendingSums,
    attempts: PendingAttempts,
    /// The cluster's id, once it was read.
    cluster: Option<u128>,
    beat: Instant,
    /// The next look at the credential of the reader.
    check: Instant,
    ahead_since: Option<Instant>,
    /// The second in which jobs were read, and how many.
    jobs_read: (Instant, u32),
    over: bool,
}

impl EventStream {
    pub(super) fn new(
        app: Arc<App>,
        (actor, session): (Actor, Option<SessionLife>),
        filter: EventFilter,
        subscription: Subscription,
    ) -> Self {
        let mut leadership = app.cluster.leadership();
        let term = leadership.borrow_and_update().term;
        let leader = (term, app.cluster.leader());
        let sees_cluster = authorize(&actor, Action::ClusterRead, Resource::Any).is_ok();
        let hello = Hello {
            node: app.config().node_id,
            cluster: sees_cluster.then(|| HelloCluster {
                term,
                leader: leader.1,
                members: members(&app),
            }),
            at: app.now(),
            version: env!("CARGO_PKG_VERSION"),
        };
        let hello = StreamItem { id: Some(subscription.id()), item: Item::Hello(hello) };
        let now = Instant::now();
        Self {
            app,
            actor,
            session,
            filter,
            reached: ReachedRecords::default(),
            sees_cluster,
            subscription,
            leadership,
            leader,
            read: VecDeque::new(),
            ready: VecDeque::from([hello]),
            sums: PendingSums::default(),
            attempts: PendingAttempts::default(),
            cluster: None,
            beat: now + BEAT,
            check: now + BEAT,
            ahead_since: None,
            jobs_read: (now, 0),
            over: false,
        }
    }

    /// Waits for the next item; `None` when the stream is over.
    pub async fn next(&mut self) -> Option<StreamItem> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if self.over {
                return None;
            }
            // Also while there is much to read and no time for a beat.
            if self.check <= Instant::now() {
                self.check = Instant::now() + BEAT;
                if !self.may_go_on().await {
                    self.end();
                    continue;
                }
            }
            if self.subscription.has_ended() {
                self.end();
            } else if let Some(event) = self.read.pop_front() {
                self.take(event).await;
            } else {
                self.go_on().await;
            }
        }
    }

    /// Reads the ring, or waits for it.
    async fn go_on(&mut self) {
        match self.subscription.read() {
            Read::Events(events) => self.read.extend(events),
            Read::Lost { reason, from, .. } => self.reset(reason.into(), from),
            Read::Nothing => {
                self.ahead_since = None;
                self.wait().await;
            }
            Read::Ahead => {
                let since = *self.ahead_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE {
                    let from = self.subscription.id();
                    self.subscription.go_to_end();
                    self.reset(ResetReason::Ahead, from);
                } else {
                    self.wait().await;
                }
            }
        }
    }

    fn reset(&mut self, reason: ResetReason, from: EventId) {
        // What has gathered lies before the gap, which the reader has to read anew anyway.
        self.sums.clear();
        self.attempts.clear();
        self.reached.forget();
        self.ahead_since = None;
        self.app.metrics.event_resets.inc();
        let id = Some(self.subscription.id());
        self.ready.push_back(StreamItem { id, item: Item::Reset { reason, from } });
    }

    fn end(&mut self) {
        self.over = true;
        self.ready.push_back(StreamItem { id: None, item: Item::Bye });
    }

    /// Takes one fact: it is hidden, gathers, or becomes an item.
    async fn take(&mut self, event: Arc<ChangeEvent>) {
        let lineage = self.subscription.id().lineage;
        let id = EventId { lineage, position: Position::of(&event) };
        let event = match self.reached.part(&self.app, &self.actor, event).await {
            Ok(Some(event)) => event,
            Ok(None) => return,
            // Whether it may be shown is not known: the reader has to look for itself.
            Err(_) => return self.reset(ResetReason::Expired, id),
        };
        if let Fact::Executions(sums) = &event.fact {
            if !self.filter.wants(EventType::Executions) {
                return;
            }
            match self.filter.job {
                Some(_) if self.filter.matches(&event.fact) => self.attempts.want(id, event.at),
                Some(_) => {}
                None => self.sums.add(id, event.at, sums, self.filter.project),
            }
            return;
        }
        let of_cluster = EventType::of(&event.fact).is_some_and(EventType::is_of_cluster);
        if !self.filter.matches(&event.fact) || (of_cluster && !self.sees_cluster) {
            return;
        }
        if let Some((job, template)) = self.filter.unproven_job(&event.fact)
            && !self.may_be_of(job, template).await
        {
            return;
        }
        // Ids only go forward: what has gathered goes first.
        self.flush(true).await;
        let job = match &event.fact {
            Fact::Jobs { change, jobs, .. } if *change != JobChange::Deleted => jobs.single(),
            _ => None,
        };
        let job = match job {
            Some(job) => self.job(job).await,
            None => None,
        };
        let execution_id = match &event.fact {
            Fact::Run { of, .. } => self.cluster().await.map(|id| occurrence_id(id, *of)),
            _ => None,
        };
        let members = match &event.fact {
            Fact::Members => members(&self.app),
            _ => Vec::new(),
        };
        // After attempts that could not be read, a reader that comes back gets both again.
        let id = self.attempts.due().is_none().then_some(id);
        let item = Item::Fact { event, job, execution_id, members };
        self.ready.push_back(StreamItem { id, item });
    }

    /// Sends what has gathered, if it is due, or in any case.
    async fn flush(&mut self, in_any_case: bool) {
        let now = Instant::now();
        let is_due = |due: Option<Instant>| due.is_some_and(|due| in_any_case || due <= now);
        if is_due(self.sums.due())
            && let Some((id, at, sums)) = self.sums.take()
        {
            self.ready.push_back(StreamItem { id: Some(id), item: Item::Executions { at, sums } });
        }
        if let Some(job) = self.filter.job
            && is_due(self.attempts.due())
        {
            match self.attempts.read(&self.app, &self.actor, job).await {
                Ok(Some(read)) => {
                    let last = read.found.len().saturating_sub(1);
                    for (place, record) in read.found.into_iter().enumerate() {
                        // Only the last one says that the reader has seen all up to the fact.
                        let id = read.id.filter(|_| place == last);
                        let more = read.more && place == last;
                        let item = Item::Execution { record: Box::new(record), more };
                        self.ready.push_back(StreamItem { id, item });
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "attempts were not read for a stream"),
            }
        }
    }

    /// Waits until there may be something to do: the ring moved, or something is due.
    async fn wait(&mut self) {
        self.flush(false).await;
        if self.beat <= Instant::now() {
            self.beat().await;
        }
        if !self.ready.is_empty() {
            return;
        }
        let ahead = self.ahead_since.map(|since| since + PATIENCE);
        let due = [Some(self.beat), self.sums.due(), self.attempts.due(), ahead];
        // There is always a beat.
        let next = due.into_iter().flatten().min().unwrap_or(self.beat);
        let cluster_wide =
            self.filter.wants_cluster() && self.filter.wants(EventType::LeaderChanged);
        let cluster_wide = cluster_wide && self.sees_cluster;
        let led = async {
            if !cluster_wide || self.leadership.changed().await.is_err() {
                pending::<()>().await;
            }
        };
        let changed = tokio::select! {
            () = self.subscription.moved() => false,
            () = sleep_until(next) => false,
            () = led => true,
        };
        if changed {
            self.take_leadership();
        }
    }

    fn take_leadership(&mut self) {
        let now = *self.leadership.borrow_and_update();
        let leader = (now.term, now.leader);
        if leader != self.leader {
            self.leader = leader;
            let item = Item::Leader { term: now.term, leader: now.leader };
            self.ready.push_back(StreamItem { id: None, item });
        }
    }

    /// Says that the stream lives, and how far its reader has come.
    async fn beat(&mut self) {
        self.beat = Instant::now() + BEAT;
        self.flush(true).await;
        // While attempts are wanted that could not be read, the reader has not come this far.
        let id = self.attempts.due().is_none().then(|| self.subscription.id());
        let at = self.app.now();
        self.ready.push_back(StreamItem { id, item: Item::Beat { at } });
    }

    /// Says whether the credential of the reader was neither archived nor deleted meanwhile, has
    /// not expired, has all scopes that it had, and its session was not ended; or whether its
    /// access token has not expired.
    async fn may_go_on(&self) -> bool {
        let now = self.app.now();
        if let ActorKind::Token(token) = &self.actor.kind {
            return now < token.expires;
        }
        let (credential, scopes) = (self.actor.limit(), self.actor.scopes);
        let reach = self.actor.reach().clone();
        let session = self.session.map(|session| session.id);
        let read = self.app.read(&self.actor, move |conn| {
            if let Some(session) = session
                && ended_sessions::has(conn, session)?
            {
                return Ok(None);
            }
            Ok(match credential {
                None => Some(meta::operator_sessions_from(conn)?),
                Some(id) => match credentials::get(conn, id)? {
                    Some(found) if is_as_it_was(&found, (scopes, &reach), now) => {
                        Some(credentials::sessions_end(conn, id)?)
                    }
                    _ => None,
                },
            })
        });
        match (read.await, self.session) {
            (Ok(None), _) => false,
            (Ok(Some(ended)), Some(session)) => session.holds(now, ended),
            (Ok(Some(_)), None) => true,
            // The next check asks again.
            (Err(_), session) => session.is_none_or(|session| session.holds(now, None)),
        }
    }

    /// The job of an event, unless the stream has read enough of them within this second, or it
    /// cannot be read now.
    async fn job(&mut self, id: JobId) -> Option<JobNews> {
        let now = Instant::now();
        if now.duration_since(self.jobs_read.0) >= Duration::from_secs(1) {
            self.jobs_read = (now, 0);
        }
        self.jobs_read.1 += 1;
        if self.jobs_read.1 > MOST_JOBS {
            return None;
        }
        let record = self.app.load_record(&self.actor, id, ReadPhase::BeforeWrite).await.ok()?;
        Some(JobNews {
            id,
            external_id: record.job.external_id,
            project: record.job.definition.project,
            status: record.status,
            next: record.next,
            version: record.job.version,
            template: record.template.and_then(|link| Some(link.kind?.to_string())),
        })
    }

    /// Says whether a template may have made a job: it did, or the job is gone or cannot be read
    /// now.
    async fn may_be_of(&mut self, job: JobId, template: u64) -> bool {
        let look = move |conn: &Connection| {
            Ok(match template_jobs::get(conn, job)? {
                Some(instance) => instance.of.id == template,
                None => jobs::get(conn, job)?.is_none(),
            })
        };
        self.app.read(&self.actor, look).await.unwrap_or(true)
    }

    async fn cluster(&mut self) -> Option<u128> {
        if self.cluster.is_none() {
            self.cluster = self.app.read(&self.actor, meta::cluster_id).await.ok()?;
        }
        self.cluster
    }
}

/// True where a credential opens what it opened with these scopes and this reach.
fn is_as_it_was(found: &Credential, (scopes, reach): (Scopes, &Reach), now: Millis) -> bool {
    let terms = &found.terms;
    let holds = !found.archived && terms.hold_at(now) && reach.is_within(&found.reach());
    holds && scopes.without(terms.scopes()).is_empty()
}
