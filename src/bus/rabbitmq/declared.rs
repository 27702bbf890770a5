//! Whose topology is there, at one broker. `broker_link` asks before it has one made. A yes holds
//! until it is forgotten: when something is found missing, and when the connection to consume on is
//! lost. A no holds for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::topology::Undeclared;
use crate::executor::Actions;

/// The time for which a refusal holds, in milliseconds.
const NO_MS: u64 = 5_000;
/// The most topologies that are known; above it all are forgotten, and made sure of again.
const KEPT: usize = 65_536;

/// The topology of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TopologyOf {
    /// The name of the job.
    pub(super) name: Arc<str>,
    /// Where its actions go.
    pub(super) actions: Actions,
}

/// The instant of the last look, and its result.
type Looked = tokio::sync::Mutex<Option<(u64, Result<(), Undeclared>)>>;

/// The topologies.
#[derive(Default)]
pub(super) struct Declared(Mutex<HashMap<TopologyOf, Arc<Looked>>>);

impl Declared {
    /// Makes sure of a topology: `declare` is run unless it is known, by one caller at a time.
    /// `now` is an instant of the boot clock.
    pub(super) async fn ensure(
        &self,
        of: &TopologyOf,
        now: u64,
        declare: impl Future<Output = Result<(), Undeclared>>,
    ) -> Result<(), Undeclared> {
        let looked = self.get(of);
        let mut looked = looked.lock().await;
        match &*looked {
            Some((_, Ok(()))) => return Ok(()),
            Some((at, refused)) if now.saturating_sub(*at) < NO_MS => return refused.clone(),
            _ => {}
        }
        *looked = None;
        let result = declare.await;
        // The end of a connection says nothing about what is at the broker.
        if !matches!(result, Err(Undeclared::Lost(_))) {
            *looked = Some((now, result.clone()));
        }
        result
    }

    /// Forgets a topology.
    pub(super) fn forget(&self, of: &TopologyOf) {
        self.lock().remove(of);
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn get(&self, of: &TopologyOf) -> Arc<Looked> {
        let mut known = self.lock();
        if let Some(looked) = known.get(of) {
            return Arc::clone(looked);
        }
        if known.len() >= KEPT {
            known.clear();
        }
        Arc::clone(known.entry(of.clone()).or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TopologyOf, Arc<Looked>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_yes_holds_until_it_is_forgotten_and_a_no_for_a_while() {
        let (declared, asked) = (Declared::default(), AtomicUsize::new(0));
        let of = TopologyOf { name: "n".into(), actions: Actions::Queue };
        let other = TopologyOf { actions: Actions::Exchange, ..of.clone() };
        let refused = || Err(Undeclared::Refused("403".to_owned()));
        let lost = || Err(Undeclared::Lost("gone".to_owned()));
        let ensure = async |of: &TopologyOf, now, result: Result<(), Undeclared>| {
            let asked = &asked;
            let declare = async move {
                asked.fetch_add(1, Ordering::SeqCst);
                result
            };
            declared.ensure(of, now, declare).await
        };
        assert_eq!(ensure(&of, 0, Ok(())).await, Ok(()));
        assert_eq!(ensure(&of, 1_000_000, refused()).await, Ok(()));
        declared.forget(&of);
        assert_eq!(ensure(&of, 0, refused()).await, refused());
        assert_eq!(ensure(&of, NO_MS - 1, Ok(())).await, refused());
        assert_eq!(ensure(&of, NO_MS, lost()).await, lost());
        assert_eq!(ensure(&of, NO_MS, Ok(())).await, Ok(()), "a lost connection is no answer");
        assert_eq!(ensure(&other, 0, refused()).await, refused());
        declared.clear();
        assert_eq!(ensure(&other, 0, Ok(())).await, Ok(()));
        assert_eq!(asked.load(Ordering::SeqCst), 6);
    }
}
