//! The alignment of a call's stack.
//!
//! Compilers assume that the stack pointer is a multiple of 16. On 64-bit RISC-V, musl up to 1.2.5 may start a thread with
//! one that is only a multiple of 8, depending on the size of the program's thread-local storage: its clone.s does not round
//! it down, as later versions and the other processors' do. On such a thread AES-GCM, for example, corrupts the last block of
//! about half of all records, and the server closes the connection (`bad_record_mac`).

/// Runs `body` with the stack pointer at a multiple of 16. A panic in it unwinds through this call.
#[inline]
pub fn aligned(body: impl FnMut()) {
    #[cfg(all(target_arch = "riscv64", target_env = "musl"))]
    riscv::aligned(body);
    #[cfg(not(all(target_arch = "riscv64", target_env = "musl")))]
    {
        let mut body = body;
        body();
    }
}

#[cfg(all(target_arch = "riscv64", target_env = "musl"))]
mod riscv {
    use std::arch::asm;
    use std::ffi::c_void;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::thread;

    struct Run<'a> {
        body: &'a mut dyn FnMut(),
        result: thread::Result<()>,
    }

    pub(super) fn aligned(mut body: impl FnMut()) {
        let mut call = Run { body: &mut body, result: Ok(()) };
        // SAFETY: the stack pointer is lowered by less than 16 bytes, below which nothing is kept, and has its value again
        // at the end: `s2` is the callee's to restore. `run` is called as a C function with what it demands, and does not
        // unwind.
        unsafe {
            asm!(
                "mv s2, sp",
                "andi sp, sp, -16",
                "jalr {run}",
                "mv sp, s2",
                run = in(reg) run as extern "C" fn(*mut c_void),
                inout("a0") (&raw mut call).cast::<c_void>() => _,
                out("s2") _,
                clobber_abi("C"),
            );
        }
        if let Err(panic) = call.result {
            resume_unwind(panic);
        }
    }

    extern "C" fn run(call: *mut c_void) {
        // SAFETY: `aligned` passes a `Run` that it does not touch meanwhile.
        let call = unsafe { &mut *call.cast::<Run<'_>>() };
        call.result = catch_unwind(AssertUnwindSafe(&mut *call.body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn the_body_runs_once_and_its_panic_goes_on() {
        let mut runs = 0;
        aligned(|| runs += 1);
        assert_eq!(runs, 1);
        let panic = catch_unwind(AssertUnwindSafe(|| aligned(|| std::panic::panic_any(7)))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&7));
    }
}
