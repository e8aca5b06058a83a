//! The targets without libFuzzer: on the kept inputs, and on changed ones, the same in each run.
//! `IOTDA_FUZZ_TRIED` is how many of these, `IOTDA_FUZZ_SEED` another beginning.

use fuzz::{TARGETS, kept};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("there is such a target");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let kept = kept::read(&text);
    assert!(kept.len() > 3, "{name} has no kept inputs");
    for input in &kept {
        one(target, input);
    }
    let mut random = Random(number("IOTDA_FUZZ_SEED").unwrap_or(1));
    for _ in 0..number("IOTDA_FUZZ_TRIED").map_or(target.tried, |tried| tried as usize) {
        one(target, &random.changed(&kept));
    }
}

fn one(target: &fuzz::Target, input: &[u8]) {
    let run = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    assert!(run.is_ok(), "{} fails, for the reason above, with this input:\n{}", target.name, kept::line(input));
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// A generator of Marsaglia's kind (xorshift64*), with the usual changes of a fuzzer.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit.max(1)
    }

    fn changed(&mut self, kept: &[Vec<u8>]) -> Vec<u8> {
        let mut input = kept[self.below(kept.len())].clone();
        for _ in 0..1 + self.below(4) {
            let at = self.below(input.len() + 1);
            let end = at + self.below(input.len() - at + 1).min(16);
            match self.below(7) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => input[at] = self.next() as u8,
                2 => drop(input.drain(at..end)),
                3 => drop(input.splice(at..at, input[at..end].to_vec())),
                4 => input.truncate(at),
                5 => input.insert(at, b"{}[]\",:\\0\r\n -9"[self.below(14)]),
                _ => {
                    let other = &kept[self.below(kept.len())];
                    let from = self.below(other.len() + 1);
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
            }
        }
        input.truncate(64 * 1024);
        input
    }
}

macro_rules! replayed {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn each_target_is_replayed() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

replayed!(json answers documents settings properties batch c_calls stand_in outbox);
