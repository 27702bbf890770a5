//! The plan of a run: the faults with their beginnings and lengths, from the seed alone. A fault is
//! meant for a role here ("the leader"); `inject` finds the nodes that have it. The same seed gives
//! the same plan, which is printed before it begins.

use std::fmt;
use std::time::Duration;

use crate::broker::MESSAGES;
use crate::node_home::Abilities;
use crate::receiver::DESTINATIONS;

/// Random numbers from a seed (splitmix64), the same on each machine and in each version.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of a seed.
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

/// The role that a fault is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The leader.
    Leader,
    /// A node that owns shards and does not lead.
    Owner,
    /// Fewer than half of the nodes, the leader among them or not.
    Minority,
    /// All nodes.
    All,
    /// A destination.
    Receiver,
    /// The broker.
    Broker,
    /// Half of the workers.
    Workers,
}

/// The kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The node is killed, and started when the time is over.
    Kill,
    /// The node is frozen (SIGSTOP), and runs on later (SIGCONT).
    Freeze,
    /// No packet passes to or from the other nodes; clients and receivers are reached.
    Partition,
    /// No packet passes at all.
    Isolate,
    /// The node sends to the others and receives nothing from them.
    Deaf,
    /// The node receives from the others and cannot send to them.
    Silent,
    /// All bytes between it and the others are delayed by this many milliseconds.
    Slow(u64),
    /// Connections between it and the others are cut again and again.
    Flap,
    /// Its disk is full.
    DiskFull,
    /// Its wall clock is off by this many seconds.
    Clock(i64),
    /// It is killed, and started with its wall clock off by this many seconds.
    WrongStart(i64),
    /// A copy of its data folder is started beside it.
    Copy,
    /// It is stopped, and started on a copy of its folder from before.
    PutBack,
    /// Nothing reads its stderr, to which it writes much.
    Stall,
    /// The receiver answers with this status.
    Fails(u16),
    /// The receiver never answers.
    Hangs,
    /// The receiver answers after this many milliseconds.
    Lags(u64),
    /// The receiver does the work, but its answer is lost.
    Mute,
    /// The receiver refuses batches, and its answers break off.
    Cuts,
    /// The broker is killed, and starts again.
    BrokerKill,
    /// Connections to the broker are cut again and again.
    BrokerCut,
    /// The broker is out of memory: it takes no messages.
    BrokerAlarm,
    /// The workers are frozen: they go silent, and go on later.
    WorkerFreeze,
}

/// A fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The time from the beginning of the faults to its own.
    pub(crate) at: Duration,
    /// Its length.
    pub(crate) length: Duration,
    /// Its kind.
    pub(crate) what: FaultKind,
    /// The role that it is meant for.
    pub(crate) role: Role,
    /// A number that chooses among the nodes that have the role.
    pub(crate) choice: u64,
}

impl Fault {
    /// The destination of a fault of a receiver or the broker.
    pub(crate) fn destination(&self) -> Option<usize> {
        match self.role {
            Role::Receiver => Some(self.choice as usize % DESTINATIONS),
            Role::Broker => Some(MESSAGES),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, length, what, role, .. } = self;
        write!(f, "{:6.1} s  {what:?} {role:?} for {:.1} s", at.as_secs_f64(), length.as_secs_f64())
    }
}

/// All faults, with the least and the greatest length in seconds.
const ALL: &[(FaultKind, Role, (u64, u64))] = &[
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
    (FaultKind::BrokerKill, Role::Broker, (1, 2)),
    (FaultKind::BrokerCut, Role::Broker, (5, 10)),
    (FaultKind::BrokerAlarm, Role::Broker, (5, 15)),
    (FaultKind::WorkerFreeze, Role::Workers, (7, 12)),
];

/// The seconds from the end of a fault that is alone to the next one.
const REST: (u64, u64) = (2, 5);
/// The seconds between the beginnings of two faults that may overlap.
const GAP: (u64, u64) = (2, 6);

/// The time after its end in which a fault of a clock may still have effects.
const CLOCK_SETTLES: Duration = Duration::from_secs(10);

/// True for a fault that this machine allows.
fn possible((what, role, _): &(FaultKind, Role, (u64, u64)), can: Abilities) -> bool {
    match what {
        FaultKind::Partition | FaultKind::Isolate | FaultKind::Deaf | FaultKind::Silent => {
            can.spaces
        }
        FaultKind::DiskFull => can.disks,
        FaultKind::Clock(_) | FaultKind::WrongStart(_) => can.clocks,
        FaultKind::BrokerKill | FaultKind::BrokerCut | FaultKind::BrokerAlarm => can.broker,
        _ => *role != Role::Minority,
    }
}

impl FaultKind {
    /// True for a fault of a clock. Only one happens at a time: when two of three clocks are wrong
    /// in the same way, no node can know the right time.
    fn is_about_clocks(self) -> bool {
        matches!(self, Self::Clock(_) | Self::WrongStart(_))
    }
}

/// The faults of a run: one by one for the first half of the time, then mixed. `part` (index and
/// count) gives each of several short runs its share of the faults; they mix after a quarter of the
/// time.
pub(crate) fn plan(seed: u64, time: Duration, part: (usize, usize), can: Abilities) -> Vec<Fault> {
    let mut random = Random::new(seed);
    let (which, of) = part;
    let here = ALL.iter().filter(|fault| possible(fault, can)).enumerate();
    let allowed: Vec<_> =
        here.filter(|(index, _)| index % of == which).map(|(_, fault)| fault).collect();
    let mut shuffled = Vec::new();
    let (mut at, mut faults) = (Duration::ZERO, Vec::new());
    let mut clocks_right = Duration::ZERO;
    let between = |random: &mut Random, (least, most): (u64, u64)| {
        Duration::from_millis(least * 1_000 + random.below((most - least) * 1_000 + 1))
    };
    loop {
        if shuffled.is_empty() {
            shuffled.clone_from(&allowed);
            for index in (1..shuffled.len()).rev() {
                shuffled.swap(index, random.below(index as u64 + 1) as usize);
            }
        }
        let Some(&(what, role, length)) = shuffled.pop() else { return faults };
        let length = between(&mut random, length);
        if at + length > time {
            return faults;
        }
        if what.is_about_clocks() {
            if at < clocks_right {
                continue;
            }
            clocks_right = at + length + CLOCK_SETTLES;
        }
        faults.push(Fault { at, length, what, role, choice: random.next() });
        let alone = at < time / if of > 1 { 4 } else { 2 };
        at += if alone { length + between(&mut random, REST) } else { between(&mut random, GAP) };
    }
}
