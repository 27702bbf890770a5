//! The threads that read: each class of reads has its own, started when they are first needed, so that
//! a read never waits for a thread that another class, or anything else of the process, keeps busy.
//! `Store` hands them its reads. They know nothing of SQLite.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::pool::Class;

type Job = Box<dyn FnOnce() + Send>;

/// The threads of all classes. They end when this is dropped, each after what it is at.
pub(super) struct Threads([Arc<Crew>; Class::ALL.len()]);

/// The threads of one class, and what waits for them.
#[derive(Default)]
struct Crew {
    line: Mutex<Line>,
    /// There is something to do, or nothing ever again.
    work: Condvar,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Threads {
    /// No thread yet.
    pub(super) fn new() -> Self {
        Self(Class::ALL.map(|_| Arc::default()))
    }

    /// Has one of the threads of a class do this, after what waits for them already. An error when
    /// there is none and none can be started.
    pub(super) fn run(&self, class: Class, job: Job) -> std::io::Result<()> {
        let crew = &self.0[class as usize];
        let mut line = crew.lock();
        line.jobs.push_back(job);
        if line.jobs.len() > line.idle && line.threads < class.connections() {
            let own = Arc::clone(crew);
            let builder = std::thread::Builder::new().name(class.name().to_owned());
            match builder.spawn(move || own.work()) {
                Ok(_) => line.threads += 1,
                Err(error) if line.threads == 0 => {
                    line.jobs.pop_back();
                    return Err(error);
                }
                // Those there are do it.
                Err(_) => {}
            }
        }
        drop(line);
        crew.work.notify_one();
        Ok(())
    }
}

impl Crew {
    fn work(&self) {
        while let Some(job) = self.next() {
            // It has been printed; whoever waits sees that its answer will not come.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut line = self.lock();
        loop {
            if let Some(job) = line.jobs.pop_front() {
                return Some(job);
            }
            if line.closed {
                return None;
            }
            line.idle += 1;
            line = self.work.wait(line).unwrap_or_else(PoisonError::into_inner);
            line.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // Nothing in here panics half-way.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for crew in &self.0 {
            crew.lock().closed = true;
            crew.work.notify_all();
        }
    }
}
