//! The places for connections to brokers: so many on this node, and a share of them for each
//! project. Each connection is a thread, a socket and two megabytes. `connector` takes a place for
//! a transport, which holds it until the library's thread lets go of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::ProjectId;

/// The most connections of a node.
const MAX_CONNECTIONS: usize = 256;
/// The most connections that calls of one project have opened.
const MAX_OF_PROJECT: usize = 32;

/// The places.
#[derive(Debug)]
pub(crate) struct ConnectionPlaces {
    all: Arc<Semaphore>,
    of_projects: Mutex<HashMap<ProjectId, Weak<Semaphore>>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPlace {
    _among_all: OwnedSemaphorePermit,
    _of_project: OwnedSemaphorePermit,
}

impl Default for ConnectionPlaces {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_CONNECTIONS)), of_projects: Mutex::default() }
    }
}

impl ConnectionPlaces {
    /// A place for a connection of a project; `None` if there is none.
    pub(crate) fn take(&self, project: ProjectId) -> Option<ConnectionPlace> {
        let of_project = self.of_project(project).try_acquire_owned().ok()?;
        let among_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(ConnectionPlace { _among_all: among_all, _of_project: of_project })
    }

    fn of_project(&self, project: ProjectId) -> Arc<Semaphore> {
        let mut projects = self.of_projects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = projects.get(&project).and_then(Weak::upgrade) {
            return known;
        }
        // A place keeps the semaphore of its project alive.
        projects.retain(|_, places| places.strong_count() > 0);
        let new = Arc::new(Semaphore::new(MAX_OF_PROJECT));
        projects.insert(project, Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_a_share_and_all_have_a_bound() {
        let places = ConnectionPlaces::default();
        let mut taken: Vec<_> = (0..MAX_OF_PROJECT).map(|_| places.take(1).unwrap()).collect();
        assert!(places.take(1).is_none());
        taken.pop();
        taken.push(places.take(1).unwrap());
        for project in 2.. {
            let more: Vec<_> = std::iter::from_fn(|| places.take(project)).collect();
            if more.is_empty() {
                break;
            }
            assert_eq!(more.len(), MAX_OF_PROJECT);
            taken.extend(more);
        }
        assert_eq!(taken.len(), MAX_CONNECTIONS);
        taken.clear();
        assert!(places.take(9).is_some());
    }
}
