use super::{Effect, Export, MOUNT, NFS, Status};
use crate::lab::nas::fence;
use crate::lab::nas::image::{BLOCK_BYTES, Image};
use crate::lab::nas::rpc::{Answer, Call};
use crate::lab::nas::xdr::{Reader, Writer};
use proptest::prelude::{any, prop, proptest};
use sun4v::time::SimTime;

fn export() -> Export {
    let mut export = Export::new("/export", 0x77);
    export.add("a.img", Image::new(1, 10 * BLOCK_BYTES as u64));
    export.add("b.img", Image::new(1, 10 * BLOCK_BYTES as u64));
    export
}

/// Results of a call that must be answered.
fn call(export: &mut Export, program: u32, procedure: u32, arguments: &Writer) -> Vec<u8> {
    match serve(export, program, 3, procedure, &arguments.0).0 {
        Answer::Results(results) => results,
        _ => panic!("program {program} refused procedure {procedure}"),
    }
}

fn serve(
    export: &mut Export,
    program: u32,
    version: u32,
    procedure: u32,
    arguments: &[u8],
) -> (Answer, Effect) {
    let arguments = Reader::new(arguments);
    export.serve(Call { xid: 1, program, version, procedure, arguments }, SimTime::secs(2))
}

fn mount(export: &mut Export, path: &str) -> Result<Vec<u8>, u32> {
    let mut arguments = Writer::default();
    arguments.opaque(path.as_bytes());
    let results = call(export, MOUNT, 1, &arguments);
    let mut reader = Reader::new(&results);
    match reader.u32().unwrap() {
        0 => Ok(reader.opaque(64).unwrap().to_vec()),
        status => Err(status),
    }
}

fn lookup(export: &mut Export, folder: &[u8], name: &str) -> Result<Vec<u8>, u32> {
    let mut arguments = Writer::default();
    arguments.opaque(folder).opaque(name.as_bytes());
    let results = call(export, NFS, 3, &arguments);
    let mut reader = Reader::new(&results);
    match reader.u32().unwrap() {
        0 => Ok(reader.opaque(64).unwrap().to_vec()),
        status => Err(status),
    }
}

/// Status, the attributes' size field if they follow, and the rest.
fn head(results: &[u8]) -> (u32, Option<u64>, Reader<'_>) {
    let mut reader = Reader::new(results);
    let status = reader.u32().unwrap();
    let size = (reader.u32().unwrap() == 1).then(|| attributes(&mut reader));
    (status, size, reader)
}

/// `fattr3`; its size.
fn attributes(reader: &mut Reader<'_>) -> u64 {
    (0..5).for_each(|_| {
        reader.u32().unwrap();
    });
    let size = reader.u64().unwrap();
    (0..7).for_each(|_| {
        reader.u64().unwrap();
    });
    size
}

#[test]
fn a_client_mounts_finds_reads_and_writes() {
    let mut export = export();
    let folder = mount(&mut export, "/export/").unwrap();
    let file = lookup(&mut export, &folder, "b.img").unwrap();

    let mut arguments = Writer::default();
    arguments.opaque(&file).u64(8000).u32(5).u32(0).opaque(b"hello");
    let results = call(&mut export, NFS, 7, &arguments);
    let mut reader = Reader::new(&results);
    assert_eq!((reader.u32(), reader.u32(), reader.u32()), (Ok(0), Ok(0), Ok(1)));
    assert_eq!(attributes(&mut reader), 10 * BLOCK_BYTES as u64);
    // Five bytes, FILE_SYNC, the verifier.
    assert_eq!((reader.u32(), reader.u32(), reader.u64()), (Ok(5), Ok(2), Ok(0x77)));

    let mut arguments = Writer::default();
    arguments.opaque(&file).u64(7999).u32(7);
    let results = call(&mut export, NFS, 6, &arguments);
    let (status, size, mut reader) = head(&results);
    assert_eq!((status, size), (0, Some(10 * BLOCK_BYTES as u64)));
    assert_eq!((reader.u32(), reader.u32()), (Ok(7), Ok(0)));
    assert_eq!(&reader.opaque(99).unwrap()[1..6], b"hello");
    assert_eq!(export.files()[1].used.reads, 1);
    assert_eq!(export.files()[0].image.written_blocks(), 0);
    assert_eq!(export.files()[1].image.written_blocks(), 1);
}

#[test]
fn a_read_at_the_end_is_short_and_says_so() {
    let mut export = export();
    let folder = mount(&mut export, "/export").unwrap();
    let file = lookup(&mut export, &folder, "a.img").unwrap();
    for (offset, count, expected) in [(81_910, 100, 10), (81_920, 100, 0), (u64::MAX, 100, 0)] {
        let mut arguments = Writer::default();
        arguments.opaque(&file).u64(offset).u32(count);
        let results = call(&mut export, NFS, 6, &arguments);
        let (_, _, mut reader) = head(&results);
        assert_eq!((reader.u32(), reader.u32()), (Ok(expected), Ok(1)));
    }
}

#[test]
fn what_is_wrong_has_its_status() {
    let mut export = export();
    assert_eq!(mount(&mut export, "/other"), Err(2));
    assert_eq!(mount(&mut export, "/export/a.img"), Err(20));
    let folder = mount(&mut export, "/export").unwrap();
    let file = lookup(&mut export, &folder, "a.img").unwrap();
    assert_eq!(lookup(&mut export, &folder, "c.img"), Err(Status::NoEnt as u32));
    assert_eq!(lookup(&mut export, &file, "a.img"), Err(Status::NotDir as u32));
    let long = "x".repeat(256);
    assert_eq!(lookup(&mut export, &folder, &long), Err(Status::NameTooLong as u32));
    assert_eq!(lookup(&mut export, b"foreign", "a.img"), Err(Status::BadHandle as u32));
    let mut stale = file.clone();
    stale[15] = 9;

    let mut read = |handle: &[u8]| {
        let mut arguments = Writer::default();
        arguments.opaque(handle).u64(0).u32(1);
        let results = call(&mut export, NFS, 6, &arguments);
        head(&results).0
    };
    assert_eq!(read(&stale), Status::Stale as u32);
    assert_eq!(read(&folder), Status::IsDir as u32);

    let mut write = |offset: u64, count: u32, bytes: &[u8]| {
        let mut arguments = Writer::default();
        arguments.opaque(&file).u64(offset).u32(count).u32(2).opaque(bytes);
        let results = call(&mut export, NFS, 7, &arguments);
        Reader::new(&results).u32().unwrap()
    };
    assert_eq!(write(81_915, 6, b"123456"), Status::FBig as u32);
    assert_eq!(write(0, 6, b"12345"), Status::Inval as u32);
    assert_eq!(export.files()[0].image.written_blocks(), 0);
}

#[test]
fn programs_versions_and_procedures_that_do_not_exist_are_said_so() {
    let mut export = export();
    assert!(matches!(serve(&mut export, 5, 3, 0, &[]).0, Answer::NoProgram));
    assert!(matches!(serve(&mut export, NFS, 4, 0, &[]).0, Answer::NoVersion(3, 3)));
    assert!(matches!(serve(&mut export, NFS, 3, 8, &[]).0, Answer::NoProcedure));
    assert!(matches!(serve(&mut export, NFS, 3, 6, &[0; 3]).0, Answer::Garbage));
    assert!(matches!(serve(&mut export, MOUNT, 3, 9, &[]).0, Answer::NoProcedure));
    for program in [NFS, MOUNT] {
        assert!(matches!(serve(&mut export, program, 3, 0, &[]).0, Answer::Results(_)));
    }
}

proptest! {
    #[test]
    fn no_arguments_make_it_panic(
        procedure in 0..25_u32,
        tail in prop::collection::vec(any::<u8>(), 0..80),
        good_handle in any::<bool>(),
    ) {
        let mut export = export();
        let mut arguments = Writer::default();
        if good_handle {
            let folder = mount(&mut export, "/export").unwrap();
            arguments.opaque(&lookup(&mut export, &folder, "a.img").unwrap());
        }
        arguments.0.extend(tail);
        serve(&mut export, NFS, 3, procedure, &arguments.0);
        serve(&mut export, MOUNT, 3, procedure, &arguments.0);
    }
}

const DOMAIN: &str = "0c0ffee0-0000-4000-8000-000000000001";

fn claim(export: &mut Export, handle: &[u8], uuid: &str, epoch: u64) -> Result<Vec<u8>, u32> {
    let mut arguments = Writer::default();
    arguments.opaque(handle).opaque(uuid.as_bytes()).u64(epoch);
    let Answer::Results(results) = serve(export, fence::PROGRAM, 1, 1, &arguments.0).0 else {
        panic!("no results")
    };
    let mut reader = Reader::new(&results);
    match reader.u32().unwrap() {
        0 => Ok(reader.opaque(64).unwrap().to_vec()),
        status => Err(status),
    }
}

#[test]
fn an_older_claim_is_stale_and_changes_nothing() {
    let mut export = export();
    let folder = mount(&mut export, "/export").unwrap();
    let file = lookup(&mut export, &folder, "a.img").unwrap();
    let stale = Status::Stale as u32;
    let write = |export: &mut Export, handle: &[u8], byte: u8| {
        let mut arguments = Writer::default();
        arguments.opaque(handle).u64(0).u32(4).u32(2).opaque(&[byte; 4]);
        let (answer, effect) = serve(export, NFS, 3, 7, &arguments.0);
        let Answer::Results(results) = answer else { panic!("no results") };
        (
            Reader::new(&results).u32().unwrap(),
            effect.refused.map(|(n, own, at)| (n, own.epoch, at)),
        )
    };
    let first = claim(&mut export, &file, DOMAIN, 1).unwrap();
    assert_eq!(write(&mut export, &first, 1), (0, None));
    let second = claim(&mut export, &file, DOMAIN, 2).unwrap();
    assert_eq!(write(&mut export, &second, 2), (0, None));
    assert_eq!(write(&mut export, &first, 3), (stale, Some((0, 1, 2))));
    assert_eq!(write(&mut export, &first, 4), (stale, None), "it is said once");
    // Reads, attributes and commits are no better, nor is another claim at that epoch.
    for procedure in [1, 4, 6, 21] {
        let mut arguments = Writer::default();
        arguments.opaque(&first).u64(0).u32(1);
        let results = call(&mut export, NFS, procedure, &arguments);
        assert_eq!(Reader::new(&results).u32(), Ok(stale));
    }
    assert_eq!(claim(&mut export, &file, DOMAIN, 1), Err(stale));
    assert_eq!(export.files()[0].image.read(0, 4), [2; 4]);
    // A domain that shares the image, another image, and whoever claims nothing.
    let other = claim(&mut export, &file, &DOMAIN.replace("01", "02"), 1).unwrap();
    let beside = lookup(&mut export, &folder, "b.img").unwrap();
    let beside = claim(&mut export, &beside, DOMAIN, 1).unwrap();
    for handle in [&other, &beside, &file] {
        assert_eq!(write(&mut export, handle, 5), (0, None));
    }
    for (handle, uuid) in [(&folder, DOMAIN), (&file, "rover")] {
        assert_eq!(claim(&mut export, handle, uuid, 1), Err(Status::Inval as u32));
    }
    let bad = [&file[..], &[0; 23]].concat();
    assert_eq!(claim(&mut export, &bad, DOMAIN, 1), Err(Status::BadHandle as u32));
}
