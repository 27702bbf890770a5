//! Power cuts and failures while a snapshot is named: the current one is always whole.

use openraft::vote::RaftLeaderIdExt;

use super::*;
use crate::disk::recorder::{self, DiskRecorder, Loss, quick_dir};
use crate::raft::types::LogId;

fn meta(index: u64) -> SnapshotMeta {
    let leader = openraft::impls::leader_id_std::LeaderId::<u64, u64>::new_committed(1, 1);
    let last_log_id = Some(LogId::new(leader, index));
    SnapshotMeta { last_log_id, ..SnapshotMeta::default() }
}

/// The index of the current snapshot, which must be whole; 0 for none.
fn current(data: &Path) -> Result<u64, String> {
    let snapshots = Snapshots::open(data).map_err(|e| e.to_string())?;
    let Some(found) = snapshots.current() else { return Ok(0) };
    let index = found.meta.last_log_id.map_or(0, |id| id.index);
    let body = fs::read(found.snapshot.path()).map_err(|e| e.to_string())?;
    let whole = body == vec![index as u8; 2_000];
    whole.then_some(index).ok_or_else(|| format!("snapshot {index} is not whole"))
}

fn publish(snapshots: &Snapshots, index: u64) {
    let path = snapshots.fresh_path();
    let file = disk::create_new(&path).unwrap();
    disk::write_at(&file, &vec![index as u8; 2_000], 0).unwrap();
    disk::sync_all(&file).unwrap();
    snapshots.publish(&meta(index), &path).unwrap();
}

#[test]
fn a_power_cut_at_any_operation_leaves_the_last_snapshot_or_the_next() {
    let dir = quick_dir();
    let recorder = DiskRecorder::begin(dir.path());
    let snapshots = Snapshots::open(dir.path()).unwrap();
    let mut published = vec![(0, 0)];
    for index in 1..=4 {
        publish(&snapshots, index);
        published.push((recorder.len(), index));
    }
    for cut in 0..=recorder.len() {
        let last = published.iter().rev().find(|(at, _)| *at <= cut).unwrap().1;
        for loss in Loss::few(cut, 20) {
            let left = recorder.power_cut(cut, loss);
            let found = current(left.path()).unwrap_or_else(|e| panic!("{cut} {loss:?}: {e}"));
            assert!(found == last || found == last + 1, "cut at {cut}, {loss:?}: {found}");
            let again = Snapshots::open(left.path()).unwrap();
            publish(&again, 9);
            assert_eq!(current(left.path()), Ok(9), "cut at {cut}, {loss:?}");
        }
        let (dir, recorder) = recorder.killed(cut);
        let found = current(dir.path()).unwrap();
        let left = recorder.power_cut(recorder.len(), Loss::All);
        assert_eq!(current(left.path()), Ok(found), "killed at {cut}, then a power cut");
    }
}

#[test]
fn a_snapshot_that_cannot_be_named_leaves_the_one_before_and_its_own_file() {
    let dir = quick_dir();
    let snapshots = Snapshots::open(dir.path()).unwrap();
    publish(&snapshots, 1);
    let folder = dir.path().join("snapshots");
    let path = snapshots.fresh_path();
    fs::write(&path, vec![2; 2_000]).unwrap();
    // The name is replaced by way of a temporary one, which a folder is in the way of.
    let in_the_way = folder.join(CURRENT).with_extension("tmp");
    fs::create_dir(&in_the_way).unwrap();
    for _ in 0..3 {
        snapshots.publish(&meta(2), &path).unwrap_err();
        let kept = snapshots.current().unwrap();
        assert_eq!(kept.meta.last_log_id.map(|id| id.index), Some(1));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4, "no try leaves anything behind");
    }
    fs::remove_dir(&in_the_way).unwrap();
    snapshots.publish(&meta(2), &path).unwrap();
    drop(snapshots);
    assert_eq!(current(dir.path()), Ok(2));
}

#[test]
fn one_that_may_be_named_already_is_kept_with_the_one_before_until_the_next_works() {
    let dir = quick_dir();
    let recorder = DiskRecorder::begin(dir.path());
    let snapshots = Snapshots::open(dir.path()).unwrap();
    publish(&snapshots, 1);
    let files = || fs::read_dir(dir.path().join("snapshots")).unwrap().count();
    let whole = |index: u64| {
        let path = snapshots.fresh_path();
        let file = disk::create_new(&path).unwrap();
        disk::write_at(&file, &vec![index as u8; 2_000], 0).unwrap();
        disk::sync_all(&file).unwrap();
        path
    };
    let index = || snapshots.current().unwrap().meta.last_log_id.unwrap().index;
    let after_an_end = |expected: &[u64]| {
        let (killed, _) = recorder.killed(recorder.len());
        assert_eq!(current(killed.path()).as_ref(), Ok(expected.last().unwrap()), "killed");
        for loss in Loss::few(recorder.len(), 20) {
            let left = recorder.power_cut(recorder.len(), loss);
            let found = current(left.path()).unwrap_or_else(|e| panic!("{loss:?}: {e}"));
            assert!(expected.contains(&found), "{loss:?}: {found}");
        }
    };

    // The first sync is that of the file's name: nothing has happened.
    let path = whole(2);
    recorder::refuse_sync_dir(1);
    snapshots.publish(&meta(2), &path).unwrap_err();
    assert!(path.exists());
    assert_eq!((index(), files()), (1, 3));
    after_an_end(&[1]);

    // The second one comes after the exchange of the names.
    recorder::refuse_sync_dir(2);
    snapshots.publish(&meta(2), &path).unwrap_err();
    assert_eq!((index(), files()), (1, 3), "the one before is what Raft may count on");
    after_an_end(&[1, 2]);

    // However often it fails again: there are no more than two, and what was to come.
    let path = whole(3);
    for nth in [1, 2, 1, 2] {
        recorder::refuse_sync_dir(nth);
        snapshots.publish(&meta(3), &path).unwrap_err();
        assert!(path.exists(), "sync {nth}");
        assert_eq!(index(), 1);
        after_an_end(&[1, 2]);
    }
    snapshots.publish(&meta(3), &path).unwrap();
    assert_eq!((index(), files()), (3, 2));
    after_an_end(&[3]);
}

#[test]
fn a_damaged_name_of_the_current_snapshot_refuses_to_start() {
    let dir = quick_dir();
    publish(&Snapshots::open(dir.path()).unwrap(), 3);
    let path = dir.path().join("snapshots").join(CURRENT);
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let error = Snapshots::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("current is damaged"), "cut at {cut}: {error}");
    }
}
