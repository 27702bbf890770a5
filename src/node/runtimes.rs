//! The runtimes of a node beside the caller's, which serves the API. `start` makes them, `wiring`
//! says what runs where; nothing is decided here.
//!
//! Work that must go on under any load has threads that nothing else uses: one for Raft, leases and
//! the due queue (`core`), and as many as there are processors for the calls to receivers
//! (`callbacks`). A receiver that keeps the client busy, or a call to the API, therefore takes a
//! share of a processor from the others, which the system gives out evenly, and never their turn in
//! a queue of tasks.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The runtimes of a node.
pub(super) struct Runtimes {
    core: Own,
    callbacks: Own,
}

/// A runtime that ends in the background: none may be dropped where one is running.
struct Own(Option<Runtime>, Handle);

impl Runtimes {
    /// Starts their threads.
    pub(super) fn start() -> io::Result<Self> {
        let core = Own::start(Builder::new_multi_thread().worker_threads(1), "core")?;
        let callbacks = Own::start(&mut Builder::new_multi_thread(), "callbacks")?;
        Ok(Self { core, callbacks })
    }

    /// The runtime of Raft, peers, leases, the due queue and the coordinator.
    pub(super) fn core(&self) -> &Handle {
        &self.core.1
    }

    /// The runtime of the senders and the client that they call with.
    pub(super) fn callbacks(&self) -> &Handle {
        &self.callbacks.1
    }

    /// Ends them; what runs there goes with them.
    pub(super) fn end(&mut self) {
        self.core.end();
        self.callbacks.end();
    }
}

impl Own {
    fn start(builder: &mut Builder, name: &str) -> io::Result<Self> {
        let runtime = builder.thread_name(name).enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    fn end(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn callbacks_whose_threads_are_all_held_hold_nobody_else() {
        let runtimes = Runtimes::start().unwrap();
        let threads = runtimes.callbacks().metrics().num_workers();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let mut holds = Vec::new();
        for _ in 0..threads {
            let (release, held) = std::sync::mpsc::channel::<()>();
            let begun = begun.clone();
            runtimes.callbacks().spawn(async move {
                begun.send(()).unwrap();
                // Until the test lets it go on.
                let _ = held.recv();
            });
            holds.push(release);
        }
        (0..threads).for_each(|_| has_begun.recv().unwrap());
        runtimes.core().spawn(async {}).await.unwrap();
        tokio::spawn(async {}).await.unwrap();
        assert_eq!(runtimes.core().metrics().num_workers(), 1);
        let waits = runtimes.callbacks().spawn(async {});
        assert!(!waits.is_finished(), "all threads are held");
        drop(holds);
        waits.await.unwrap();
    }
}
