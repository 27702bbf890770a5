//! Tests of the recorder: what a power cut takes, and what it leaves.

use std::fs;

use super::recorder::{DiskRecorder, Loss, quick_dir};

#[test]
fn a_power_cut_takes_what_was_not_synced_and_nothing_else() {
    let dir = quick_dir();
    let recorder = DiskRecorder::begin(dir.path());
    let file = super::create_new(&dir.path().join("a")).unwrap();
    super::write_at(&file, &[1; 600], 0).unwrap();
    super::sync_data(&file).unwrap();
    let before = recorder.len();
    assert!(
        !recorder.power_cut(before, Loss::All).path().join("a").exists(),
        "its name is not safe"
    );
    super::sync_dir(dir.path()).unwrap();
    super::write_at(&file, &[2; 1_000], 600).unwrap();
    let read = |loss| fs::read(recorder.power_cut(recorder.len(), loss).path().join("a")).unwrap();
    assert_eq!(read(Loss::All), [1; 600]);
    assert_eq!(read(Loss::Nothing), fs::read(dir.path().join("a")).unwrap());
    let torn = (0..20).map(|n| read(Loss::Some(n)));
    let torn: Vec<_> = torn.filter(|body| body.contains(&2) && body[600..].contains(&0)).collect();
    assert!(!torn.is_empty() && torn.iter().all(|body| body[..600] == [1; 600]), "torn somewhere");
    super::rename(&dir.path().join("a"), &dir.path().join("b")).unwrap();
    assert!(recorder.power_cut(recorder.len(), Loss::All).path().join("a").exists());
    super::sync_dir(dir.path()).unwrap();
    assert!(!recorder.power_cut(recorder.len(), Loss::All).path().join("a").exists());
}
