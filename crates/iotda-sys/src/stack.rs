//! Where a call's stack begins.
//!
//! Compiled code takes the stack for aligned to 16 bytes. musl up to 1.2.5 begins a thread on 64-bit RISC-V at a multiple of
//! 8, if the size of the program's thread-local storage has it so: its clone.s rounds the address down on the other
//! processors, and on this one in later versions. On such a thread AES-GCM, for one, writes the end of every second record
//! to the wrong place, and the server drops the connection (`bad_record_mac`).

/// Runs `body` on this thread's stack, at a multiple of 16 bytes. A panic goes on behind it.
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
