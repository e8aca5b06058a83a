//! A mark that distinguishes a child made by `fork` from the process that made the mark.
//!
//! A client that is used on both sides of a `fork` would write two interleaved TLS streams into one
//! socket. Asking `getpid` before every report would cost a system call each; a page that the kernel
//! wipes in the child (`MADV_WIPEONFORK`, Linux 4.14) costs one read. Where the kernel does not know
//! the flag, the process id is compared instead.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Made in one process; [`ForkMark::is_forked`] is true in every child that process forks afterwards.
#[derive(Debug)]
pub struct ForkMark {
    mark: Mark,
}

#[derive(Debug)]
enum Mark {
    /// A page that reads 1 here and 0 in a child.
    #[cfg_attr(miri, expect(dead_code, reason = "Miri has no such page"))]
    Page { page: NonNull<AtomicU32>, length: usize },
    /// The id of the process that made the mark.
    ProcessId(u32),
}

// SAFETY: the page is only ever read and written through an atomic, stays mapped until the mark is
// dropped, and belongs to the mark alone.
unsafe impl Send for ForkMark {}
// SAFETY: as above; shared readers only load the atomic.
unsafe impl Sync for ForkMark {}

impl ForkMark {
    /// Marks the current process.
    pub fn new() -> Self {
        let mark = wiped_page().unwrap_or_else(|| Mark::ProcessId(std::process::id()));
        ForkMark { mark }
    }

    /// Whether this process was forked from the one that made the mark.
    pub fn is_forked(&self) -> bool {
        match self.mark {
            // SAFETY: the page is mapped and aligned for as long as the mark lives.
            Mark::Page { page, .. } => unsafe { page.as_ref() }.load(Ordering::Relaxed) == 0,
            Mark::ProcessId(id) => id != std::process::id(),
        }
    }
}

impl Default for ForkMark {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ForkMark {
    fn drop(&mut self) {
        if let Mark::Page { page, length } = self.mark {
            // SAFETY: the pointer and length are those that mmap gave; nothing refers to the page after
            // the mark. A failure would leak one page; there is no way to report it.
            unsafe { libc::munmap(page.as_ptr().cast(), length) };
        }
    }
}

#[cfg(all(not(miri), any(target_os = "linux", target_os = "android")))]
fn wiped_page() -> Option<Mark> {
    // SAFETY: sysconf only reads a constant of the system.
    let length = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory that is in use.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return None;
    }
    let page = NonNull::new(address.cast::<AtomicU32>())?;
    // SAFETY: the range is the mapping made above, and nobody else knows it.
    if unsafe { libc::madvise(address, length, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: as in `drop`.
        unsafe { libc::munmap(address, length) };
        return None;
    }
    // SAFETY: the page is mapped, writable and aligned to far more than four bytes.
    unsafe { page.as_ref() }.store(1, Ordering::Relaxed);
    Some(Mark::Page { page, length })
}

/// Other systems, and Miri, have no page that is wiped.
#[cfg(not(all(not(miri), any(target_os = "linux", target_os = "android"))))]
fn wiped_page() -> Option<Mark> {
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Held by tests that fork, and by those that look at what a forked child of another would keep open.
    pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    /// What `mark` says in a child; the child only reads the mark and leaves.
    fn forked_in_child(mark: &ForkMark) -> bool {
        // SAFETY: the child calls nothing but an atomic load, getpid and _exit, all async-signal-safe.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork failed");
        if child == 0 {
            // SAFETY: leaves the child at once, without running the test harness's exit handlers.
            unsafe { libc::_exit(if mark.is_forked() { 42 } else { 0 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above; `status` is a valid output.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 42
    }

    #[test]
    fn a_child_sees_the_fork_and_the_parent_does_not() {
        let _no_locks = ONE_AT_A_TIME.lock();
        for mark in [ForkMark::new(), ForkMark { mark: Mark::ProcessId(std::process::id()) }] {
            assert!(!mark.is_forked());
            assert!(forked_in_child(&mark), "{mark:?}");
            assert!(!mark.is_forked());
        }
    }
}
