//! Time since this machine started, its sleep included, and which start it was.

use std::time::Duration;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::{fs::File, io::Read};

/// The time since the machine started (`CLOCK_BOOTTIME`), which runs on while it is suspended and is never set.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a place for the answer. The call fails only for a clock that a kernel before 2.6.39 lacks,
    // and then leaves zero.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now) };
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A number that the kernel draws at each start; `None` where it cannot be read, as without `/proc`.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn id() -> Option<[u8; 16]> {
    let mut text = [0; 36];
    File::open("/proc/sys/kernel/random/boot_id").ok()?.read_exact(&mut text).ok()?;
    let (mut id, mut digits) = ([0; 16], 0);
    for character in text.iter().filter(|character| **character != b'-') {
        let digit = char::from(*character).to_digit(16)? as u8;
        let byte: &mut u8 = id.get_mut(digits / 2)?;
        *byte = (*byte << 4) | digit;
        digits += 1;
    }
    (digits == 32).then_some(id)
}

/// Elsewhere: the time since this was first asked. Without an [`id`], every process counts as a start.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn time() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

/// Elsewhere: not known.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn id() -> Option<[u8; 16]> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_the_start_stays() {
        let before = time();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let after = time();
        assert!(before <= after);
        assert!(before.as_secs_f64() <= seconds + 0.02 && seconds <= after.as_secs_f64() + 0.02, "{uptime}");
        assert_eq!(id(), id());
        assert_ne!(id(), Some([0; 16]));
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let digits: String = id().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text.trim().replace('-', ""), digits);
    }
}
