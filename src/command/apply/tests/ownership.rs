//! The birth of the cluster, node ids and moves of shards.

use super::*;
use crate::store::{jobs, meta, nodes};

#[test]
fn a_cluster_is_born_once() {
    let mut state = ApplyFixture::unborn();
    state.done(Command::Init { cluster: 7 });
    assert!(state.change.shards);
    state.now += 5_000;
    assert_eq!(state.done(Command::Init { cluster: 8 }), Outcome::Done);
    assert_eq!(state.read(meta::cluster_id), Some(7));
    assert_eq!(state.read(meta::born), Some(START));
    let shards = state.read(crate::store::shards::all);
    assert_eq!((shards.len(), shards[63].id, shards[63].watermark), (64, 63, START));
}

#[test]
fn log_time_never_goes_back() {
    let mut state = ApplyFixture::new();
    state.now = START - 10_000;
    let id = state.jobs(every_minute(), 1);
    assert_eq!(state.read(|c| jobs::get(c, id)).unwrap().created, START);
    assert_eq!(state.change.stamp, START);
}

#[test]
fn a_node_id_belongs_to_one_data_folder() {
    let mut state = ApplyFixture::new();
    let register = |node, instance| Command::Register { node, instance, replace: false };
    let replace = |instance| Command::Register { node: 2, instance, replace: true };
    state.done(register(2, 5));
    state.done(register(2, 5));
    let mut refused = |command: &Command, why: &str| {
        let (kind, message) = state.refused(command);
        assert!(kind == RejectionKind::Conflict && message.contains(why), "{message}");
    };
    refused(&register(2, 6), "already known with another data folder");
    refused(&replace(6), "already known with another data folder");
    refused(&register(3, 5), "this data folder is node 2's");
    state.done(Command::Drain { node: 2, draining: true });
    assert!(state.read(nodes::all)[0].draining);
    state.done(Command::Retire { node: 2 });
    let gone = state.refused(&Command::Retire { node: 2 });
    assert_eq!(gone, (RejectionKind::NotFound, "there is no node 2".to_owned()));
    let mut refused = |command: &Command, why: &str| {
        let (kind, message) = state.refused(command);
        assert!(kind == RejectionKind::Conflict && message.contains(why), "{message}");
    };
    refused(&replace(5), "this data folder was removed");
    refused(&register(3, 5), "this data folder was removed");
    refused(&register(2, 6), "take an id that was never used, or say --replace");
    let before = state.read(nodes::all)[0].since;
    state.done(replace(6));
    let bound = state.read(nodes::all)[0];
    assert_eq!((bound.node, bound.instance, bound.removed, bound.draining), (2, 6, false, false));
    assert!(bound.since > before);

    state.done(register(4, 8));
    state.done(Command::Recover { node: 4, generation: 77 });
    assert_eq!(state.read(meta::generation), Some(77));
    let left: Vec<_> = state.read(nodes::all).iter().map(|b| (b.node, b.removed)).collect();
    assert_eq!(left, [(2, true), (4, false)]);
}

#[test]
fn only_a_move_that_takes_effect_is_noted() {
    let mut state = ApplyFixture::new();
    let before = state.read(meta::assign_index);
    let outdated = Move { shard: 3, to: 2, expects: 0, kind: MoveKind::TakeOver };
    let nowhere = Move { shard: 64, ..outdated.clone() };
    assert_eq!(state.done(Command::Assign(vec![outdated, nowhere])), Outcome::Assigned(0));
    assert_eq!((state.read(meta::assign_index), state.change.shards), (before, false));
    let good = Move { shard: 3, to: 2, expects: 1, kind: MoveKind::TakeOver };
    assert_eq!(state.done(Command::Assign(vec![good])), Outcome::Assigned(1));
    assert_eq!((state.read(meta::assign_index), state.change.shards), (state.index, true));
}
