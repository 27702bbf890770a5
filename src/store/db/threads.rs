//! The threads that read: each class of reads has its own, started when they are first needed. So a
//! read never waits for a thread that another class, or any other part of the process, keeps busy.
//! `Store` hands them its reads. They know nothing of SQLite.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::pool::ReadClass;

type Job = Box<dyn FnOnce() + Send>;

/// The threads of all classes. They end when this is dropped, each after its present read.
pub(super) struct Threads([Arc<ClassThreads>; ReadClass::ALL.len()]);

/// The threads of one class, and the reads that wait for them.
#[derive(Default)]
struct ClassThreads {
    queue: Mutex<Queue>,
    /// A read was added, or the queue was closed. Waited for by idle threads.
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Threads {
    /// Classes without threads: the first read starts one.
    pub(super) fn new() -> Self {
        Self(ReadClass::ALL.map(|_| Arc::default()))
    }

    /// Has a thread of a class carry out `job`, after those that wait already. Fails when the class
    /// has no thread and none can be started.
    pub(super) fn run(&self, class: ReadClass, job: Job) -> std::io::Result<()> {
        let threads = &self.0[class as usize];
        let mut queue = threads.lock();
        queue.jobs.push_back(job);
        if queue.jobs.len() > queue.idle && queue.threads < class.connections() {
            let own = Arc::clone(threads);
            let builder = std::thread::Builder::new().name(class.name().to_owned());
            match builder.spawn(move || own.work()) {
                Ok(_) => queue.threads += 1,
                Err(error) if queue.threads == 0 => {
                    queue.jobs.pop_back();
                    return Err(error);
                }
                // The threads that run already carry it out.
                Err(_) => {}
            }
        }
        drop(queue);
        threads.work.notify_one();
        Ok(())
    }
}

impl ClassThreads {
    fn work(&self) {
        while let Some(job) = self.next() {
            // The panic has been printed, and its caller sees that the channel is closed.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue.idle += 1;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that holds this lock panics half-way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for threads in &self.0 {
            threads.lock().closed = true;
            threads.work.notify_all();
        }
    }
}
