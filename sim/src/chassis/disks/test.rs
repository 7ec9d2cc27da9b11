use super::{Drive, Drives, Ended, Errno, FileStore, MemoryStore, OpenError, Store};
use crate::chassis::pool::{Pool, Slice};
use crate::lab::nas::Disks;
use std::path::PathBuf;
use sun4v::native::DiskRequest;
use sun4v::time::SimTime;

struct Nothing;
impl Slice for Nothing {
    fn run(&mut self) {}
}

/// Ten microseconds a request, a byte a nanosecond.
const MODEL: Disks = Disks { call_time: SimTime::us(10), bytes_per_second: 1_000_000_000 };

fn read(offset: u64, bytes: u32) -> DiskRequest {
    DiskRequest::Read { offset, bytes }
}

fn write(offset: u64, data: &[u8]) -> DiskRequest {
    DiskRequest::Write { offset, data: data.to_vec(), durable: false }
}

fn one(store: &MemoryStore, read_only: bool) -> Drives {
    let mut drives = Drives::default();
    drives.add(Drive::new("c0t0d0", "memory", Box::new(store.clone()), read_only, MODEL));
    drives
}

/// All that ends, with its time.
fn all(drives: &mut Drives) -> Vec<(SimTime, u64, Result<Vec<u8>, Errno>)> {
    let mut ended = Vec::new();
    loop {
        let at = drives.next_time();
        match drives.pop_until(at) {
            Some(Ended { token, result, .. }) => ended.push((at, token, result)),
            None => return ended,
        }
    }
}

#[test]
fn requests_take_the_disks_time_one_after_the_other_on_any_number_of_threads() {
    for threads in [1, 2, 4] {
        let pool = Pool::<Nothing>::new(threads);
        let store = MemoryStore::new(vec![0; 4096]);
        let mut drives = one(&store, false);
        drives.submit(SimTime::ZERO, 0, 7, write(512, &[9; 1000]), &pool);
        drives.submit(SimTime::ZERO, 0, 8, read(0, 2000), &pool);
        drives.submit(SimTime::ZERO, 0, 9, DiskRequest::Flush, &pool);
        drives.submit(SimTime::ms(1), 0, 6, write(0, &[1; 512]), &pool);
        let ended = all(&mut drives);
        let expected = [[0; 512].as_slice(), &[9; 1000], &[0; 488]].concat();
        assert_eq!(ended[0], (SimTime::us(11), 7, Ok(Vec::new())));
        assert_eq!(ended[1], (SimTime::us(23), 8, Ok(expected)));
        assert_eq!(ended[2], (SimTime::us(33), 9, Ok(Vec::new())));
        assert_eq!((ended[3].1, ended.len()), (6, 4));
        let memory = store.look();
        assert_eq!((memory.durable[512], memory.durable[0], memory.bytes[0]), (9, 0, 1));
        // What it was given is durable when it goes.
        drop(drives);
        assert_eq!(store.look().durable[0], 1);
    }
}

#[test]
fn many_writes_and_reads_of_one_block_keep_their_order() {
    for threads in [1, 3] {
        let pool = Pool::<Nothing>::new(threads);
        let mut drives = one(&MemoryStore::new(vec![0; 512]), false);
        for n in 0..200 {
            drives.submit(SimTime::ZERO, 0, 2 * n, write(0, &[n as u8; 512]), &pool);
            drives.submit(SimTime::ZERO, 0, 2 * n + 1, read(0, 512), &pool);
        }
        for (n, (_, token, result)) in (0..).zip(all(&mut drives)) {
            assert_eq!(token, n);
            let expected = if n % 2 == 0 { Vec::new() } else { vec![(n / 2) as u8; 512] };
            assert_eq!(result, Ok(expected));
        }
    }
}

#[test]
fn what_cannot_be_done_is_an_error_number_and_a_line_of_the_log() {
    let pool = Pool::<Nothing>::new(1);
    let store = MemoryStore::new(vec![0; 4096]);
    let mut drives = one(&store, true);
    drives.submit(SimTime::ZERO, 0, 1, write(0, &[1; 512]), &pool);
    drives.submit(SimTime::ZERO, 0, 2, read(4096, 1), &pool);
    drives.submit(SimTime::ZERO, 0, 3, read(u64::MAX, 1), &pool);
    store.break_from(1024);
    drives.submit(SimTime::ZERO, 0, 4, read(1024, 512), &pool);
    let results: Vec<_> =
        all(&mut drives).into_iter().map(|(_, token, end)| (token, end)).collect();
    let expected = [
        (1, Err(Errno::RoFs)),
        (2, Err(Errno::Inval)),
        (3, Err(Errno::Inval)),
        (4, Err(Errno::Io)),
    ];
    assert_eq!(results, expected);
    drives.submit(SimTime::ZERO, 0, 5, read(1024, 512), &pool);
    let line = drives.pop_until(SimTime::secs(1)).unwrap().line.unwrap();
    let said = "local disk c0t0d0: memory: read of 512 bytes at 0x400: the medium is broken";
    assert_eq!(line, said);
}

#[test]
fn a_disk_that_takes_writes_or_is_at_work_is_in_no_checkpoint() {
    let pool = Pool::<Nothing>::new(1);
    let store = MemoryStore::new(vec![0; 512]);
    let why = one(&store, false).check_save().unwrap_err();
    assert!(why.starts_with("local disk c0t0d0 takes writes"), "{why}");
    let mut drives = one(&store, true);
    assert_eq!(drives.check_save(), Ok(()));
    drives.submit(SimTime::ZERO, 0, 1, read(0, 512), &pool);
    assert_eq!(drives.check_save(), Err("a local disk is at work".to_owned()));
}

fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ldomlab-disks-{}-{name}", std::process::id()))
}

#[test]
fn a_file_is_a_disk_alone() {
    let path = place("alone");
    std::fs::write(&path, vec![5; 1024]).unwrap();
    let one = FileStore::open(&path, false).unwrap();
    assert!(matches!(FileStore::open(&path, false), Err(OpenError::InUse)));
    assert!(matches!(FileStore::open(&path, true), Err(OpenError::InUse)));
    assert_eq!(one.bytes(), 1024);
    one.write(512, &[6; 512]).unwrap();
    one.flush().unwrap();
    drop(one);
    let (one, two) = (FileStore::open(&path, true).unwrap(), FileStore::open(&path, true).unwrap());
    let mut data = [0; 2];
    one.read(511, &mut data).unwrap();
    assert_eq!(data, [5, 6]);
    assert!(two.write(0, &[1]).is_err());
    assert!(two.read(1023, &mut data).is_err());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_file_that_is_no_disk_is_refused_with_its_reason() {
    let path = place("odd");
    std::fs::write(&path, [0; 513]).unwrap();
    let why = FileStore::open(&path, false).unwrap_err().to_string();
    assert_eq!(why, "it has 513 bytes; a disk has blocks of 512, one at least");
    std::fs::write(&path, []).unwrap();
    assert!(matches!(FileStore::open(&path, true), Err(OpenError::Size(0))));
    assert!(matches!(FileStore::open(&std::env::temp_dir(), true), Err(OpenError::Folder)));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(FileStore::open(&path, true), Err(OpenError::Host(_))));
}

#[test]
fn three_terabytes_are_reached_to_the_last_block() {
    let path = place("large");
    let file = std::fs::File::create(&path).unwrap();
    let bytes = 3 << 40;
    if file.set_len(bytes).is_err() {
        // This file system has no such files.
        std::fs::remove_file(&path).unwrap();
        return;
    }
    let pool = Pool::<Nothing>::new(1);
    let mut drives = Drives::default();
    let store = FileStore::open(&path, false).unwrap();
    drives.add(Drive::new("c0t0d0", "large", Box::new(store), false, MODEL));
    assert_eq!(drives.list()[0].bytes, bytes);
    drives.submit(SimTime::ZERO, 0, 1, write(bytes - 512, &[7; 512]), &pool);
    drives.submit(SimTime::ZERO, 0, 2, read(bytes - 1024, 1024), &pool);
    drives.submit(SimTime::ZERO, 0, 3, read(bytes - 512, 1024), &pool);
    let ended = all(&mut drives);
    // The last is refused at once.
    let end = |wanted| ended.iter().find(|(_, token, _)| *token == wanted).map(|(.., end)| end);
    assert_eq!(end(1), Some(&Ok(Vec::new())));
    assert_eq!(end(2), Some(&Ok([[0; 512], [7; 512]].concat())));
    assert_eq!(end(3), Some(&Err(Errno::Inval)));
    std::fs::remove_file(&path).unwrap();
}
