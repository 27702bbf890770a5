//! The beginning of a stream: whether the actor may read, and whether there is a place for it.

use std::sync::Arc;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::events::filter::EventFilter;
use crate::app::events::stream::EventStream;
use crate::app::state::App;
use crate::auth::SessionLife;
use crate::events::{Crowded, EventId, MAX_STREAMS, MAX_STREAMS_OF_ONE};

impl App {
    /// Opens a stream of the events that a filter lets through: those behind `seen`, or from now
    /// on. It ends with the session, where the actor has one.
    ///
    /// # Errors
    ///
    /// `Denied` where the filter names events of the cluster and the actor may not read its status,
    /// `Unavailable` while the node starts or stops, `Busy` when it has as many streams as it may
    /// have, `TooMany` when the actor has.
    pub fn open_events(
        self: &Arc<Self>,
        actor: &Actor,
        filter: EventFilter,
        seen: Option<EventId>,
        session: Option<SessionLife>,
    ) -> Result<EventStream, Error> {
        authorize(actor, Action::EventsRead, Resource::of_project(filter.project))?;
        if filter.types.iter().any(|kind| kind.is_of_cluster()) {
            authorize(actor, Action::ClusterRead, Resource::Any)?;
        }
        let feed = self.events().ok_or_else(|| {
            Error::unavailable("this node is starting: try again, or ask another node")
        })?;
        let subscription = feed.subscribe(actor.principal, seen).map_err(|crowded| match crowded {
            Crowded::Node => Error::busy(format!(
                "this node has {MAX_STREAMS} streams of events already: read from another node, or \
                 try again"
            )),
            Crowded::Client => Error::too_many(format!(
                "this client has {MAX_STREAMS_OF_ONE} streams of events at this node already: close \
                 some, or share them"
            )),
        })?;
        if subscription.has_ended() {
            return Err(Error::unavailable("this node is stopping: ask another node"));
        }
        Ok(EventStream::new(Arc::clone(self), (actor.clone(), session), filter, subscription))
    }
}
