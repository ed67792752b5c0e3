//! What the daemon itself costs: memory and processor, from `/proc/self`.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// Kernel ticks a second in `/proc/self/stat`: fixed at 100 for user space (man 5 proc).
const TICKS_PER_SECOND: f64 = 100.0;
/// Shorter spans say nothing at ten milliseconds a tick, in seconds.
const SHORTEST: f64 = 1.0;

/// Measures the daemon's own load. Cheap to clone.
#[derive(Clone)]
pub(super) struct Meter {
    shared: Arc<Shared>,
}

struct Shared {
    started: Instant,
    cpu: Mutex<Cpu>,
}

/// The last measurement of the processor.
struct Cpu {
    at: Instant,
    ticks: u64,
    percent: f32,
}

impl Meter {
    /// Starts to measure.
    pub(super) fn start() -> Self {
        let started = Instant::now();
        let cpu = Cpu { at: started, ticks: ticks().unwrap_or(0), percent: 0.0 };
        Self { shared: Arc::new(Shared { started, cpu: Mutex::new(cpu) }) }
    }

    /// Seconds since the daemon started.
    pub(super) fn uptime(&self) -> u64 {
        self.shared.started.elapsed().as_secs()
    }

    /// Resident bytes; 0 where the kernel does not tell.
    pub(super) fn memory() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        resident(&status).unwrap_or(0)
    }

    /// Percent of one core since the last time somebody asked, at least a second ago.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a percentage for people"
    )]
    pub(super) fn cpu(&self) -> f32 {
        let mut cpu = self.shared.cpu.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = cpu.at.elapsed().as_secs_f64();
        if seconds >= SHORTEST
            && let Some(ticks) = ticks()
        {
            let used = ticks.saturating_sub(cpu.ticks) as f64 / TICKS_PER_SECOND;
            *cpu = Cpu {
                at: Instant::now(),
                ticks,
                percent: super::views::tenth((used / seconds * 100.0) as f32),
            };
        }
        cpu.percent
    }
}

/// Processor time of the whole process, in ticks.
fn ticks() -> Option<u64> {
    used_ticks(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 and 15: user and system time. The name in field 2 may hold anything, brackets too.
fn used_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// `VmRSS` in bytes. In kB there, whatever the page size is, unlike `statm`.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_a_name_with_brackets() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(used_ticks(stat), Some(200));
        assert_eq!(used_ticks("nonsense"), None);
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(resident("Name:\taerie\nVmRSS:\t   10240 kB\n"), Some(10_485_760));
        assert_eq!(resident(""), None);
    }

    #[tokio::test]
    async fn a_meter_measures_this_process() {
        let meter = Meter::start();
        assert!(Meter::memory() > 1024 * 1024);
        assert!(meter.cpu() >= 0.0);
    }
}
