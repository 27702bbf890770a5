//! Tables for the placing of shards.

use super::*;

const LEADER: NodeId = 1;

fn node(id: NodeId) -> NodeView {
    NodeView {
        id,
        leased: true,
        dead: false,
        caught_up: true,
        has_room: true,
        draining: false,
        memory: 10,
    }
}

fn gone(id: NodeId) -> NodeView {
    NodeView { leased: false, dead: true, ..node(id) }
}

/// Twelve shards, owned in turn by the given nodes, or by nobody.
fn owned_by(owners: &[NodeId]) -> Vec<Shard> {
    let own = |id: u16| {
        let mut shard = Shard::new(id, 0);
        if let Some(&to) = owners.get(usize::from(id) % owners.len().max(1)) {
            assert!(shard.apply(&Move { shard: id, to, expects: 0, kind: MoveKind::TakeOver }));
        }
        shard
    };
    (0..12).map(own).collect()
}

/// Runs planning, with every release promised at once, until nothing more is wanted; returns how
/// many shards each node owns, and how many moves it took.
fn settle(nodes: &[NodeView], shards: &mut [Shard]) -> (BTreeMap<NodeId, usize>, usize) {
    let mut placement = Placement::default();
    let mut promises = BTreeMap::new();
    let mut moved = 0;
    for step in 0..100 {
        let sched = step as Millis * 10_000;
        let situation = Situation {
            boot: 1_000_000 + step * 10_000,
            sched,
            leader: LEADER,
            complete: true,
            nodes,
            shards,
            promises: &promises,
        };
        let plan = placement.plan(&situation, 4_000);
        for (_, shard, epoch) in &plan.releases {
            promises.insert((*shard, *epoch), sched + 4_000);
        }
        for change in &plan.moves {
            let shard = &mut shards[usize::from(change.shard)];
            assert!(shard.apply(change), "{change:?} {shard:?}");
            if let Some(c) = shard.closing.clone() {
                shard.advance(c.node, c.epoch, c.until);
            }
            moved += 1;
        }
        if step > 1 && plan == Plan::default() {
            break;
        }
        assert!(step < 99, "it never comes to rest");
    }
    let mut counts = BTreeMap::new();
    for shard in shards.iter() {
        *counts.entry(shard.owner).or_default() += 1;
    }
    (counts, moved)
}

#[test]
fn shards_spread_over_the_followers_and_spare_the_leader() {
    let mut shards = owned_by(&[]);
    let (counts, moved) = settle(&[node(1), node(2), node(3)], &mut shards);
    assert_eq!((counts, moved), (BTreeMap::from([(2, 6), (3, 6)]), 12));
}

#[test]
fn a_node_alone_owns_all() {
    let (counts, _) = settle(&[node(1)], &mut owned_by(&[]));
    assert_eq!(counts, BTreeMap::from([(1, 12)]));
    let (counts, _) = settle(&[node(1), gone(2), gone(3)], &mut owned_by(&[2, 3]));
    assert_eq!(counts, BTreeMap::from([(1, 12)]), "and a leader whose followers are gone");
}

#[test]
fn the_share_of_a_dead_node_goes_to_the_rest() {
    let (counts, moved) = settle(&[node(1), node(2), gone(3), node(4)], &mut owned_by(&[2, 3, 4]));
    assert_eq!((counts, moved), (BTreeMap::from([(2, 6), (4, 6)]), 4));
}

#[test]
fn a_follower_that_came_to_lead_gives_its_shards_to_the_one_that_came_back() {
    let (counts, moved) = settle(&[node(1), node(2), node(3)], &mut owned_by(&[1, 2]));
    assert_eq!((counts, moved), (BTreeMap::from([(2, 6), (3, 6)]), 6));
}

#[test]
fn a_draining_node_is_relieved_at_once_and_one_that_joins_gets_its_share() {
    let draining = NodeView { draining: true, ..node(2) };
    let (counts, moved) = settle(&[node(1), draining, node(3)], &mut owned_by(&[2, 3]));
    assert_eq!((counts, moved), (BTreeMap::from([(3, 12)]), 6));
    let all = [node(1), node(2), node(3), node(4)];
    let (counts, moved) = settle(&all, &mut owned_by(&[2, 3]));
    assert_eq!((counts, moved), (BTreeMap::from([(2, 4), (3, 4), (4, 4)]), 4));
}

#[test]
fn a_node_short_of_memory_is_relieved_only_by_one_with_memory_to_spare() {
    let high = NodeView { memory: 80, ..node(2) };
    let middle = NodeView { memory: 60, ..node(3) };
    let (counts, _) = settle(&[node(1), high.clone(), middle], &mut owned_by(&[2, 3]));
    assert_eq!(counts, BTreeMap::from([(2, 6), (3, 6)]));
    let (counts, _) = settle(&[node(1), high, node(3)], &mut owned_by(&[2, 3]));
    assert_eq!(counts, BTreeMap::from([(3, 12)]));
}

#[test]
fn a_promise_goes_back_to_its_owner_when_nobody_else_is_there() {
    let mut shards = owned_by(&[1]);
    let promises = BTreeMap::from([((0, 1), 9_000)]);
    let mut situation = Situation {
        boot: 0,
        sched: 0,
        leader: 1,
        complete: false,
        nodes: &[node(1), NodeView { leased: false, ..node(2) }],
        shards: &shards,
        promises: &promises,
    };
    let mut placement = Placement::default();
    assert_eq!(
        placement.plan(&situation, 4_000).moves,
        [],
        "a new leader waits for the others ..."
    );
    situation.sched = 8_600;
    let moves = placement.plan(&situation, 4_000).moves;
    let back = Move { shard: 0, to: 1, expects: 1, kind: MoveKind::HandOver { until: 9_000 } };
    assert_eq!(moves, [back], "... but not beyond what was promised");
    assert!(shards[0].apply(&moves[0]));
}

#[test]
fn what_moves_for_balance_waits_until_the_nodes_have_settled() {
    let shards = owned_by(&[2]);
    let nodes = [node(1), node(2), node(3)];
    let promises = BTreeMap::new();
    let mut placement = Placement::default();
    for (boot, releases) in [(10_000, 0), (13_900, 0), (14_000, 6)] {
        let situation = Situation {
            boot,
            sched: 0,
            leader: LEADER,
            complete: true,
            nodes: &nodes,
            shards: &shards,
            promises: &promises,
        };
        assert_eq!(placement.plan(&situation, 4_000).releases.len(), releases, "at {boot}");
    }
}
