//! What Linux says about a running process.

use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

/// Open file descriptors.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Resident memory in KiB: now, and at its highest since [`forget_peak`].
pub fn resident(pid: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// The highest resident memory is counted from now on.
pub fn forget_peak(pid: u32) {
    std::fs::write(PathBuf::from(format!("/proc/{pid}/clear_refs")), "5").unwrap();
}

/// Seconds of processor time so far, user and system.
pub fn processor(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    // USER_HZ is 100 on every Linux of today.
    ticks / 100.0
}

/// Asserts that no more than a second has passed, as seconds go here and now: where four tasks want each processor, what
/// takes a second of a machine's own takes four.
#[track_caller]
pub fn assert_within_a_second(since: Instant) {
    let passed = since.elapsed();
    let crowd = crowd();
    assert!(passed < Duration::from_secs(1).mul_f64(crowd), "{passed:?}, with {crowd:.1} tasks a processor");
}

/// How many tasks want each processor, now or over the last minute; at least one.
pub fn crowd() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let mut words = load.split([' ', '/']);
    let (minute, running) = (words.next(), words.nth(2));
    let [minute, running] = [minute, running].map(|word| word.unwrap().parse::<f64>().unwrap());
    let processors =
        std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap());
    (minute.max(running) / f64::from(processors)).max(1.0)
}
