//! Nodes of two versions in one cluster, by the levels that they announce: what is newer than the
//! oldest of them is not proposed, and a snapshot of a newer schema is not sent to it.

use scheduler0::cluster::{Error, MemberChange};
use scheduler0::command::{
    ACTOR_LEVEL, Command, LEVEL, NewProject, Outcome, Proposal, RejectionKind, SCHEMA_LEVEL,
};
use scheduler0::model::NodeId;
use scheduler0::model::actor::ActorRef;
use scheduler0::store::nodes;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::harness::{LIMIT, RaftCluster, poll_interval, written};

/// A command of level 2 on a condition. There is no such job.
fn on_condition() -> Command {
    Command::RunJob { id: 7, forced: false }.for_version(7, Some(1))
}

/// A command of level 2 that is limited to a client's reach. There is no such client, and no such
/// credential.
fn within_reach() -> Command {
    Command::DeleteCredential { id: 9 }.by_client(Some(8))
}

/// The kind of a rejection by the state; the command was in the log then.
async fn rejected(
    raft: &RaftCluster,
    node: NodeId,
    proposal: impl Into<Proposal>,
) -> RejectionKind {
    match raft.node(node).propose(proposal).await.unwrap() {
        Outcome::Rejected(rejection) => rejection.kind,
        outcome => panic!("{outcome:?}"),
    }
}

async fn fact(what: &str, holds: impl AsyncFn() -> bool) {
    let seen = async {
        while !holds().await {
            poll_interval().await;
        }
    };
    timeout(LIMIT, seen).await.expect(what);
}

/// Three nodes of the first level, of which each has registered itself.
async fn three_of_level_one() -> RaftCluster {
    three_of_level(1).await
}

async fn three_of_level(level: u32) -> RaftCluster {
    let raft = RaftCluster::build_at_level(3, level).await;
    let leader = raft.leader().await;
    let all = async || raft.node(leader).read(nodes::all).await.unwrap().len() == 3;
    fact("registered", all).await;
    raft
}

/// Starts a node anew with a program of this level.
async fn upgrade(raft: &mut RaftCluster, node: NodeId) {
    raft.stop(node).await;
    raft.levels.insert(node, LEVEL);
    raft.start(node).await;
    raft.leader().await;
}

#[tokio::test]
async fn a_newer_command_waits_until_every_member_understands_it() {
    let mut raft = three_of_level_one().await;
    for node in 1..=2 {
        upgrade(&mut raft, node).await;
    }
    for node in 1..=3 {
        // Until the leader has heard the new programs of the others.
        let names_the_old_one = async || match raft.node(node).propose(on_condition()).await {
            Err(Error::UpgradePending { node: old, level: 1, needs: 2 }) => old == 3,
            other => panic!("{other:?}"),
        };
        fact("the old node is named", names_the_old_one).await;
        let refused = raft.node(node).propose(within_reach()).await.unwrap_err();
        assert!(
            matches!(refused, Error::UpgradePending { node: 3, .. }),
            "it is not proposed without its limit: {refused}"
        );
        let operators = Command::DeleteCredential { id: 9 };
        assert_eq!(rejected(&raft, node, operators).await, RejectionKind::NotFound);
        assert_eq!(raft.node(node).level(), 1);
    }
    upgrade(&mut raft, 3).await;
    for node in 1..=3 {
        fact("raised", async || raft.node(node).level() == LEVEL).await;
        assert_eq!(rejected(&raft, node, on_condition()).await, RejectionKind::NotFound);
        assert_eq!(rejected(&raft, node, within_reach()).await, RejectionKind::Forbidden);
    }
    // A member that is down does not take it back, nor does a leader that has not heard it.
    let leader = raft.leader().await;
    raft.kill(leader);
    let leader = raft.leader().await;
    assert_eq!(rejected(&raft, leader, on_condition()).await, RejectionKind::NotFound);
}

#[tokio::test]
async fn an_actor_is_in_the_log_from_the_level_on_whichever_node_was_asked() {
    let mut raft = three_of_level(ACTOR_LEVEL - 1).await;
    // There is no such client: where the log names it, it may change nothing.
    let of_a_client =
        || Command::DeleteCredential { id: 9 }.asked_by(ActorRef::Client { credential: 8 });
    for next in 1..=3 {
        for node in 1..=3 {
            assert_eq!(rejected(&raft, node, of_a_client()).await, RejectionKind::NotFound);
        }
        upgrade(&mut raft, next).await;
    }
    for node in 1..=3 {
        fact("raised", async || raft.node(node).level() == LEVEL).await;
        assert_eq!(rejected(&raft, node, of_a_client()).await, RejectionKind::Forbidden);
        let operators = Command::DeleteCredential { id: 9 }.asked_by(ActorRef::Operator);
        assert_eq!(rejected(&raft, node, operators).await, RejectionKind::NotFound);
    }
}

#[tokio::test]
async fn a_new_cluster_is_at_the_level_of_its_program() {
    let raft = RaftCluster::build(1).await;
    raft.leader().await;
    assert_eq!(rejected(&raft, 1, on_condition()).await, RejectionKind::NotFound);
    assert_eq!(raft.node(1).level(), LEVEL);
}

#[tokio::test]
async fn an_older_program_does_not_start_on_the_data_of_a_newer_one() {
    let mut raft = RaftCluster::build(1).await;
    raft.leader().await;
    fact("raised", async || raft.node(1).level() == LEVEL).await;
    raft.stop(1).await;
    let options = crate::harness::raft_options(raft.dirs[&1].path(), 1, 1, &raft.members);
    let options = scheduler0::cluster::Options { level: LEVEL - 1, ..options };
    let error = scheduler0::cluster::Cluster::start(options).await.err().expect("refused");
    assert!(error.to_string().contains("use a newer scheduler0"), "{error}");
}

#[tokio::test]
async fn an_older_program_ends_when_it_learns_the_level_from_the_log() {
    let mut raft = RaftCluster::build_without_last(3).await;
    raft.leader().await;
    fact("raised", async || raft.node(1).level() == LEVEL).await;
    raft.levels.insert(3, LEVEL - 1);
    raft.start(3).await;
    let mut failed = raft.node(3).failed();
    let ended = timeout(LIMIT, failed.wait_for(Option::is_some)).await.expect("it ends");
    let why = ended.unwrap().clone().unwrap();
    assert!(why.contains("use a newer scheduler0"), "{why}");
}

/// Adds a node of the first level to a leader whose program is new, while a command makes it raise
/// the level after so many turns of other tasks. Returns whether the node was added.
async fn add_while_the_level_is_raised(turns: u32) -> bool {
    let mut raft = RaftCluster::build_at_level(1, 1).await;
    raft.leader().await;
    let joiner = raft.start_joiner(1).await;
    raft.stop(1).await;
    raft.levels.insert(1, LEVEL);
    raft.start(1).await;
    let leader = raft.node(1);
    let member = raft.members[joiner as usize - 1].1.clone();
    let add = MemberChange::Add { node: joiner, member, replace: false };
    let raise = async {
        for _ in 0..turns {
            yield_now().await;
        }
        leader.propose(on_condition()).await
    };
    let (added, raised) = tokio::join!(leader.change_members(add), raise);
    let is_member = leader.members().iter().any(|(node, _)| *node == joiner);
    match (added, raised) {
        (Ok(node), Err(Error::UpgradePending { node: old, level: 1, needs: 2 })) => {
            assert_eq!((node, old, leader.level()), (joiner, joiner, 1));
            assert!(is_member);
            // It can read all that the log holds.
            let written = leader.propose_indexed(Command::Tick).await.unwrap().0;
            raft.applied(joiner, written).await;
            assert_eq!(*raft.node(joiner).failed().borrow(), None);
            true
        }
        (Err(Error::Refused(rejection)), Ok(Outcome::Rejected(unknown_job))) => {
            assert!(rejection.to_string().contains("runs an older version"), "{rejection}");
            assert_eq!(unknown_job.kind, RejectionKind::NotFound, "the command was in the log");
            assert_eq!((leader.level(), is_member), (LEVEL, false));
            false
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_added_or_the_level_is_raised_and_never_both() {
    let mut rounds = tokio::task::JoinSet::new();
    // The writes of both overlap in some of these.
    for turns in (0..12).map(|round| round * round * 4) {
        rounds.spawn(add_while_the_level_is_raised(turns));
    }
    let added = rounds.join_all().await.into_iter().filter(|added| *added).count();
    println!("added in {added} of 12 rounds");
}

#[tokio::test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_leader_without_a_majority_does_not_call_the_others_old() {
    let mut raft = three_of_level_one().await;
    let leader = raft.leader().await;
    for node in (1..=3).filter(|node| *node != leader) {
        raft.kill(node);
    }
    let says_so = async || match raft.node(leader).propose(on_condition()).await {
        // The others count as living for a moment.
        Err(Error::UpgradePending { .. }) => false,
        Err(Error::NoLeader) => true,
        other => panic!("{other:?}"),
    };
    fact("there is no leader in effect", says_so).await;
}

/// Three nodes, of which the third is of an older level and has missed more than the log of the
/// others has kept: it can go on by a snapshot only. Gives the last entry, too.
async fn fallen_behind(level: u32) -> (RaftCluster, u64) {
    let mut raft = three_of_level(level).await;
    for node in 1..=2 {
        upgrade(&mut raft, node).await;
    }
    raft.stop(3).await;
    let leader = raft.leader().await;
    let mut writes = tokio::task::JoinSet::new();
    for _ in 0..2_600 {
        let cluster = raft.node(leader).clone();
        writes.spawn(async move { written(&cluster, Command::Tick).await });
    }
    let last = writes.join_all().await.into_iter().max().unwrap();
    for node in 1..=2 {
        raft.applied(node, last).await;
        raft.node(node).snapshot().await.unwrap();
        let purged = async || raft.node(node).purged_index() >= last - 1_100;
        fact("the log is purged", purged).await;
    }
    raft.start(3).await;
    raft.leader().await;
    (raft, last)
}

#[tokio::test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_node_of_an_older_version_gets_no_snapshot_before_it_is_upgraded() {
    let (mut raft, last) = fallen_behind(SCHEMA_LEVEL - 1).await;
    // It hears the leader, and does not come as far as the others while the request waits for that.
    let new = Command::CreateProject(NewProject { name: "seen".into(), ..NewProject::default() });
    let unseen = raft.node(3).propose(new).await.unwrap_err();
    assert!(matches!(unseen, Error::Unavailable(_)), "{unseen}");
    assert_eq!(*raft.node(3).failed().borrow(), None, "it waits, and lives");
    assert!(raft.node(3).applied().borrow().index < last);
    upgrade(&mut raft, 3).await;
    raft.applied(3, last).await;
}

#[tokio::test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_node_of_an_older_version_gets_a_snapshot_whose_schema_it_knows() {
    let (raft, last) = fallen_behind(SCHEMA_LEVEL).await;
    raft.applied(3, last).await;
    // The leader raises the level some time after it has heard the third node again.
    let at_its_level = async || raft.node(3).level() == SCHEMA_LEVEL;
    fact("all go on at the level of the third, which is not upgraded", at_its_level).await;
}
