//! Files whose descriptors can all be closed at once, behind shared references and without a mutex: what a child made
//! by `fork` needs, in which another thread may hold any mutex for ever.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

/// No descriptor: there was none yet, or it is closed.
const CLOSED: i32 = -1;

/// `EBADF`, which is what the kernel says of a descriptor that is closed.
const NOT_OPEN: i32 = libc::EBADF;

const SLOTS: usize = 32;

/// The descriptors of a set of files.
#[derive(Debug, Default)]
pub struct Descriptors {
    first: Block,
}

/// Slots that are used again, and more where these are not enough. Blocks are never freed before the set is.
#[derive(Debug)]
struct Block {
    slots: [AtomicI32; SLOTS],
    next: OnceLock<Box<Block>>,
}

impl Default for Block {
    fn default() -> Self {
        Block { slots: [const { AtomicI32::new(CLOSED) }; SLOTS], next: OnceLock::new() }
    }
}

/// One file of a set. It is closed when this is dropped, or with all others by [`Descriptors::close_all`].
#[derive(Debug)]
pub struct Kept {
    set: Arc<Descriptors>,
    slot: usize,
}

impl Descriptors {
    /// Takes a file into the set.
    pub fn keep(self: &Arc<Self>, file: File) -> Kept {
        let descriptor = file.into_raw_fd();
        let (mut block, mut before) = (&self.first, 0);
        loop {
            for (index, slot) in block.slots.iter().enumerate() {
                if slot.compare_exchange(CLOSED, descriptor, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    return Kept { set: Arc::clone(self), slot: before + index };
                }
            }
            block = block.next.get_or_init(Box::default);
            before += SLOTS;
        }
    }

    /// Closes this process's copies of all descriptors. Takes no mutex and allocates nothing: it may be called in a
    /// child made by `fork`, and only there: no other thread may be using a file of the set.
    pub fn close_all(&self) {
        let mut block = Some(&self.first);
        while let Some(Block { slots, next }) = block {
            slots.iter().for_each(close);
            block = next.get().map(|next| &**next);
        }
    }

    fn slot(&self, slot: usize) -> Option<&AtomicI32> {
        let mut block = &self.first;
        for _ in 0..slot / SLOTS {
            block = block.next.get()?;
        }
        block.slots.get(slot % SLOTS)
    }
}

impl Kept {
    /// Runs `body` on the file; `EBADF` if it is closed.
    pub fn with<T>(&self, body: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let descriptor = self.set.slot(self.slot).map_or(CLOSED, |slot| slot.load(Ordering::Acquire));
        if descriptor == CLOSED {
            return Err(io::Error::from_raw_os_error(NOT_OPEN));
        }
        // SAFETY: the descriptor came from `into_raw_fd`. It stays open while `self` is borrowed: it is closed by the drop
        // of `self`, or by `close_all`, which nobody calls while a file is used. `ManuallyDrop` leaves it open.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor) });
        body(&file)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(slot) = self.set.slot(self.slot) {
            close(slot);
        }
    }
}

/// Closes what is in a slot, once.
fn close(slot: &AtomicI32) {
    let descriptor = slot.load(Ordering::Acquire);
    if descriptor != CLOSED {
        // Closed before the slot is free: another file may have the slot then, and the same number.
        // SAFETY: the descriptor came from `into_raw_fd`, and only the owner of the slot, or a child in which no other
        // thread runs, gets here.
        unsafe { libc::close(descriptor) };
        slot.store(CLOSED, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    fn null() -> File {
        File::options().write(true).open("/dev/null").unwrap()
    }

    fn is_open(descriptor: i32) -> bool {
        // SAFETY: only asks whether the number is open.
        unsafe { libc::fcntl(descriptor, libc::F_GETFD) >= 0 }
    }

    fn number(kept: &Kept) -> i32 {
        kept.with(|file| Ok(file.as_raw_fd())).unwrap()
    }

    #[test]
    fn a_file_is_used_and_closed_and_its_slot_used_again() {
        let _no_forks = crate::fork::tests::ONE_AT_A_TIME.lock();
        let set = Arc::new(Descriptors::default());
        let files: Vec<Kept> = (0..SLOTS * 2 + 3).map(|_| set.keep(null())).collect();
        for file in &files {
            assert_eq!(file.with(|mut file| file.write(b"x")).unwrap(), 1);
        }
        let slots: Vec<usize> = files.iter().map(|file| file.slot).collect();
        drop(files);
        let again: Vec<Kept> = (0..slots.len()).map(|_| set.keep(null())).collect();
        assert_eq!(again.iter().map(|file| file.slot).collect::<Vec<_>>(), slots);
    }

    #[test]
    fn a_child_closes_its_copies_of_all_and_the_parent_keeps_its_own() {
        let _no_other_forks = crate::fork::tests::ONE_AT_A_TIME.lock();
        let set = Arc::new(Descriptors::default());
        let files: Vec<Kept> = (0..SLOTS + 2).map(|_| set.keep(null())).collect();
        let numbers: Vec<i32> = files.iter().map(number).collect();
        // SAFETY: the child loads and stores atomics, calls close and fcntl, and leaves by _exit.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork failed");
        if child == 0 {
            set.close_all();
            set.close_all();
            let all_closed = numbers.iter().all(|number| !is_open(*number));
            // SAFETY: leaves the child without running the test harness's exit handlers.
            unsafe { libc::_exit(i32::from(!all_closed)) };
        }
        let mut status = -1;
        // SAFETY: waits for the child made above; `status` is a valid output.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "a descriptor stayed open in the child");
        assert!(files.iter().all(|file| file.with(|mut file| file.write(b"x")).is_ok()));
        set.close_all();
        let error = files[0].with(|_| Ok(())).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(NOT_OPEN));
    }
}
