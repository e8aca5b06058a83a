//! What is counted of files that cannot be read, or not in whole.

use super::super::tests::scripted::{Stand, accept, manner};
use super::*;

#[test]
fn files_and_entries_that_cannot_be_read_are_counted() {
    let stand = Stand::new(1 << 20, manner(), Box::new(accept));
    for text in ["first", "second", "third"] {
        stand.message("device", text).unwrap();
    }
    stand.worker.engine.commit(true, None).unwrap();
    let inspected = || {
        let mut bodies = Vec::new();
        let storage = Arc::new(stand.storage.clone());
        let directory = Path::new("outbox");
        let found = read(storage, directory, Inspection::default(), &[], &mut |entry| bodies.push(entry.body)).unwrap();
        ((found.waiting, found.damaged, found.unreadable), bodies)
    };
    assert_eq!(inspected(), ((3, 0, 0), vec![b"first".to_vec(), b"second".to_vec(), b"third".to_vec()]));
    // The file is read once, and each entry once more.
    let files = stand.storage.files().len();
    stand.storage.fail_read(Some(stand.storage.read_calls() + files + 2));
    assert_eq!(inspected(), ((2, 1, 0), vec![b"first".to_vec(), b"third".to_vec()]));
    for name in stand.storage.files().keys() {
        stand.storage.spoil(name, 0);
    }
    assert_eq!(inspected(), ((0, 0, files as u64), vec![]));
}

#[test]
fn what_reads_alone_writes_nothing() {
    let files = ReadOnly(PathBuf::from("."));
    let file = ReadOnlyFile(File::open(std::env::current_exe().unwrap()).unwrap());
    let read_only = |error: io::Error| error.kind() == io::ErrorKind::ReadOnlyFilesystem;
    assert!(files.create("x").err().is_some_and(read_only) && files.unlink("x").is_err_and(read_only));
    assert!(file.write_at(b"x", 0).is_err_and(read_only) && file.set_length(0).is_err_and(read_only));
    assert!(!files.zeros_reserve(), "nothing is filled with zeros");
}
