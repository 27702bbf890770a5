//! What there is for one broker and login: two connections, what is declared there, and the actions
//! that wait. `bus` makes one for each broker, `publisher` and the consumers of shards work on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::declared::{Declared, TopologyOf};
use super::pacer::Pacer;
use super::topology::{Declarer, Undeclared, declare};
use super::waiting_actions::WaitingActions;
use crate::delivery::secret_cache::SecretCache;
use crate::executor::Broker;
use crate::executor::broker::kept::{KeptConnection, Live, NoConnection};
use crate::executor::broker::options::ConnectOptions;
use crate::executor::broker::role::Role;
use crate::metrics::BusMetrics;
use crate::model::{Millis, ProjectId};
use crate::secret::{SecretText, purpose};

/// An open connection of the bus.
pub(super) type LiveLink = Arc<Live<Declarer>>;

/// The longest wait for a topology.
const DECLARING: Duration = Duration::from_secs(10);
/// The time after which it is worth another try where nobody says a better one, in milliseconds.
const AGAIN_MS: u64 = 1_000;

/// The parts of the bus that all brokers share.
pub(super) struct Shared {
    pub(super) options: Arc<ConnectOptions>,
    pub(super) secrets: SecretCache,
    pub(super) metrics: BusMetrics,
}

/// One broker.
pub(super) struct BrokerLink {
    pub(super) shared: Arc<Shared>,
    pub(super) broker: Broker,
    /// The project that connections are opened for: that of the first job.
    project: ProjectId,
    publisher: Arc<KeptConnection<Declarer>>,
    consumer: Arc<KeptConnection<Declarer>>,
    declared: Declared,
    pacer: Arc<Pacer>,
    actions: Mutex<WaitingActions>,
    /// The connection to consume on, while it is open.
    pub(super) open: watch::Sender<Option<LiveLink>>,
    /// The number of shards that are attached.
    pub(super) attached: watch::Sender<usize>,
}

/// The reason why a broker cannot be used now, and the instant of the boot clock before which
/// another try is in vain.
pub(super) struct NotNow {
    pub(super) until: u64,
    pub(super) why: String,
    /// It concerns all jobs at the broker, not just one.
    pub(super) of_broker: bool,
}

impl BrokerLink {
    /// A link without connections.
    pub(super) fn new(shared: Arc<Shared>, broker: Broker, project: ProjectId) -> Self {
        let kept = |role| {
            let options = Arc::clone(&shared.options);
            Arc::new(KeptConnection::new(broker.clone(), role, options))
        };
        Self {
            publisher: kept(Role::Publisher),
            consumer: kept(Role::Consumer),
            shared,
            broker,
            project,
            declared: Declared::default(),
            pacer: Arc::default(),
            actions: Mutex::default(),
            open: watch::Sender::new(None),
            attached: watch::Sender::new(0),
        }
    }

    /// The open connection for a role.
    pub(super) async fn connection(&self, role: Role) -> Result<LiveLink, NotNow> {
        let kept = match role {
            Role::Publisher => &self.publisher,
            Role::Consumer => &self.consumer,
        };
        let password = self.shared.secrets.open(&self.broker.password, purpose::PASSWORD);
        let password = password.map_err(|error| self.not_now(error.to_string()))?;
        let password = SecretText::from((*password).clone());
        kept.get(&password, self.project).await.map_err(|none| match none {
            NoConnection::Wait(until) => {
                let why = "the broker cannot be reached".to_owned();
                NotNow { until, why, of_broker: true }
            }
            NoConnection::Failed(why) => self.not_now(why.text()),
        })
    }

    /// Another try in a second.
    pub(super) fn not_now(&self, why: impl Into<String>) -> NotNow {
        NotNow { until: self.now() + AGAIN_MS, why: why.into(), of_broker: true }
    }

    /// The same for one job only.
    pub(super) fn not_this_job(&self, why: impl Into<String>) -> NotNow {
        NotNow { of_broker: false, ..self.not_now(why) }
    }

    /// The present instant of the boot clock.
    pub(super) fn now(&self) -> u64 {
        self.shared.options.clock.boot()
    }

    /// Makes sure of a topology over a connection. What is due first has the first turn.
    pub(super) async fn ensure(
        &self,
        live: &Live<Declarer>,
        of: &TopologyOf,
        due: Millis,
    ) -> Result<(), Undeclared> {
        let declaring = async {
            self.pacer.turn(due).await;
            declare(live, &of.name, of.actions).await
        };
        self.declared.ensure(of, self.now(), declaring).await
    }

    /// Makes sure of a topology before something is published.
    pub(super) async fn ensure_now(
        &self,
        live: &Live<Declarer>,
        of: &TopologyOf,
    ) -> Result<(), NotNow> {
        let ensured = self.ensure(live, of, Millis::MIN);
        match tokio::time::timeout(DECLARING, ensured).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Undeclared::Refused(why))) => Err(self.not_this_job(why)),
            Ok(Err(Undeclared::Lost(why))) => Err(self.not_now(why)),
            // Those of other jobs may be there.
            Err(_) => {
                Err(self.not_this_job("the exchanges and queues of many jobs are being declared"))
            }
        }
    }

    /// Forgets a topology, of which something is missing.
    pub(super) fn forget(&self, of: &TopologyOf) {
        self.declared.forget(of);
    }

    /// Forgets all topologies: the broker may have lost them.
    pub(super) fn forget_all(&self) {
        self.declared.clear();
    }

    /// The actions that wait.
    pub(super) fn actions(&self) -> MutexGuard<'_, WaitingActions> {
        self.actions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
