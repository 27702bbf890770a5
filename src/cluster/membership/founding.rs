//! The founding of a cluster, by the founder: it asks the configured members who they are, and
//! writes the membership into its empty log when nothing speaks against it. `start` begins it; it
//! goes on by itself until the log has a first entry. It never touches a log that has one.
//!
//! A member that cannot be reached does not hold the founder up. One that answers otherwise than an
//! empty node of this cluster does (another secret, data of a cluster, no node at all) is named in
//! the log with its answer, and asked again; meanwhile a majority of members that did answer
//! rightly, the founder included, is enough.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use crate::cluster::error::Error;
use crate::cluster::inner::Inner;
use crate::cluster::wire::{HELLO, Hello};
use crate::model::NodeId;
use crate::peer;

/// Time between two rounds of questions.
const AGAIN: Duration = Duration::from_millis(500);
/// The length of a wrong answer that is shown, in characters.
const SHOWN: usize = 200;

/// A member's answer to the founder.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It is the configured node, and has no data.
    Empty,
    /// Nobody answers at its address.
    Silent,
    /// It holds data of a cluster.
    HasData,
    /// Another node answers, or none of this cluster.
    Wrong(String),
}

/// The founder's decision after a round.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Found,
    /// Not yet, for this reason.
    Ask(String),
}

/// Founds the cluster, at once if nothing speaks against it, else as soon as that is so.
pub(in crate::cluster) async fn begin(inner: &Arc<Inner>) -> Result<(), Error> {
    let mut said = BTreeMap::new();
    if round(inner, &mut said).await? {
        return Ok(());
    }
    let founder = inner.clone();
    let task = inner.runtime.spawn(async move {
        loop {
            tokio::time::sleep(AGAIN).await;
            match round(&founder, &mut said).await {
                Ok(false) => {}
                Ok(true) => return,
                Err(error) => {
                    tracing::debug!(%error, "the founding is over");
                    return;
                }
            }
        }
    });
    inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    Ok(())
}

/// One round of questions; whether nothing is left to do.
async fn round(inner: &Inner, said: &mut BTreeMap<NodeId, String>) -> Result<bool, Error> {
    if inner.raft.is_initialized().await.map_err(|e| Error::Fatal(e.to_string()))? {
        inner.founding.lock().unwrap_or_else(PoisonError::into_inner).take();
        return Ok(true);
    }
    let others = inner.options.members.iter().filter(|(id, _)| *id != inner.options.node);
    let answers: Vec<(NodeId, Answer)> = join_all(others.map(async |(id, member)| {
        let limit = inner.options.transport_timeout;
        let answer = inner.peers.call::<_, Hello>(*id, HELLO, &(), limit).await;
        (*id, read(*id, &member.raft_address, answer))
    }))
    .await;
    for (node, answer) in &answers {
        let news = match answer {
            Answer::Empty | Answer::Silent => {
                said.remove(node);
                continue;
            }
            Answer::HasData => format!("node {node} holds data of a cluster"),
            Answer::Wrong(why) => why.clone(),
        };
        if said.get(node) != Some(&news) {
            tracing::warn!(
                node,
                "a configured member does not take part in the founding of the cluster: {news}; it \
                 is asked again"
            );
            said.insert(*node, news);
        }
    }
    if let Decision::Ask(why) = decide(&answers) {
        let mut founding = inner.founding.lock().unwrap_or_else(PoisonError::into_inner);
        if founding.as_ref() != Some(&why) {
            tracing::warn!("Bootstrap is true, and the cluster is not founded yet: {why}");
            *founding = Some(why);
        }
        return Ok(false);
    }
    let members: BTreeMap<_, _> = inner.options.members.iter().cloned().collect();
    match inner.raft.initialize(members).await {
        Ok(()) => tracing::info!("a new cluster begins with the configured members"),
        // Somebody's first message came in between: then the cluster exists.
        Err(error) => tracing::info!(%error, "the cluster was there already"),
    }
    inner.founding.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(true)
}

fn read(node: NodeId, address: &str, answer: Result<Hello, peer::Error>) -> Answer {
    match answer {
        Ok(hello) if hello.node != node => Answer::Wrong(format!(
            "at {address} answers node {}: check RaftAddress in Replicas and NodeId there",
            hello.node
        )),
        Ok(hello) if hello.generation != 0 => Answer::HasData,
        Ok(_) => Answer::Empty,
        Err(peer::Error::Refused { status, message, .. }) => {
            let message: String = message.chars().take(SHOWN).collect();
            let hint = match status {
                401 | 403 | 409 => "",
                _ => " (is that its RaftAddress, and not another port or program?)",
            };
            Answer::Wrong(format!("at {address} it answered {status}: {}{hint}", message.trim()))
        }
        Err(peer::Error::Unreadable { .. }) => Answer::Wrong(format!(
            "what answers at {address} is no node: check RaftAddress in Replicas"
        )),
        Err(_) => Answer::Silent,
    }
}

/// A majority that answered rightly founds, whatever the rest says; without any objection the
/// founder does not wait for answers.
fn decide(answers: &[(NodeId, Answer)]) -> Decision {
    let count = |wanted: fn(&Answer) -> bool| answers.iter().filter(|(_, a)| wanted(a)).count();
    let empty = count(|a| *a == Answer::Empty);
    let data: Vec<String> = answers
        .iter()
        .filter(|(_, a)| *a == Answer::HasData)
        .map(|(node, _)| node.to_string())
        .collect();
    let wrong = count(|a| matches!(a, Answer::Wrong(_)));
    let all = answers.len() + 1;
    if (data.is_empty() && wrong == 0) || empty + 1 > all / 2 {
        return Decision::Found;
    }
    if !data.is_empty() {
        return Decision::Ask(format!(
            "node {} holds data of a cluster. If that is this cluster, this node has lost its data: \
             set Bootstrap: false, and add it anew (`scheduler0 cluster remove --force`, then \
             `cluster add`); if not, start that node on an empty DataDir",
            data.join(", ")
        ));
    }
    Decision::Ask(format!(
        "{} of {all} members answer as they should (this node included); a majority must",
        empty + 1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong() -> Answer {
        Answer::Wrong("it answered 401".to_owned())
    }

    fn founds(answers: Vec<Answer>) -> bool {
        decide(&(2..).zip(answers).collect::<Vec<_>>()) == Decision::Found
    }

    #[test]
    fn a_majority_that_answers_rightly_founds_whatever_the_rest_says() {
        use Answer::{Empty, HasData, Silent};
        assert!(founds(vec![]));
        assert!(founds(vec![Empty, Empty]));
        assert!(founds(vec![Silent, Silent]), "the founder may be the first that is started");
        assert!(founds(vec![Empty, wrong()]));
        assert!(founds(vec![Empty, HasData]));
        assert!(founds(vec![Empty, Empty, wrong(), HasData]));
        assert!(!founds(vec![wrong(), wrong()]));
        assert!(!founds(vec![wrong()]), "one of two is no majority");
        assert!(!founds(vec![Silent, wrong()]), "the silent one may know more");
        assert!(!founds(vec![HasData, Silent]), "a founder without its data");
        assert!(!founds(vec![HasData, HasData]));
        assert!(!founds(vec![Empty, wrong(), HasData, Silent]));
    }

    #[test]
    fn a_wrong_answer_is_told_with_what_came() {
        let refused = |status, message: &str| {
            let error =
                peer::Error::Refused { to: 3, status, message: message.to_owned(), stop: false };
            match read(3, "10.0.0.3:7071", Err(error)) {
                Answer::Wrong(why) => why,
                other => panic!("{other:?}"),
            }
        };
        let secret = refused(401, "the peer token is wrong: all nodes need the same SecretKey");
        assert!(secret.contains("401") && secret.contains("SecretKey"), "{secret}");
        let web = refused(404, "<html>");
        assert!(web.contains("10.0.0.3:7071") && web.contains("RaftAddress"), "{web}");
        let other = Hello { node: 2, instance: 1, generation: 0 };
        assert!(matches!(read(3, "a:1", Ok(other)), Answer::Wrong(why) if why.contains("node 2")));
        let gone = peer::Error::Unreachable { to: 3, message: String::new() };
        assert_eq!(read(3, "a:1", Err(gone)), Answer::Silent);
    }
}
