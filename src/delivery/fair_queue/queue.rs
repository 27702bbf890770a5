//! The rules of the fair queue: whose turn it is, and what may begin. The head of `fair_queue`
//! states the two bounds. Its owners call it under a lock of their own; it never waits.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::flow::{Flow, FlowId, Place, Project};
use super::workers::{Stage, Workers};
use crate::model::ProjectId;

/// A flow may have this many times the calls that its project may still begin.
const FLOW_FACTOR: usize = 4;
/// A factor so large that it bounds no flow.
const NO_FLOW_SHARES: usize = 1 << 20;
/// Idle flows are forgotten above this number.
pub(super) const KEPT: usize = 1_024;

/// The capacity that projects share. Each figure is a number of calls.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// The most that have a worker at a time.
    pub workers: usize,
    /// The most that are in flight at a time, with a worker or without.
    pub in_flight: usize,
    /// The most of one flow that are in flight at a time.
    pub flow: usize,
}

/// The queue. `K` is the key of a flow within its project, `W` is what waits, `D` is what the owner
/// of the queue keeps of each flow.
#[derive(Debug)]
pub struct FairQueue<K, W, D = ()> {
    pub(super) capacity: Capacity,
    flow_factor: usize,
    pub(super) workers: Workers,
    pub(super) in_flight: usize,
    pub(super) ids: HashMap<ProjectId, usize>,
    pub(super) projects: Vec<Project<K>>,
    free_projects: Vec<usize>,
    pub(super) flows: Vec<Flow<K, W, D>>,
    free_flows: Vec<usize>,
    /// Projects with a flow that may begin a call, by (workers, turn): the first one is served
    /// next.
    ready: BTreeSet<(usize, u64, usize)>,
    /// Projects that have reached their share, by what must be free for them to go on, and turn.
    pub(super) capped: BTreeSet<(usize, u64, usize)>,
    /// The number of turns so far.
    turns: u64,
    /// The number of flows at which idle ones are forgotten.
    prune_at: usize,
}

impl<K: Ord + Clone, W, D: Default> FairQueue<K, W, D> {
    /// An empty queue. A capacity of 0 counts as 1.
    pub fn new(capacity: Capacity) -> Self {
        let Capacity { workers, in_flight, flow } = capacity;
        let workers = workers.max(1);
        Self {
            capacity: Capacity { workers, in_flight: in_flight.max(1), flow: flow.max(1) },
            flow_factor: FLOW_FACTOR,
            workers: Workers::new(workers),
            in_flight: 0,
            ids: HashMap::new(),
            projects: Vec::new(),
            free_projects: Vec::new(),
            flows: Vec::new(),
            free_flows: Vec::new(),
            ready: BTreeSet::new(),
            capped: BTreeSet::new(),
            turns: 0,
            prune_at: KEPT,
        }
    }

    /// The same queue, in which the flows of a project do not bound each other.
    #[must_use]
    pub fn without_flow_shares(self) -> Self {
        Self { flow_factor: NO_FLOW_SHARES, ..self }
    }

    /// The flow of a project, if it is known.
    pub fn find(&self, project: ProjectId, key: &K) -> Option<FlowId> {
        let at = self.ids.get(&project)?;
        self.projects[*at].flows.get(key).copied().map(FlowId)
    }

    /// The flow of a project; a new one where it is not known.
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
        let at = self.free_projects.pop().unwrap_or(self.projects.len());
        if at == self.projects.len() {
            self.projects.push(Project::new(id));
        } else {
            self.projects[at] = Project::new(id);
        }
        self.ids.insert(id, at);
        at
    }

    /// Forgets idle flows where there are many, if `is_done` says that the owner needs nothing more
    /// of what it keeps with them. The owner calls this before it asks for a flow.
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

    /// The data that the owner keeps of a flow.
    pub fn data(&mut self, flow: FlowId) -> &mut D {
        &mut self.flows[flow.0].data
    }

    /// The project of a flow.
    pub fn project_of(&self, flow: FlowId) -> ProjectId {
        self.projects[self.flows[flow.0].project].id
    }

    /// The key of a flow; `None` once it was forgotten.
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

    /// The first one that waits in a flow.
    pub fn first(&self, flow: FlowId) -> Option<&W> {
        self.flows[flow.0].waiting.front()
    }

    /// Takes out the first one that waits in a flow.
    pub fn pop(&mut self, flow: FlowId) -> Option<W> {
        let who = self.flows[flow.0].waiting.pop_front();
        self.relist(flow.0);
        who
    }

    /// Changes those that wait in a flow.
    pub fn edit_waiting<T>(&mut self, flow: FlowId, edit: impl FnOnce(&mut VecDeque<W>) -> T) -> T {
        let result = edit(&mut self.flows[flow.0].waiting);
        self.relist(flow.0);
        result
    }

    /// Begins nothing of a flow (true), or goes on with it (false).
    pub fn park(&mut self, flow: FlowId, parked: bool) {
        self.flows[flow.0].parked = parked;
        self.relist(flow.0);
    }

    /// Bounds the calls of a flow that may be in flight; the capacity bounds them too.
    pub fn set_most(&mut self, flow: FlowId, most: usize) {
        self.flows[flow.0].most = most.clamp(1, self.capacity.flow);
        self.relist(flow.0);
    }

    /// The flow whose turn it is, if anything may begin. The caller begins one of it, takes one
    /// out, or parks the flow: otherwise the same flow comes again.
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
                    Some((in_flight, _, flow))
                        if project.need(*in_flight, self.flow_factor) < free =>
                    {
                        if self.workers.has_one_for(workers) {
                            return Some(FlowId(*flow));
                        }
                        break;
                    }
                    // The number of free places has changed since the project was put there.
                    _ => self.place(at),
                }
            }
            // Another project that had reached its share may have fewer workers.
            below?;
        }
    }

    /// Whether one of a flow may begin now, parked or not.
    pub fn may_begin(&self, flow: FlowId) -> bool {
        let flow = &self.flows[flow.0];
        let project = &self.projects[flow.project];
        !flow.waiting.is_empty()
            && flow.in_flight < flow.most
            && project.need(flow.in_flight, self.flow_factor) < self.free()
            && self.workers.has_one_for(project.share.held)
    }

    /// Begins one of a flow. Where no worker is free, another project lends one.
    pub fn begin(&mut self, flow: FlowId) {
        let owner = self.flows[flow.0].project;
        if self.workers.are_taken()
            && let Some(lender) = self.workers.lender(self.projects[owner].share.held)
        {
            self.workers.lend(lender, &mut self.projects[lender].share);
            self.place(lender);
        }
        self.turns += 1;
        self.in_flight += 1;
        let project = &mut self.projects[owner];
        self.workers.take(owner, &mut project.share);
        project.in_flight += 1;
        project.turn = self.turns;
        let served = &mut self.flows[flow.0];
        served.in_flight += 1;
        served.turn = self.turns;
        self.relist(flow.0);
    }

    /// Moves one of a flow on to a later stage; it stays in flight.
    pub fn advance(&mut self, flow: FlowId, from: Stage, to: Stage) {
        let owner = self.flows[flow.0].project;
        let share = &mut self.projects[owner].share;
        match (from, to) {
            (Stage::Quick, Stage::Slow) => self.workers.slow_down(owner, share),
            (_, Stage::Hanging) => self.workers.leave(owner, share, from),
            _ => {}
        }
        self.place(owner);
    }

    /// Ends one of a flow, which was in the given stage.
    pub fn end(&mut self, flow: FlowId, stage: Stage) {
        let owner = self.flows[flow.0].project;
        let project = &mut self.projects[owner];
        self.workers.leave(owner, &mut project.share, stage);
        self.in_flight -= 1;
        project.in_flight -= 1;
        self.flows[flow.0].in_flight -= 1;
        self.relist(flow.0);
    }

    /// The number that a flow of a project may begin at this moment, as far as its share goes.
    pub fn room(&self, project: ProjectId, key: &K) -> usize {
        let of = self.ids.get(&project).map(|at| &self.projects[*at]);
        let flow = of.and_then(|of| of.flows.get(key)).map(|at| &self.flows[*at]);
        let (held, most) = flow.map_or((0, self.capacity.flow), |f| (f.in_flight, f.most));
        let left = self.free().saturating_sub(of.map_or(0, |of| of.in_flight));
        let left = left * self.flow_factor;
        if left <= held {
            return 0;
        }
        // Each that begins takes one from the free places, and counts for flow and project.
        let more = (left - held - 1) / (2 * self.flow_factor + 1) + 1;
        more.min(most.saturating_sub(held))
    }

    pub(super) fn free(&self) -> usize {
        self.capacity.in_flight.saturating_sub(self.in_flight)
    }

    /// Puts a flow into its project's ring under its present keys, or takes it out.
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

    /// Lists a project where it belongs now.
    fn place(&mut self, at: usize) {
        let free = self.free();
        let project = &mut self.projects[at];
        let wanted = match project.ring.first() {
            None => Place::Out,
            Some((in_flight, ..)) => match project.need(*in_flight, self.flow_factor) {
                need if need < free => Place::Ready(project.share.held, project.turn),
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
