//! A second Rust library for the same program, with its own copy of the standard library: it panics, and catches
//! it, on a thread of its own as well.

use std::panic;
use std::thread;

/// Panics as often as asked to, and returns how many of the panics it caught with their values.
#[unsafe(no_mangle)]
pub extern "C" fn other_panics(times: u32) -> u32 {
    panic::set_hook(Box::new(|_| {}));
    let mut caught = 0;
    for number in 0..times {
        let here = panic::catch_unwind(|| panic::panic_any(number));
        let there = thread::spawn(move || panic::panic_any(number)).join();
        let values = [here, there].map(|end| end.err().and_then(|value| value.downcast_ref::<u32>().copied()));
        caught += u32::from(values == [Some(number); 2]);
    }
    caught
}
