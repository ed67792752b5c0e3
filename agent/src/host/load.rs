//! CPU, memory, uptime and load, as `/proc` tells them.

/// How busy the CPUs have been between two looks at `/proc/stat`.
#[derive(Debug, Default)]
pub(super) struct CpuMeter {
    last: Jiffies,
}

/// Kernel ticks of all CPUs since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Jiffies {
    total: u64,
    idle: u64,
}

impl CpuMeter {
    /// Share of busy time since the last look (at the first: since boot), in thousandths.
    pub(super) fn permille(&mut self, stat: &str) -> u32 {
        let now = Jiffies::parse(stat).unwrap_or(self.last);
        let total = now.total.saturating_sub(self.last.total);
        let idle = now.idle.saturating_sub(self.last.idle).min(total);
        self.last = now;
        let busy = (total - idle).saturating_mul(1000).checked_div(total).unwrap_or(0);
        u32::try_from(busy).unwrap_or(1000)
    }
}

impl Jiffies {
    /// `cpu  user nice system idle iowait irq softirq steal guest guest_nice`.
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find(|line| line.starts_with("cpu "))?;
        // Guest time is contained in user time already.
        let ticks: Vec<u64> =
            line.split_whitespace().skip(1).take(8).map_while(|tick| tick.parse().ok()).collect();
        let idle = ticks.get(3)?.saturating_add(ticks.get(4).copied().unwrap_or(0));
        Some(Self { total: ticks.iter().fold(0, |sum, &tick| sum.saturating_add(tick)), idle })
    }
}

/// Main memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total: u64,
    pub(super) used: u64,
}

impl Memory {
    /// Reads `/proc/meminfo`. Used is what could not be had for the asking: caches do not count.
    pub(super) fn parse(meminfo: &str) -> Self {
        let field = |name: &str| -> Option<u64> {
            let rest = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 =
                rest.strip_prefix(':')?.trim().trim_end_matches("kB").trim_end().parse().ok()?;
            Some(kibibytes.saturating_mul(1024))
        };
        let total = field("MemTotal").unwrap_or(0);
        // Kernels before 3.14 do not know MemAvailable.
        let available = field("MemAvailable").unwrap_or_else(|| {
            ["MemFree", "Buffers", "Cached"]
                .iter()
                .fold(0, |sum: u64, name| sum.saturating_add(field(name).unwrap_or(0)))
        });
        Self { total, used: total.saturating_sub(available) }
    }
}

/// Whole seconds since boot, from `/proc/uptime`.
pub(super) fn uptime_seconds(uptime: &str) -> u64 {
    let seconds = uptime.split(['.', ' ']).next().and_then(|seconds| seconds.parse().ok());
    seconds.unwrap_or(0)
}

/// Load averages times 100, from `/proc/loadavg`.
pub(super) fn load_centi(loadavg: &str) -> [u32; 3] {
    let mut loads = loadavg.split_whitespace().map(|load| {
        let (whole, hundredths) = load.split_once('.')?;
        let whole: u32 = whole.parse().ok()?;
        let hundredths: u32 = hundredths.parse().ok()?;
        Some(whole.saturating_mul(100).saturating_add(hundredths))
    });
    [(); 3].map(|()| loads.next().flatten().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_load_is_the_busy_share_since_the_last_look() {
        let mut meter = CpuMeter::default();
        assert_eq!(meter.permille("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4\n"), 200);
        assert_eq!(meter.permille("cpu  150 0 150 700 100 0 0 0 0 0\n"), 1000);
        assert_eq!(meter.permille("cpu  150 0 150 760 130 10 0 0 0 0\n"), 100);
    }

    #[test]
    fn odd_tables_never_give_odd_loads() {
        let mut meter = CpuMeter::default();
        assert_eq!(meter.permille(""), 0);
        assert_eq!(meter.permille("cpu  1 2\n"), 0);
        assert_eq!(meter.permille("cpu  100 0 0 100 0 0 0 0\n"), 500);
        // Time went backwards: a container was moved, or a counter wrapped.
        assert_eq!(meter.permille("cpu  10 0 0 10 0 0 0 0\n"), 0);
        let huge = u64::MAX.to_string();
        assert!(meter.permille(&format!("cpu {huge} {huge} {huge} 0\n")) <= 1000);
    }

    #[test]
    fn memory_leaves_caches_out() {
        let new = "MemTotal:  1000 kB\nMemFree: 100 kB\nMemAvailable:  600 kB\nCached: 400 kB\n";
        assert_eq!(Memory::parse(new), Memory { total: 1_024_000, used: 409_600 });
        let old = "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 50 kB\nCached: 250 kB\n";
        assert_eq!(Memory::parse(old), Memory { total: 1_024_000, used: 614_400 });
        assert_eq!(Memory::parse("MemTotal: many kB\n"), Memory::default());
    }

    #[test]
    fn uptime_and_load_are_read() {
        assert_eq!(uptime_seconds("1517.02 2771.19\n"), 1517);
        assert_eq!(uptime_seconds(""), 0);
        assert_eq!(load_centi("0.05 1.20 13.99 2/95 12706\n"), [5, 120, 1399]);
        assert_eq!(load_centi("nonsense"), [0, 0, 0]);
    }
}
