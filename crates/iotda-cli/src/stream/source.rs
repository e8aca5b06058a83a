//! Where the bytes of a stream come from: the standard input, a file, or a file that grows (`--follow`), which may be
//! rotated or cut meanwhile. A source is a row of sections: one file from its beginning, or from where the last run
//! stopped.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::position::Position;

/// Between two looks at a file that does not grow.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// As much of a file's beginning distinguishes it from another file that got its number.
pub const HEAD_BYTES: u64 = 4096;

/// A file, as it is found again after a restart.
#[derive(Debug)]
pub struct Section {
    /// As the user names it.
    pub shown: String,
    /// Where it is; `None`: it is no file, and there is nothing to return to.
    pub path: Option<PathBuf>,
    pub device: u64,
    pub inode: u64,
    file: File,
}

impl Section {
    fn of(file: File, path: Option<PathBuf>, shown: &str) -> io::Result<Self> {
        let metadata = file.metadata()?;
        // A pipe or a device has no place to return to.
        let path = path.filter(|_| metadata.is_file());
        Ok(Section { shown: shown.to_owned(), path, device: metadata.dev(), inode: metadata.ino(), file })
    }

    /// A hash of the file's first bytes, of those before `offset`; nothing, if they cannot be read any more.
    pub fn head(&self, offset: u64) -> Option<String> {
        let mut bytes = vec![0; usize::try_from(offset.min(HEAD_BYTES)).ok()?];
        self.file.read_exact_at(&mut bytes, 0).ok()?;
        Some(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The file from its beginning, whatever else reads it.
    pub fn beginning(&self) -> impl Read + '_ {
        Beginning { file: &self.file, offset: 0 }
    }

    /// Whether a position is one in this file.
    fn holds(&self, position: &Position) -> bool {
        (self.device, self.inode) == (position.device, position.inode)
            && self.file.metadata().is_ok_and(|metadata| metadata.len() >= position.offset)
            && self.head(position.offset).as_deref() == Some(&position.head)
    }
}

struct Beginning<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for Beginning<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// How a section is read.
pub struct Opened {
    pub section: Arc<Section>,
    pub reader: Reader,
    /// Where to begin.
    pub offset: u64,
    /// The number of lines before that.
    pub lines: u64,
}

/// The sections, one after the other.
pub struct Source {
    /// `None`: the standard input.
    file: Option<PathBuf>,
    follow: bool,
    stop: Arc<AtomicBool>,
    /// The one that was opened first, and has not been handed out.
    next: Option<Opened>,
}

impl Source {
    /// Opens what is named; `-` or nothing is the standard input. Returns a note for the user as well, where the input is
    /// not the one of the last run.
    pub fn open(
        file: Option<&Path>,
        follow: bool,
        stop: Arc<AtomicBool>,
        position: impl FnOnce(&Path) -> Option<Position>,
    ) -> io::Result<(Self, Option<String>)> {
        let file = file.filter(|file| *file != Path::new("-")).map(Path::to_owned);
        let section = match &file {
            Some(path) => Section::of(File::open(path)?, Some(fs::canonicalize(path)?), &path.display().to_string())?,
            None => {
                let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
                Section::of(input, fs::canonicalize("/proc/self/fd/0").ok(), "standard input")?
            }
        };
        let mut source = Source { file, follow, stop, next: None };
        let last = section.path.as_deref().and_then(position);
        let (opened, note) = match last {
            None => (source.begin(section)?, None),
            Some(last) if section.holds(&last) => (source.resume(section, &last)?, None),
            Some(last) => match source.rotated(&section, &last) {
                // What was not read of it comes first, and then the one that took its name.
                Some(old) if follow => (source.resume(old, &last)?, None),
                _ => {
                    let note =
                        format!("{} is not the file of the last run: it is read from its beginning", section.shown);
                    (source.begin(section)?, Some(note))
                }
            },
        };
        source.next = Some(opened);
        Ok((source, note))
    }

    /// The next section; `None`: there is none, or the stream is to stop.
    pub fn next(&mut self) -> io::Result<Option<Opened>> {
        if let Some(opened) = self.next.take() {
            return Ok(Some(opened));
        }
        let Some(path) = self.file.clone().filter(|_| self.follow) else { return Ok(None) };
        // Between the renaming of the old file and the making of the new one there is none.
        while !self.stop.load(Ordering::SeqCst) {
            match File::open(&path) {
                Ok(file) => {
                    let section = Section::of(file, Some(fs::canonicalize(&path)?), &path.display().to_string())?;
                    return self.begin(section).map(Some);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => thread::sleep(LOOK_AGAIN),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn begin(&self, section: Section) -> io::Result<Opened> {
        let file = section.file.try_clone()?;
        Ok(self.opened(section, file, 0, 0))
    }

    fn resume(&self, section: Section, position: &Position) -> io::Result<Opened> {
        let mut file = section.file.try_clone()?;
        file.seek(SeekFrom::Start(position.offset))?;
        Ok(self.opened(section, file, position.offset, position.lines))
    }

    fn opened(&self, section: Section, file: File, offset: u64, lines: u64) -> Opened {
        let followed = self.file.clone().filter(|_| self.follow && section.path.is_some());
        let (device, inode) = (section.device, section.inode);
        let reader = Reader {
            file,
            followed,
            stop: Arc::clone(&self.stop),
            device,
            inode,
            offset,
            ends_a_line: true,
            is_stopped: false,
        };
        Opened { section: Arc::new(section), reader, offset, lines }
    }

    /// The file of the last run under another name in the same directory, as log rotation leaves it.
    fn rotated(&self, section: &Section, last: &Position) -> Option<Section> {
        let directory = section.path.as_deref()?.parent()?;
        let entries = fs::read_dir(directory).ok()?.filter_map(Result::ok);
        let found = entries.filter(|entry| {
            entry.metadata().is_ok_and(|about| (about.dev(), about.ino()) == (last.device, last.inode))
        });
        let path = section.path.clone();
        let candidates = found.filter_map(|entry| {
            Section::of(File::open(entry.path()).ok()?, path.clone(), &entry.path().display().to_string()).ok()
        });
        candidates.into_iter().find(|candidate| candidate.holds(last))
    }
}

/// Reads one section to its end: of a file that is followed, until it was rotated or cut, or the stream is to stop.
pub struct Reader {
    file: File,
    followed: Option<PathBuf>,
    stop: Arc<AtomicBool>,
    device: u64,
    inode: u64,
    offset: u64,
    ends_a_line: bool,
    is_stopped: bool,
}

impl Reader {
    /// Whether the end of what was read may be in the midst of a line that is still being written.
    pub fn is_cut_off(&self) -> bool {
        self.is_stopped
    }

    /// Whether a line that ends at `end` is the last one and has no end of its own.
    pub fn is_unended(&self, end: u64) -> bool {
        !self.ends_a_line && end == self.offset
    }

    /// Whether the name leads to another file by now, or the file was cut.
    fn is_over(&self, named: &io::Result<Metadata>) -> bool {
        match named {
            Ok(about) => (about.dev(), about.ino()) != (self.device, self.inode) || about.len() < self.offset,
            Err(_) => true,
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Before the end is looked for: what is written until the name changes hands is read.
            let over = self.followed.as_ref().map(|path| self.is_over(&fs::metadata(path)));
            let read = match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            self.offset += read as u64;
            if let Some(last) = buffer[..read].last() {
                self.ends_a_line = *last == b'\n';
            }
            if read > 0 || over.unwrap_or(true) {
                return Ok(read);
            }
            if self.stop.load(Ordering::SeqCst) {
                self.is_stopped = true;
                return Ok(0);
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("iotda-source-{}-{name}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Scratch(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn open(path: &Path, follow: bool, stop: bool, last: Option<&Position>) -> (Source, Option<String>) {
        let stop = Arc::new(AtomicBool::new(stop));
        Source::open(Some(path), follow, stop, |_| last.cloned()).unwrap()
    }

    fn all(source: &mut Source) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(mut opened) = source.next().unwrap() {
            let mut text = String::new();
            opened.reader.read_to_string(&mut text).unwrap();
            texts.push(text);
        }
        texts
    }

    fn position(opened: &Opened, offset: u64) -> Position {
        Position::of(&opened.section, offset, 1).unwrap()
    }

    #[test]
    fn a_file_is_resumed_where_it_was_left_and_another_one_is_not() {
        let scratch = Scratch::new("resume");
        let path = scratch.0.join("in");
        fs::write(&path, "one\ntwo\n").unwrap();
        let (mut source, _) = open(&path, false, false, None);
        let last = position(&source.next().unwrap().unwrap(), 4);
        let (mut again, note) = open(&path, false, false, Some(&last));
        assert_eq!((all(&mut again), note), (vec!["two\n".to_owned()], None));
        // The same file with another beginning, or shorter than before, is another one.
        for text in ["ONE\ntwo\n", "on"] {
            fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
            let (mut other, note) = open(&path, false, false, Some(&last));
            assert_eq!(all(&mut other), [text]);
            assert!(note.unwrap().contains("from its beginning"));
        }
    }

    #[test]
    fn a_file_that_was_rotated_between_two_runs_is_read_to_its_end_first() {
        let scratch = Scratch::new("rotated");
        let path = scratch.0.join("log");
        fs::write(&path, "one\ntwo\n").unwrap();
        let (mut source, _) = open(&path, true, true, None);
        let last = position(&source.next().unwrap().unwrap(), 4);
        fs::rename(&path, scratch.0.join("log.1")).unwrap();
        fs::write(&path, "three\n").unwrap();
        let (mut again, note) = open(&path, true, false, Some(&last));
        assert_eq!(note, None);
        let mut first = again.next().unwrap().unwrap();
        let mut text = String::new();
        first.reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "two\n");
        let second = again.next().unwrap().unwrap();
        assert_eq!((second.offset, second.section.inode), (0, fs::metadata(&path).unwrap().ino()));
    }

    #[test]
    fn a_followed_file_that_is_cut_or_replaced_ends_its_section() {
        let scratch = Scratch::new("cut");
        let path = scratch.0.join("log");
        fs::write(&path, "one\n").unwrap();
        let (mut source, _) = open(&path, true, false, None);
        let mut opened = source.next().unwrap().unwrap();
        let mut buffer = [0; 64];
        assert_eq!(opened.reader.read(&mut buffer).unwrap(), 4);
        fs::write(&path, "x\n").unwrap();
        assert_eq!(opened.reader.read(&mut buffer).unwrap(), 0);
        assert!(!opened.reader.is_cut_off());
        let mut opened = source.next().unwrap().unwrap();
        assert_eq!(opened.reader.read(&mut buffer).unwrap(), 2);
        source.stop.store(true, Ordering::SeqCst);
        assert_eq!(opened.reader.read(&mut buffer).unwrap(), 0);
        assert!(opened.reader.is_cut_off());
        assert!(source.next().unwrap().is_none());
    }
}
