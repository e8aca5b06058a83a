//! Time since this machine started, its sleep included, and which start it was.

use std::time::Duration;

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
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: Vec<u8> = text.trim().bytes().filter(|byte| *byte != b'-').collect();
    let mut id = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
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
    }
}
