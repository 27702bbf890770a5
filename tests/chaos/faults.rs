//! The plan of a run: which faults begin when and how long they last, from the seed alone. Whom a
//! fault meets is a role here ("the leader"); `inject` finds out who has it. Pure: the same seed gives
//! the same plan, which is printed before it begins.

use std::fmt;
use std::time::Duration;

use crate::node_home::Abilities;
use crate::receiver::DESTINATIONS;

/// Numbers from a seed (splitmix64): the same on every machine, and in every version.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Begins with a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below another, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Whom a fault meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Who leads.
    Leader,
    /// A node that fires, but does not lead.
    Owner,
    /// Fewer than half of the nodes, the leader among them or not.
    Minority,
    /// Everybody.
    All,
    /// A destination.
    Receiver,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// `kill -9`, and a start when the time is over.
    Kill,
    /// SIGSTOP, and SIGCONT.
    Freeze,
    /// No packet to or from the other nodes; clients and receivers are reached.
    Partition,
    /// No packet at all.
    Isolate,
    /// It sends to the others and hears nothing from them.
    Deaf,
    /// It hears the others and can't send to them.
    Silent,
    /// All bytes between it and the others take so many milliseconds longer.
    Slow(u64),
    /// Connections between it and the others are cut again and again.
    Flap,
    /// Its disk is full.
    DiskFull,
    /// Its wall clock is so many seconds off.
    Clock(i64),
    /// It is killed, and started with its wall clock so many seconds off.
    WrongStart(i64),
    /// A copy of its data folder is started beside it.
    Copy,
    /// It is stopped, and started on a copy of its folder from before.
    PutBack,
    /// Nobody reads what it writes to stderr, and it writes much.
    Stall,
    /// The receiver answers with this status.
    Fails(u16),
    /// The receiver never answers.
    Hangs,
    /// The receiver takes so many milliseconds.
    Lags(u64),
    /// The receiver does the work, but its answer is lost.
    Mute,
    /// The receiver refuses batches, and its answers break off.
    Cuts,
}

/// A fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// When it begins, since the faults begin.
    pub(crate) at: Duration,
    /// How long it lasts.
    pub(crate) length: Duration,
    /// What happens.
    pub(crate) what: FaultKind,
    /// To whom.
    pub(crate) role: Role,
    /// Chooses among several who have the role.
    pub(crate) choice: u64,
}

impl Fault {
    /// Which destination a receiver's fault meets.
    pub(crate) fn destination(&self) -> usize {
        self.choice as usize % DESTINATIONS
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, length, what, role, .. } = self;
        write!(f, "{:6.1} s  {what:?} {role:?} for {:.1} s", at.as_secs_f64(), length.as_secs_f64())
    }
}

/// Every fault there is, with the seconds it may last.
const DECK: &[(FaultKind, Role, (u64, u64))] = &[
    (FaultKind::Kill, Role::Leader, (3, 8)),
    (FaultKind::Kill, Role::Owner, (3, 10)),
    (FaultKind::Kill, Role::All, (2, 5)),
    (FaultKind::Freeze, Role::Leader, (10, 10)),
    (FaultKind::Freeze, Role::Owner, (10, 10)),
    (FaultKind::Partition, Role::Leader, (6, 12)),
    (FaultKind::Partition, Role::Minority, (6, 12)),
    (FaultKind::Isolate, Role::Leader, (6, 10)),
    (FaultKind::Isolate, Role::Owner, (6, 10)),
    (FaultKind::Deaf, Role::Leader, (6, 10)),
    (FaultKind::Deaf, Role::Owner, (6, 10)),
    (FaultKind::Silent, Role::Leader, (6, 10)),
    (FaultKind::Silent, Role::Owner, (6, 10)),
    (FaultKind::Slow(60), Role::All, (6, 10)),
    (FaultKind::Slow(400), Role::Leader, (6, 10)),
    (FaultKind::Slow(1_500), Role::Owner, (6, 10)),
    (FaultKind::Flap, Role::All, (6, 10)),
    (FaultKind::Flap, Role::Leader, (6, 10)),
    (FaultKind::DiskFull, Role::Leader, (6, 10)),
    (FaultKind::DiskFull, Role::Owner, (6, 10)),
    (FaultKind::Clock(3_600), Role::Leader, (8, 12)),
    (FaultKind::Clock(-3_600), Role::Leader, (8, 12)),
    (FaultKind::Clock(3_600), Role::Owner, (8, 12)),
    (FaultKind::Clock(-3_600), Role::Owner, (8, 12)),
    (FaultKind::WrongStart(3_600), Role::Owner, (8, 12)),
    (FaultKind::WrongStart(-3_600), Role::Leader, (8, 12)),
    (FaultKind::Copy, Role::Owner, (8, 12)),
    (FaultKind::Copy, Role::Leader, (8, 12)),
    (FaultKind::PutBack, Role::Owner, (6, 8)),
    (FaultKind::Stall, Role::Owner, (8, 12)),
    (FaultKind::Stall, Role::Leader, (8, 12)),
    (FaultKind::Fails(503), Role::Receiver, (5, 10)),
    (FaultKind::Fails(429), Role::Receiver, (5, 10)),
    (FaultKind::Hangs, Role::Receiver, (5, 10)),
    (FaultKind::Cuts, Role::Receiver, (5, 10)),
    (FaultKind::Lags(1_200), Role::Receiver, (5, 10)),
    (FaultKind::Mute, Role::Receiver, (3, 6)),
];

/// So many seconds between the end of a fault that is alone and the next one.
const REST: (u64, u64) = (2, 5);
/// So many seconds between two faults that may overlap.
const GAP: (u64, u64) = (2, 6);

/// How long after its end a clock's fault may still be felt.
const RIGHT_AGAIN: Duration = Duration::from_secs(10);

/// Whether a fault can be had here.
fn possible((what, role, _): &(FaultKind, Role, (u64, u64)), can: Abilities) -> bool {
    match what {
        FaultKind::Partition | FaultKind::Isolate | FaultKind::Deaf | FaultKind::Silent => {
            can.spaces
        }
        FaultKind::DiskFull => can.disks,
        FaultKind::Clock(_) | FaultKind::WrongStart(_) => can.clocks,
        _ => *role != Role::Minority,
    }
}

impl FaultKind {
    /// Whether it sets a clock. One at a time: of two that are wrong in the same way, three nodes
    /// can't know which clock is right.
    fn is_about_clocks(self) -> bool {
        matches!(self, Self::Clock(_) | Self::WrongStart(_))
    }
}

/// The faults of a run: for the first half of the time one by one, then mixed. `part` (which of how
/// many) keeps short runs from repeating each other: each takes its share of the deck, and mixes after
/// a quarter of the time.
pub(crate) fn plan(seed: u64, time: Duration, part: (usize, usize), can: Abilities) -> Vec<Fault> {
    let mut random = Random::new(seed);
    let (which, of) = part;
    let here = DECK.iter().filter(|card| possible(card, can)).enumerate();
    let deck: Vec<_> =
        here.filter(|(index, _)| index % of == which).map(|(_, card)| card).collect();
    let mut pile = Vec::new();
    let (mut at, mut faults) = (Duration::ZERO, Vec::new());
    let mut clocks_right = Duration::ZERO;
    let between = |random: &mut Random, (least, most): (u64, u64)| {
        Duration::from_millis(least * 1_000 + random.below((most - least) * 1_000 + 1))
    };
    loop {
        if pile.is_empty() {
            pile.clone_from(&deck);
            for index in (1..pile.len()).rev() {
                pile.swap(index, random.below(index as u64 + 1) as usize);
            }
        }
        let Some(&(what, role, length)) = pile.pop() else { return faults };
        let length = between(&mut random, length);
        if at + length > time {
            return faults;
        }
        if what.is_about_clocks() {
            if at < clocks_right {
                continue;
            }
            clocks_right = at + length + RIGHT_AGAIN;
        }
        faults.push(Fault { at, length, what, role, choice: random.next() });
        let alone = at < time / if of > 1 { 4 } else { 2 };
        at += if alone { length + between(&mut random, REST) } else { between(&mut random, GAP) };
    }
}
