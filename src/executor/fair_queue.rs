//! A fair queue at two levels: projects share a capacity, and the flows of a project (its calls to
//! one destination under one set of limits) share the project's part of it.
//!
//! [`DestinationQueues`](super::destination_queues::DestinationQueues) shares out the workers with one of these, and `worker::admission`
//! the places for built requests. Pure: no clock, no lock, no I/O. Every operation is O(log n) in
//! projects and flows; nothing looks through all of them but [`FairQueue::flows`] (for metrics) and
//! the pruning of idle flows, which happens when their number has doubled.
//!
//! Two bounds hold at any time:
//!
//! - **In flight**: a project may begin one more while it has fewer than are free (a dynamic
//!   threshold, Choudhury and Hahne 1998, with factor 1). So no project ever has more than half of
//!   the capacity. As many projects as there are places can take all of them: the owner must see
//!   to it that some end (`queues`). Within a project the same holds for its flows, with factor
//!   `FLOW_FACTOR`, of what the project may still begin.
//! - **Workers**: those in flight take a worker each, until they hang ([`Stage`]). Free workers go
//!   to the project that has the fewest, in turn among equals (max-min fairness). Where none is
//!   free, a project that has at least two fewer than the one that has the most is given one of its
//!   workers at once, and one that has fewer than another one the worker of a slow call of that:
//!   the call that had it goes on without (`lent`). So no project has more than half of the workers
//!   while another one waits, who waits with fewer than its share waits for nobody, and of more
//!   projects than workers each waits for quick calls only.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

pub use readings::FlowLoad;

use crate::model::ProjectId;

mod readings;
#[cfg(test)]
mod tests;

/// A flow may have so many times what its project may still begin.
const FLOW_FACTOR: usize = 4;
/// Idle flows are forgotten above this number.
const KEPT: usize = 1_024;

/// What there is to share.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// So many take a worker at a time.
    pub workers: usize,
    /// So many are in flight at a time, with a worker or without.
    pub in_flight: usize,
    /// So many of one flow are in flight at a time.
    pub flow: usize,
}

/// How far something that has begun has come. The owner of the queue says when it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It takes a worker.
    #[default]
    Quick,
    /// It takes a worker, unless another project wants it.
    Slow,
    /// It takes none.
    Hanging,
}

/// A flow; valid until it is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowId(usize);

/// See the head of this file. `K` tells the flows of a project apart, `W` waits, `D` is what the
/// owner of the queue keeps of each flow.
#[derive(Debug)]
pub struct FairQueue<K, W, D = ()> {
    capacity: Capacity,
    workers: usize,
    in_flight: usize,
    ids: HashMap<ProjectId, usize>,
    projects: Vec<Project<K>>,
    free_projects: Vec<usize>,
    flows: Vec<Flow<K, W, D>>,
    free_flows: Vec<usize>,
    /// Projects with a flow that may begin one, by (workers, turn): the first is served next.
    ready: BTreeSet<(usize, u64, usize)>,
    /// Projects that are over the threshold, by what must be free for them to go on, and turn.
    capped: BTreeSet<(usize, u64, usize)>,
    /// Projects by their number of workers, where that is not 0.
    holders: BTreeSet<(usize, usize)>,
    /// The same of those that have given a worker to something slow.
    lenders: BTreeSet<(usize, usize)>,
    /// Counts whoever is served.
    turns: u64,
    /// At so many flows, idle ones are forgotten.
    prune_at: usize,
}

#[derive(Debug)]
struct Project<K> {
    id: ProjectId,
    workers: usize,
    /// Not hanging yet, but another project has its worker. Slow ones count for these first.
    lent: usize,
    /// How many are slow, with a worker or without.
    slow: usize,
    /// As what it is in `holders`, and in `lenders`.
    listed: (usize, Option<usize>),
    in_flight: usize,
    flows: BTreeMap<K, usize>,
    /// Flows that may begin one, by (in flight, turn): the first is served next.
    ring: BTreeSet<(usize, u64, usize)>,
    /// When it was served last.
    turn: u64,
    place: Place,
}

impl<K> Project<K> {
    /// More than so many must be free for a flow with so many in flight to begin one more.
    fn need(&self, in_flight: usize) -> usize {
        self.in_flight + in_flight / FLOW_FACTOR
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Out,
    Ready(usize, u64),
    Capped(usize, u64),
}

#[derive(Debug)]
struct Flow<K, W, D> {
    project: usize,
    key: Option<K>,
    waiting: VecDeque<W>,
    in_flight: usize,
    /// So many may be in flight.
    most: usize,
    /// Its owner wants nothing to be begun.
    parked: bool,
    turn: u64,
    /// How it stands in its project's ring.
    listed: Option<(usize, u64)>,
    data: D,
}

impl<K: Ord + Clone, W, D: Default> FairQueue<K, W, D> {
    /// An empty queue. A capacity of 0 counts as 1.
    pub fn new(capacity: Capacity) -> Self {
        let Capacity { workers, in_flight, flow } = capacity;
        Self {
            capacity: Capacity {
                workers: workers.max(1),
                in_flight: in_flight.max(1),
                flow: flow.max(1),
            },
            workers: 0,
            in_flight: 0,
            ids: HashMap::new(),
            projects: Vec::new(),
            free_projects: Vec::new(),
            flows: Vec::new(),
            free_flows: Vec::new(),
            ready: BTreeSet::new(),
            capped: BTreeSet::new(),
            holders: BTreeSet::new(),
            lenders: BTreeSet::new(),
            turns: 0,
            prune_at: KEPT,
        }
    }

    /// The flow of a project, if it is known.
    pub fn find(&self, project: ProjectId, key: &K) -> Option<FlowId> {
        let at = self.ids.get(&project)?;
        self.projects[*at].flows.get(key).copied().map(FlowId)
    }

    /// The flow of a project, a new one if need be.
    pub fn flow(&mut self, project: ProjectId, key: &K) -> FlowId {
        if let Some(known) = self.find(project, key) {
            return known;
        }
        let owner = self.project(project);
        let flow = Flow {
            project: owner,
            key: Some(key.clone()),
            waiting: VecDeque::new(),
            in_flight: 0,
            most: self.capacity.flow,
            parked: false,
            turn: 0,
            listed: None,
            data: D::default(),
        };
        let at = self.free_flows.pop().unwrap_or(self.flows.len());
        if at == self.flows.len() {
            self.flows.push(flow);
        } else {
            self.flows[at] = flow;
        }
        self.projects[owner].flows.insert(key.clone(), at);
        FlowId(at)
    }

    fn project(&mut self, id: ProjectId) -> usize {
        if let Some(at) = self.ids.get(&id) {
            return *at;
        }
        let project = Project {
            id,
            workers: 0,
            lent: 0,
            slow: 0,
            listed: (0, None),
            in_flight: 0,
            flows: BTreeMap::new(),
            ring: BTreeSet::new(),
            turn: 0,
            place: Place::Out,
        };
        let at = self.free_projects.pop().unwrap_or(self.projects.len());
        if at == self.projects.len() {
            self.projects.push(project);
        } else {
            self.projects[at] = project;
        }
        self.ids.insert(id, at);
        at
    }

    /// Forgets flows that are idle, and of which `is_done` says that nothing else is to be kept, if
    /// there are many. To be called before a flow is asked for.
    pub fn prune(&mut self, is_done: impl Fn(&D) -> bool) {
        if self.flows.len() - self.free_flows.len() < self.prune_at {
            return;
        }
        for at in 0..self.flows.len() {
            let flow = &self.flows[at];
            let used = flow.in_flight > 0 || !flow.waiting.is_empty() || flow.parked;
            if used || flow.key.is_none() || !is_done(&flow.data) {
                continue;
            }
            let owner = flow.project;
            let Some(key) = self.flows[at].key.take() else { continue };
            self.free_flows.push(at);
            let project = &mut self.projects[owner];
            project.flows.remove(&key);
            if project.flows.is_empty() {
                self.ids.remove(&project.id);
                self.free_projects.push(owner);
            }
        }
        self.prune_at = KEPT.max(2 * (self.flows.len() - self.free_flows.len()));
    }

    /// What the owner keeps of a flow.
    pub fn data(&mut self, flow: FlowId) -> &mut D {
        &mut self.flows[flow.0].data
    }

    /// Whose a flow is.
    pub fn project_of(&self, flow: FlowId) -> ProjectId {
        self.projects[self.flows[flow.0].project].id
    }

    /// What tells a flow from the others of its project; `None` once it was forgotten.
    pub fn key(&self, flow: FlowId) -> Option<&K> {
        self.flows[flow.0].key.as_ref()
    }

    /// The flows of a project from a key on, in order.
    pub fn flows_from(&self, project: ProjectId, from: K) -> impl Iterator<Item = (&K, FlowId)> {
        let project = self.ids.get(&project).map(|at| &self.projects[*at]);
        let flows = project.into_iter().flat_map(move |p| p.flows.range(from.clone()..));
        flows.map(|(key, at)| (key, FlowId(*at)))
    }

    /// Waits in a flow.
    pub fn push(&mut self, flow: FlowId, who: W) {
        self.flows[flow.0].waiting.push_back(who);
        self.relist(flow.0);
    }

    /// Who waits first in a flow.
    pub fn first(&self, flow: FlowId) -> Option<&W> {
        self.flows[flow.0].waiting.front()
    }

    /// Takes out who waits first.
    pub fn pop(&mut self, flow: FlowId) -> Option<W> {
        let who = self.flows[flow.0].waiting.pop_front();
        self.relist(flow.0);
        who
    }

    /// Begins nothing of a flow, or goes on with it.
    pub fn park(&mut self, flow: FlowId, parked: bool) {
        self.flows[flow.0].parked = parked;
        self.relist(flow.0);
    }

    /// So many of a flow may be in flight, at most as many as the capacity says.
    pub fn set_most(&mut self, flow: FlowId, most: usize) {
        self.flows[flow.0].most = most.clamp(1, self.capacity.flow);
        self.relist(flow.0);
    }

    /// The flow whose turn it is, if anything may begin. The caller begins one, takes one out, or
    /// parks the flow: otherwise the same flow comes again.
    pub fn next_flow(&mut self) -> Option<FlowId> {
        let free = self.free();
        loop {
            let below = self.capped.first().copied().filter(|(need, ..)| *need < free);
            if let Some((.., at)) = below {
                self.place(at);
            }
            while let Some((workers, _, at)) = self.ready.first().copied() {
                let project = &self.projects[at];
                match project.ring.first() {
                    Some((in_flight, _, flow)) if project.need(*in_flight) < free => {
                        if self.has_worker(workers) {
                            return Some(FlowId(*flow));
                        }
                        break;
                    }
                    // What is free has changed since it was put there.
                    _ => self.place(at),
                }
            }
            // Another one that was over the threshold may have fewer workers.
            below?;
        }
    }

    /// Whether one of a flow may begin now, parked or not.
    pub fn may_begin(&self, flow: FlowId) -> bool {
        let flow = &self.flows[flow.0];
        let project = &self.projects[flow.project];
        !flow.waiting.is_empty()
            && flow.in_flight < flow.most
            && project.need(flow.in_flight) < self.free()
            && self.has_worker(project.workers)
    }

    /// One of a flow begins. Where no worker is free, another project gives one away.
    pub fn begin(&mut self, flow: FlowId) {
        let owner = self.flows[flow.0].project;
        if self.workers >= self.capacity.workers
            && let Some(lender) = self.lender(self.projects[owner].workers)
        {
            self.projects[lender].lent += 1;
            self.count_workers(lender, false);
            self.place(lender);
        }
        self.turns += 1;
        self.in_flight += 1;
        self.count_workers(owner, true);
        let project = &mut self.projects[owner];
        project.in_flight += 1;
        project.turn = self.turns;
        let served = &mut self.flows[flow.0];
        served.in_flight += 1;
        served.turn = self.turns;
        self.relist(flow.0);
    }

    /// One of a flow goes on to the next stage, or the last one; it stays in flight.
    pub fn advance(&mut self, flow: FlowId, from: Stage, to: Stage) {
        let owner = self.flows[flow.0].project;
        match (from, to) {
            (Stage::Quick, Stage::Slow) => {
                self.projects[owner].slow += 1;
                self.list(owner);
            }
            (_, Stage::Hanging) => self.leave(owner, from),
            _ => {}
        }
        self.place(owner);
    }

    /// One of a flow is over, in a stage.
    pub fn end(&mut self, flow: FlowId, stage: Stage) {
        let owner = self.flows[flow.0].project;
        self.leave(owner, stage);
        self.in_flight -= 1;
        self.projects[owner].in_flight -= 1;
        self.flows[flow.0].in_flight -= 1;
        self.relist(flow.0);
    }

    /// How many more a flow of a project may begin at this moment, as far as the threshold goes.
    pub fn room(&self, project: ProjectId, key: &K) -> usize {
        let of = self.ids.get(&project).map(|at| &self.projects[*at]);
        let flow = of.and_then(|of| of.flows.get(key)).map(|at| &self.flows[*at]);
        let (held, most) = flow.map_or((0, self.capacity.flow), |f| (f.in_flight, f.most));
        let left = self.free().saturating_sub(of.map_or(0, |of| of.in_flight)) * FLOW_FACTOR;
        if left <= held {
            return 0;
        }
        // Each that begins takes one from what is free, and counts on both levels.
        let more = (left - held - 1) / (2 * FLOW_FACTOR + 1) + 1;
        more.min(most.saturating_sub(held))
    }

    fn free(&self) -> usize {
        self.capacity.in_flight.saturating_sub(self.in_flight)
    }

    /// Whether a project that has so many workers may have one more.
    fn has_worker(&self, workers: usize) -> bool {
        self.workers < self.capacity.workers || self.lender(workers).is_some()
    }

    /// Who gives a worker to a project that has so many.
    fn lender(&self, workers: usize) -> Option<usize> {
        let most = self.holders.last().filter(|(most, _)| *most >= workers + 2);
        let slow = || self.lenders.last().filter(|(most, _)| *most > workers);
        most.or_else(slow).map(|(_, at)| *at)
    }

    /// One of a project leaves a stage, and needs no worker any more.
    fn leave(&mut self, at: usize, stage: Stage) {
        let project = &mut self.projects[at];
        project.slow -= usize::from(stage == Stage::Slow);
        match stage {
            Stage::Hanging => {}
            _ if project.lent > 0 => {
                project.lent -= 1;
                self.list(at);
            }
            _ => self.count_workers(at, false),
        }
    }

    fn count_workers(&mut self, at: usize, more: bool) {
        let project = &mut self.projects[at];
        if more {
            project.workers += 1;
            self.workers += 1;
        } else {
            project.workers -= 1;
            self.workers -= 1;
        }
        self.list(at);
    }

    /// Lists a project by its workers as they are now.
    fn list(&mut self, at: usize) {
        let project = &mut self.projects[at];
        let workers = project.workers;
        let lends = (workers > 0 && project.slow > project.lent).then_some(workers);
        let (before, lent) = std::mem::replace(&mut project.listed, (workers, lends));
        if before != workers {
            if before > 0 {
                self.holders.remove(&(before, at));
            }
            if workers > 0 {
                self.holders.insert((workers, at));
            }
        }
        if lent != lends {
            if let Some(before) = lent {
                self.lenders.remove(&(before, at));
            }
            if let Some(workers) = lends {
                self.lenders.insert((workers, at));
            }
        }
    }

    /// Puts a flow into its project's ring as it stands now, or takes it out.
    fn relist(&mut self, at: usize) {
        let flow = &mut self.flows[at];
        let may = !flow.parked && !flow.waiting.is_empty() && flow.in_flight < flow.most;
        let wanted = may.then_some((flow.in_flight, flow.turn));
        let owner = flow.project;
        if flow.listed != wanted {
            let ring = &mut self.projects[owner].ring;
            if let Some((in_flight, turn)) = std::mem::replace(&mut flow.listed, wanted) {
                ring.remove(&(in_flight, turn, at));
            }
            if let Some((in_flight, turn)) = wanted {
                ring.insert((in_flight, turn, at));
            }
        }
        self.place(owner);
    }

    /// Puts a project where it belongs now.
    fn place(&mut self, at: usize) {
        let free = self.free();
        let project = &mut self.projects[at];
        let wanted = match project.ring.first() {
            None => Place::Out,
            Some((in_flight, ..)) => match project.need(*in_flight) {
                need if need < free => Place::Ready(project.workers, project.turn),
                need => Place::Capped(need, project.turn),
            },
        };
        if project.place == wanted {
            return;
        }
        match std::mem::replace(&mut project.place, wanted) {
            Place::Out => {}
            Place::Ready(workers, turn) => {
                self.ready.remove(&(workers, turn, at));
            }
            Place::Capped(need, turn) => {
                self.capped.remove(&(need, turn, at));
            }
        }
        match wanted {
            Place::Out => {}
            Place::Ready(workers, turn) => {
                self.ready.insert((workers, turn, at));
            }
            Place::Capped(need, turn) => {
                self.capped.insert((need, turn, at));
            }
        }
    }
}
