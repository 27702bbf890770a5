//! Announcing this node's addresses: to every address it knows at its start, until the leader's
//! answer shows that the cluster has it right, and now and then afterwards. `duties` calls
//! [`Announcer`] twice a second; `rpc` takes the announcements of others in, and `addresses` writes
//! it down. It decides nothing about who is a member.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::cluster::inner::Inner;
use crate::cluster::leadership::eligibility::Eligibility;
use crate::cluster::wire::{ANNOUNCE, Announcement, Heard, WHO, Who};
use crate::model::NodeId;
use crate::peer;
use crate::raft::types::Member;

/// The time after which a node announces itself although the cluster has it right. A process on a
/// copy of its folder that comes meanwhile is then told from it, by nodes that hear little else of
/// it.
const EVERY: Duration = Duration::from_secs(10);

/// The state of this node's announcements.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Announcer {
    /// The instant at which the leader last said that it has the right addresses.
    confirmed: Option<Instant>,
    /// The last line in the log, so that it is not repeated.
    said: Option<String>,
}

impl Announcer {
    /// Announces if that is due.
    pub(in crate::cluster) async fn look(&mut self, inner: &Inner) {
        let node = inner.options.node;
        let config = inner.membership();
        let own = inner.options.members.iter().find(|(id, _)| *id == node).map(|(_, own)| own);
        let stored = config.membership().get_node(&node);
        let (Some(own), Some(stored)) = (own, stored) else {
            inner.introduced.store(true, Ordering::SeqCst);
            return;
        };
        match inner.eligibility() {
            Eligibility::Full => {}
            Eligibility::FoundersOnly => {
                inner.introduced.store(true, Ordering::SeqCst);
                return;
            }
            Eligibility::None => return,
        }
        let moved = own != stored;
        let forgotten = inner.silence().is_none_or(|since| since > inner.options.election * 2)
            && !inner.leadership.borrow().me;
        if !moved && !forgotten && self.confirmed.is_some_and(|at| at.elapsed() < EVERY) {
            inner.introduced.store(true, Ordering::SeqCst);
            return;
        }
        if moved {
            // A process at the old address is this node's original.
            let limit = inner.options.transport_timeout;
            if own.raft_address != stored.raft_address {
                let there = &stored.raft_address;
                let asked = inner.peers.call_at::<_, Who>(node, there, WHO, &(), limit).await;
                // A process that refuses it at this node's address on record is its original.
                if let Err(peer::Error::Refused { stop: true, message, .. }) = &asked {
                    inner.peers.fail(message.clone());
                    return;
                }
                tracing::debug!(there, answer = ?asked.err(), "the old address was asked");
            }
            inner.hear_address(node, own);
        } else {
            inner.introduced.store(true, Ordering::SeqCst);
        }
        self.say(inner, own).await;
        inner.introduced.store(true, Ordering::SeqCst);
    }

    async fn say(&mut self, inner: &Inner, own: &Member) {
        let node = inner.options.node;
        let said = Announcement { member: own.clone() };
        let limit = inner.options.transport_timeout;
        // The configuration may know better than the membership where the others are, if all have
        // moved.
        let mut at: BTreeSet<(NodeId, String)> = inner.addresses().into_iter().collect();
        at.extend(inner.options.members.iter().map(|(id, m)| (*id, m.raft_address.clone())));
        let calls = at.iter().filter(|(id, _)| *id != node).map(async |(id, address)| {
            (*id, inner.peers.call_at::<_, Heard>(*id, address, ANNOUNCE, &said, limit * 3).await)
        });
        let answers = join_all(calls).await;
        let lead = *inner.leadership.borrow();
        if lead.me {
            self.confirmed = Some(Instant::now());
        }
        for (other, answer) in answers {
            match answer {
                Ok(heard) => self.hear(other, &heard, own, lead.leader),
                // One of an older version, which says nothing of what it has.
                Err(peer::Error::Unreadable { .. }) if lead.leader == Some(other) => {
                    self.confirmed = Some(Instant::now());
                }
                Err(error) => tracing::debug!(%error, "somebody did not hear where this node is"),
            }
        }
    }

    fn hear(&mut self, other: NodeId, heard: &Heard, own: &Member, leader: Option<NodeId>) {
        let news = if let Some(trouble) = &heard.trouble {
            Some(format!(
                "node {other} does not believe where this node says that it is: {trouble}"
            ))
        } else if !heard.leads && leader != Some(other) {
            return;
        } else {
            match &heard.recorded {
                Some(recorded) if recorded == own => None,
                Some(recorded) => Some(format!(
                    "the cluster has this node at {recorded}, and it is at {own}: that is corrected now"
                )),
                None => return,
            }
        };
        let Some(news) = news else {
            if self.said.take().is_some() {
                tracing::info!(%own, "the cluster has this node's address right now");
            }
            self.confirmed = Some(Instant::now());
            return;
        };
        self.confirmed = None;
        if self.said.as_ref() != Some(&news) {
            tracing::warn!("{news}");
            self.said = Some(news);
        }
    }
}
