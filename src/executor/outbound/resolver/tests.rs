//! Look-ups that hang hold up no other project, and take no more threads than there are places.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;

/// A fake of `getaddrinfo`: names that begin with `hang` wait until they are released.
#[derive(Default)]
struct Fake {
    open: Mutex<bool>,
    opened: Condvar,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Fake {
    /// A resolver with it, and the names whose look-up has begun.
    fn resolver() -> (Arc<Self>, SystemLookup, mpsc::Receiver<String>) {
        let (begun, names) = mpsc::channel();
        let fake = Arc::new(Self::default());
        let shared = Arc::clone(&fake);
        let lookup = SystemLookup::with(move |name| {
            let now = shared.running.fetch_add(1, Ordering::SeqCst) + 1;
            shared.most.fetch_max(now, Ordering::SeqCst);
            // A test may be over already.
            let _ = begun.send(name.to_owned());
            if name.starts_with("hang") {
                let open = shared.open.lock().unwrap();
                drop(shared.opened.wait_while(open, |open| !*open).unwrap());
            }
            shared.running.fetch_sub(1, Ordering::SeqCst);
            match name {
                "panics" => panic!("as the test wants it"),
                "nobody" => Err(io::Error::other("no such name")),
                _ => Ok(vec![(IpAddr::from([10, 0, 0, 1]), 0).into()]),
            }
        });
        (fake, lookup, names)
    }

    fn release(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

/// Waits for a look-up that must end. The time only ends a test that has failed.
async fn within(looking: LookupFuture) -> Found {
    tokio::time::timeout(Duration::from_secs(20), looking).await.expect("an answer")
}

fn begun(names: &mpsc::Receiver<String>) -> String {
    names.recv_timeout(Duration::from_secs(20)).expect("a look-up begins")
}

fn waiting(lookup: &SystemLookup) -> usize {
    lookup.0.lock().queue.flows().map(|flow| flow.waiting.len()).sum()
}

#[tokio::test]
async fn names_that_hang_are_half_of_all_at_most_and_hold_up_no_other_project() {
    let (fake, lookup, names) = Fake::resolver();
    let ask = |n: usize| lookup.lookup(format!("hang{n}.test"), 1);
    let mut asked: Vec<_> = (0..300).map(ask).collect();
    (0..PLACES / 2).for_each(|_| drop(begun(&names)));
    // The same with as many again, which were cancelled.
    (300..900).for_each(|n| drop(ask(n)));
    assert_eq!(waiting(&lookup), 300 - PLACES / 2, "cancelled look-ups leave nothing behind");
    for name in ["good.test", "other.test"] {
        assert_eq!(within(lookup.lookup(name.to_owned(), 2)).await.unwrap().len(), 1);
        assert_eq!(begun(&names), name);
    }
    let error = within(lookup.lookup("nobody".to_owned(), 3)).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), begun(&names).as_str()), ("no such name", "nobody"));
    assert_eq!(lookup.0.share(1), PLACES / 2);
    // The look-ups that hang keep their places, though they were cancelled.
    let last = asked.split_off(299);
    drop(asked);
    assert_eq!(lookup.0.share(1), PLACES / 2);
    assert_eq!(waiting(&lookup), 1);
    fake.release();
    for looking in last {
        within(looking).await.unwrap();
    }
    assert_eq!(begun(&names), "hang299.test");
    assert!(names.try_recv().is_err(), "nothing else was queued");
    assert!(fake.most.load(Ordering::SeqCst) <= PLACES / 2 + 1);
}

#[tokio::test]
async fn there_are_no_more_threads_than_places_whoever_asks() {
    let (fake, lookup, names) = Fake::resolver();
    let ask = |n: u64| lookup.lookup(format!("hang{n}.test"), n % 40);
    let asked: Vec<_> = (0..2_000).map(ask).collect();
    // Each project has one place at least.
    (0..40).for_each(|_| drop(begun(&names)));
    within(lookup.lookup("good.test".to_owned(), 99)).await.unwrap();
    assert!(lookup.0.lock().threads <= PLACES);
    fake.release();
    for looking in asked {
        within(looking).await.unwrap();
    }
    assert!(fake.most.load(Ordering::SeqCst) <= PLACES);
    assert_eq!(waiting(&lookup), 0);
    assert_eq!(lookup.0.lock().queue.load(), (0, 0));
    assert!(lookup.0.lock().running.is_empty());
}

#[tokio::test]
async fn equal_names_are_looked_up_once() {
    let (fake, lookup, names) = Fake::resolver();
    let first = lookup.lookup("hang.test".to_owned(), 1);
    begun(&names);
    let others: Vec<_> = (1..50).map(|n| lookup.lookup("hang.test".to_owned(), n)).collect();
    drop(first);
    assert_eq!(lookup.0.lock().running.len(), 1);
    assert_eq!(waiting(&lookup), 0);
    fake.release();
    for looking in others {
        assert_eq!(within(looking).await.unwrap().len(), 1);
    }
    assert!(names.try_recv().is_err(), "one look-up for all");
    // It was under way, and is not remembered.
    within(lookup.lookup("hang.test".to_owned(), 1)).await.unwrap();
    assert_eq!(begun(&names), "hang.test");
}

#[tokio::test]
async fn a_name_that_another_project_waits_for_is_not_held_up_by_that() {
    let (fake, lookup, names) = Fake::resolver();
    let ask = |n: usize| lookup.lookup(format!("hang{n}.test"), 1);
    let _hanging: Vec<_> = (0..100).map(ask).collect();
    (0..PLACES / 2).for_each(|_| drop(begun(&names)));
    let behind = lookup.lookup("good.test".to_owned(), 1);
    within(lookup.lookup("good.test".to_owned(), 2)).await.unwrap();
    fake.release();
    within(behind).await.unwrap();
}

#[tokio::test]
async fn a_look_up_that_panics_gives_its_place_back_and_an_address_needs_none() {
    let (_, lookup, names) = Fake::resolver();
    let error = within(lookup.lookup("panics".to_owned(), 1)).await.unwrap_err();
    assert!(error.to_string().contains("without an answer"), "{error}");
    begun(&names);
    assert_eq!(lookup.0.lock().queue.load(), (0, 0));
    assert!(lookup.0.lock().running.is_empty());
    let found = within(lookup.lookup("::1".to_owned(), 1)).await.unwrap();
    assert_eq!(found, ["[::1]:0".parse().unwrap()]);
    assert!(names.try_recv().is_err());
}
