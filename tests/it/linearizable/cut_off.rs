//! Nodes that are cut off from the leader in one direction: they do not confirm writes that they do
//! not see, and the checker finds local reads on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use scheduler0::command::{Command, NewProject, Outcome, ProjectEdit};
use scheduler0::store::projects;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{RaftCluster, poll_interval};
use crate::history_checker::{Answer, Call, Op, check};

/// A proxy in front of an address. When it is cut, all connections through it end.
#[derive(Default)]
struct CuttableProxy {
    cut: AtomicBool,
    open: AtomicUsize,
}

impl CuttableProxy {
    /// Begins to listen; returns the address to connect to instead of `to`.
    async fn listen_for(self: Arc<Self>, to: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                self.open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(self.clone().carry(from, to.clone()));
            }
        });
        address
    }

    async fn carry(self: Arc<Self>, mut from: TcpStream, to: String) {
        let cut = async {
            while !self.cut.load(Ordering::SeqCst) {
                poll_interval().await;
            }
        };
        let carried = async {
            if let Ok(mut to) = TcpStream::connect(to).await {
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            }
        };
        tokio::select! {
            biased;
            () = cut => {}
            () = carried => {}
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    /// Ends all connections. On return nothing more passes.
    async fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        while self.open.load(Ordering::SeqCst) > 0 {
            poll_interval().await;
        }
    }
}

/// Waits for a leader that is not node 3; returns it.
async fn led_by_another(raft: &RaftCluster) -> u64 {
    let leader = raft.leader().await;
    if leader != 3 {
        return leader;
    }
    raft.node(3).transfer_leader(1).await.unwrap();
    raft.leader().await
}

/// A node answers a write by its own state. A node that reaches the leader, but is not reached by
/// it, does not get the write: it must not answer that the write is done.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_node_that_does_not_see_its_write_does_not_say_that_it_is_done() {
    let proxy = Arc::new(CuttableProxy::default());
    let raft = RaftCluster::build_proxied(3, async |to| proxy.clone().listen_for(to).await).await;
    let leader = led_by_another(&raft).await;
    proxy.cut().await;
    let new = NewProject { name: "p".into(), description: "a".into(), ..NewProject::default() };
    let answer = raft.node(3).propose(Command::CreateProject(new)).await;
    let error = answer.expect_err("its state does not have it");
    assert!(!error.is_unwritten(), "{error}");
    let read = async |node: u64| raft.node(node).read(|conn| projects::get(conn, 1)).await.unwrap();
    assert!(read(leader).await.is_some(), "it is committed");
    assert!(read(3).await.is_none(), "and not here");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn local_reads_on_a_node_that_is_cut_off_are_found() {
    let proxy = Arc::new(CuttableProxy::default());
    let raft = RaftCluster::build_proxied(3, async |to| proxy.clone().listen_for(to).await).await;
    let leader = led_by_another(&raft).await;
    let began = Instant::now();
    let mut history = Vec::new();
    let mut note = |call: Call, invoked: u64, answer: Answer| {
        let answered = Some((began.elapsed().as_nanos() as u64, answer));
        let (client, key) = ("a client".to_owned(), "project".to_owned());
        history.push(Op { client, key, call, invoked, answered });
    };
    let now = || began.elapsed().as_nanos() as u64;
    let read = async |node| {
        let found = raft.node(node).read(move |conn| projects::get(conn, 1)).await.unwrap();
        found.map_or(Answer::Absent, |p| Answer::Found { version: 0, data: p.description })
    };

    let at = now();
    let new = NewProject { name: "p".into(), description: "a".into(), ..NewProject::default() };
    let (index, made) =
        raft.node(leader).propose_indexed(Command::CreateProject(new)).await.unwrap();
    assert_eq!(made, Outcome::Created(1));
    note(Call::Create { data: "a".to_owned(), token: None }, at, Answer::Done { version: None });
    raft.applied(3, index).await;

    proxy.cut().await;
    let at = now();
    let edit = ProjectEdit { id: 1, description: Some("b".into()), ..ProjectEdit::default() };
    let done = raft.node(leader).propose(Command::UpdateProject(edit)).await.unwrap();
    assert_eq!(done, Outcome::Done);
    note(Call::Update { data: "b".to_owned(), expect: None }, at, Answer::Done { version: None });
    raft.node(leader).linearize().await.unwrap();
    let at = now();
    assert!(raft.node(3).linearize().await.is_err(), "it cannot know, and says so");
    let stale = read(3).await;
    assert_eq!(stale, Answer::Found { version: 0, data: "a".to_owned() });
    note(Call::Get, at, stale);

    proxy.cut.store(false, Ordering::SeqCst);
    while raft.node(3).linearize().await.is_err() {
        poll_interval().await;
    }
    let at = now();
    note(Call::Get, at, read(3).await);
    let violation = check(&history).expect_err("a stale read");
    assert!(violation.explanation.contains("none fits"), "{violation}");
    history.remove(2);
    check(&history).unwrap_or_else(|violation| panic!("without it all is well: {violation}"));
}
