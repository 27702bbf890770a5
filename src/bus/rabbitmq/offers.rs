//! The offers of runs that are not decided about, by their run ids: whether each may still leave,
//! and whether it was taken back. `bus` adds an offer before anything of it happens, so that a
//! withdrawal reaches a run wherever its action is; `chunk` asks right before it leaves, and
//! `publisher` waits for no action of an offer that was taken back. It publishes nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use crate::delivery::call_checks::BeforeSend;

/// The offers.
#[derive(Default)]
pub(super) struct Offers(Mutex<HashMap<String, Vec<Weak<Check>>>>);

/// Where the action of an offer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It waits, and may leave.
    Here,
    /// It has left. What becomes of it is the broker's to say.
    Out {
        /// It was taken back meanwhile: it is not tried again.
        is_withdrawn: bool,
    },
    /// It was taken back, and never leaves.
    Back,
}

/// The check before the action of an offer leaves, which it keeps for a second try.
pub(super) struct Check {
    run: String,
    all: Weak<Offers>,
    before_send: Mutex<BeforeSend>,
    place: watch::Sender<Place>,
}

impl Offers {
    /// Adds the offer of a run. It is there as long as its check.
    pub(super) fn add(self: &Arc<Self>, run: &str, before_send: BeforeSend) -> Arc<Check> {
        let check = Arc::new(Check {
            run: run.to_owned(),
            all: Arc::downgrade(self),
            before_send: Mutex::new(before_send),
            place: watch::Sender::new(Place::Here),
        });
        self.lock().entry(run.to_owned()).or_default().push(Arc::downgrade(&check));
        check
    }

    /// Takes the offers of a run back, as far as they have not left.
    pub(super) fn withdraw(&self, run: &str) {
        let offers = self.lock().get(run).cloned().unwrap_or_default();
        for check in offers.iter().filter_map(Weak::upgrade) {
            check.withdraw();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Weak<Check>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    /// Whether the action leaves now. If so, a withdrawal comes too late for this try.
    pub(super) fn leaves(&self) -> bool {
        self.holds()
            && self.place.send_if_modified(|place| {
                let is_here = *place == Place::Here;
                if is_here {
                    *place = Place::Out { is_withdrawn: false };
                }
                is_here
            })
    }

    /// Notes that a try has come to nothing: the action may leave again, unless it was taken back.
    pub(super) fn came_back(&self) {
        self.place.send_modify(|place| {
            *place = match *place {
                Place::Here | Place::Out { is_withdrawn: false } => Place::Here,
                Place::Back | Place::Out { is_withdrawn: true } => Place::Back,
            };
        });
    }

    fn withdraw(&self) {
        self.place.send_modify(|place| {
            *place = match *place {
                Place::Here | Place::Back => Place::Back,
                Place::Out { .. } => Place::Out { is_withdrawn: true },
            };
        });
    }

    /// Whether whoever offered the run may hand out runs now; a withdrawal does not matter.
    pub(super) fn holds(&self) -> bool {
        let mut before_send = self.before_send.lock().unwrap_or_else(PoisonError::into_inner);
        before_send()
    }

    /// Waits until the offer is taken back, and its action does not leave any more.
    pub(super) async fn is_back(&self) {
        // The sender is part of this check, so this waits until it is.
        let _ = self.place.subscribe().wait_for(|place| *place == Place::Back).await;
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        let Some(all) = self.all.upgrade() else { return };
        let mut all = all.lock();
        if let Some(offers) = all.get_mut(&self.run) {
            offers.retain(|offer| offer.strong_count() > 0);
            if offers.is_empty() {
                all.remove(&self.run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn is_back(check: &Check) -> bool {
        check.is_back().now_or_never().is_some()
    }

    #[test]
    fn an_offer_is_taken_back_wherever_it_is_and_forgotten_at_its_end() {
        let offers = Arc::new(Offers::default());
        offers.withdraw("a");
        let first = offers.add("a", Box::new(|| true));
        let (second, other) =
            (offers.add("a", Box::new(|| true)), offers.add("b", Box::new(|| false)));
        assert!(!is_back(&first), "what was withdrawn before was another offer");
        offers.withdraw("a");
        assert!(is_back(&first) && is_back(&second) && !first.leaves() && first.holds());
        assert!(!other.leaves() && !is_back(&other));
        drop(first);
        assert_eq!(offers.lock().len(), 2);
        drop((second, other));
        assert!(offers.lock().is_empty());
    }

    #[test]
    fn what_has_left_is_not_taken_back_and_not_tried_again() {
        let offers = Arc::new(Offers::default());
        let check = offers.add("a", Box::new(|| true));
        assert!(check.leaves() && !check.leaves(), "once a try");
        check.came_back();
        assert!(check.leaves());
        offers.withdraw("a");
        assert!(!is_back(&check), "it may arrive");
        check.came_back();
        assert!(is_back(&check) && !check.leaves());
    }
}
