//! The connection to one broker that is kept, and made anew when it has ended, with a growing wait
//! between two tries. The pool of the kind `amqp` has one for each broker and login, the bus two.
//! Calls that come while a connection is being made wait for it together.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use super::backoff::wait;
use super::connection::BrokerConnection;
use super::failure::Unconnected;
use super::options::ConnectOptions;
use super::role::Role;
use crate::executor::amqp::Broker;
use crate::model::ProjectId;
use crate::secret::SecretText;
use crate::telemetry::LogLimit;

/// The time for which failures are remembered after the wait that followed them, in milliseconds.
const REMEMBERED_MS: u64 = 60_000;

/// An open connection, and what its users know of it.
pub(crate) struct Live<K> {
    pub(crate) connection: Arc<BrokerConnection>,
    pub(crate) known: K,
}

type Opening<K> = Shared<BoxFuture<'static, Result<Arc<Live<K>>, Unconnected>>>;

/// The reason why there is no connection now.
#[derive(Debug)]
pub(crate) enum NoConnection {
    /// The last try failed, and the next one is at this instant of the boot clock.
    Wait(u64),
    /// This try failed.
    Failed(Unconnected),
}

/// A connection that is kept.
pub(crate) struct KeptConnection<K> {
    broker: Broker,
    role: Role,
    options: Arc<ConnectOptions>,
    state: Mutex<State<K>>,
}

struct State<K> {
    /// The failures in a row.
    failures: u32,
    /// The instant of the next try, in boot-clock milliseconds.
    retry_at: u64,
    link: Link<K>,
}

enum Link<K> {
    Closed,
    Opening(Opening<K>),
    Open(Arc<Live<K>>),
}

impl<K: Default + Send + Sync + 'static> KeptConnection<K> {
    /// A connection that is not open yet.
    pub(crate) fn new(broker: Broker, role: Role, options: Arc<ConnectOptions>) -> Self {
        let state = State { failures: 0, retry_at: 0, link: Link::Closed };
        Self { broker, role, options, state: Mutex::new(state) }
    }

    /// The open connection, for a call of a project.
    pub(crate) async fn get(
        self: &Arc<Self>,
        password: &SecretText,
        project: ProjectId,
    ) -> Result<Arc<Live<K>>, NoConnection> {
        let opening = {
            let mut state = self.lock();
            let now = self.options.clock.boot();
            state.look(now);
            match &state.link {
                Link::Open(live) => return Ok(Arc::clone(live)),
                Link::Opening(opening) => opening.clone(),
                Link::Closed if now < state.retry_at => {
                    return Err(NoConnection::Wait(state.retry_at));
                }
                Link::Closed => {
                    let opening = self.open(password.clone(), project);
                    state.link = Link::Opening(opening.clone());
                    opening
                }
            }
        };
        opening.await.map_err(NoConnection::Failed)
    }

    /// Whether it is closed, and nothing has to be remembered about it.
    pub(crate) fn is_forgettable(&self) -> bool {
        let mut state = self.lock();
        let now = self.options.clock.boot();
        state.look(now);
        let is_over = now >= state.retry_at.saturating_add(REMEMBERED_MS);
        matches!(state.link, Link::Closed) && (state.failures == 0 || is_over)
    }

    /// Opens it in a task of its own, so that a call that ends does not end it for others.
    fn open(self: &Arc<Self>, password: SecretText, project: ProjectId) -> Opening<K> {
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let owner = Arc::downgrade(&this);
            let by = (&*this.options, this.role);
            let opened = BrokerConnection::open(by, &this.broker, &password, project, owner);
            let made =
                opened.await.map(|connection| Arc::new(Live { connection, known: K::default() }));
            this.opened(&made);
            made
        });
        let owner = Arc::downgrade(self);
        let opening = async move {
            if let Ok(made) = task.await {
                return made;
            }
            // The task has panicked, or the node is stopping.
            let text = "the connection was not made: this node has failed, or is stopping";
            let made = Err(Unconnected::Unreached { text: text.to_owned(), anybody: false });
            if let Some(this) = owner.upgrade() {
                this.opened(&made);
            }
            made
        };
        opening.boxed().shared()
    }

    fn opened(&self, made: &Result<Arc<Live<K>>, Unconnected>) {
        static LINES: LogLimit<String> = LogLimit::new();
        let mut state = self.lock();
        let broker = self.broker.address();
        match made {
            Ok(live) => {
                tracing::info!(broker, "connected to a broker");
                state.link = Link::Open(Arc::clone(live));
            }
            // Neither says anything about the broker.
            Err(Unconnected::Full | Unconnected::ByProxy) => {
                state.link = Link::Closed;
                return;
            }
            Err(why) => {
                if LINES.admit(broker.clone()).is_some() {
                    tracing::warn!(broker, why = why.text(), "no connection to a broker");
                }
                state.closed(self.options.clock.boot());
            }
        }
        self.options.metrics.connected(made.is_ok());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> State<K> {
    /// Notes that the connection has ended, if it has.
    fn look(&mut self, now: u64) {
        let Link::Open(live) = &self.link else { return };
        if live.connection.is_used_up() {
            self.link = Link::Closed;
            return;
        }
        if live.connection.is_open() {
            return;
        }
        if live.connection.was_idle() {
            // The next call opens it at once.
            (self.failures, self.retry_at, self.link) = (0, 0, Link::Closed);
            return;
        }
        if live.connection.has_worked() {
            self.failures = 0;
        }
        self.closed(now);
    }

    fn closed(&mut self, now: u64) {
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now + wait(self.failures);
        self.link = Link::Closed;
    }
}
