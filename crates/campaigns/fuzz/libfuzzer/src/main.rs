//! One program for all targets, so that it is built once: `IOTDA_FUZZ_TARGET` names the target.

#![no_main]

use std::sync::OnceLock;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let run = TARGET.get_or_init(|| {
        let name = std::env::var("IOTDA_FUZZ_TARGET").expect("IOTDA_FUZZ_TARGET names the target");
        fuzz::TARGETS.iter().find(|target| target.name == name).expect("there is such a target").run
    });
    run(data);
});
