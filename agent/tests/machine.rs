//! The real machine's values, against what its kernel says elsewhere.

use std::{fs, time::Duration};

use aerie_agent::{
    host::{CommandError, Host as _, LinuxHost, Roots},
    policy::{CommandPolicy, Policy},
};
use aerie_protocol::inform::{Status, from_device};

fn proc(file: &str) -> String {
    fs::read_to_string(format!("/proc/{file}")).unwrap()
}

fn uptime() -> u64 {
    proc("uptime").split('.').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_status_agrees_with_the_kernel() {
    let mut host = LinuxHost::new(Policy::default());
    let before = uptime();
    let status = host.status().await;
    assert!((before..=uptime()).contains(&status.uptime_seconds));

    let meminfo = proc("meminfo");
    let total: u64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!(status.ram_total_bytes, total * 1024);
    assert!(status.ram_used_bytes > 1 << 20 && status.ram_used_bytes < status.ram_total_bytes);

    assert!(status.cpu_permille <= 1000);
    assert!(status.load15_centi < 100_000);
    if let Some(temperature) = status.temperature_milli_celsius {
        assert!((-40_000..=150_000).contains(&temperature));
    }

    let mut named: Vec<_> =
        status.interfaces.iter().map(|interface| interface.name.clone()).collect();
    let mut there: Vec<_> = fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| fs::exists(format!("/sys/class/net/{name}/ifindex")).unwrap())
        .collect();
    named.sort();
    there.sort();
    assert_eq!(named, there);
}

#[tokio::test]
async fn an_identity_agrees_with_the_kernel() {
    let mut host = LinuxHost::new(Policy::default());
    let hello = host.identity().await;
    assert_eq!(hello.hostname, proc("sys/kernel/hostname").trim());
    assert!(!hello.firmware_version.is_empty() && !hello.architecture.is_empty());
    assert!(hello.mac.is_empty() || hello.mac.len() == 6);
    let mut bytes = Vec::new();
    let message = from_device::Body::Hello(hello).into();
    aerie_protocol::inform::encode_from_device(&message, &mut bytes).unwrap();
}

#[tokio::test]
async fn work_shows_in_the_cpu_load() {
    let mut host = LinuxHost::new(Policy::default());
    host.status().await;
    // The kernel counts in ticks, and other ticks than ours may pass first: idle ones of another
    // core, or stolen ones. With work going on all the time, one of ours has to be counted.
    let mut sum = 0_u64;
    let seen = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            sum = (0..1_000_000).fold(sum, |sum, step| std::hint::black_box(sum ^ step));
            if host.status().await.cpu_permille > 0 {
                return;
            }
        }
    });
    assert!(seen.await.is_ok(), "thirty seconds of work did not show");
}

#[tokio::test]
async fn a_machine_that_tells_nothing_still_reports() {
    let nothing = tempfile::tempdir().unwrap();
    let mut host = LinuxHost::with_roots(Policy::default(), Roots::below(nothing.path()));
    let status = host.status().await;
    assert_eq!(Status { interfaces: Vec::new(), ..status }, Status::default());
}

#[tokio::test]
async fn the_devices_own_file_has_the_last_word() {
    let commands = CommandPolicy { restart: false, locate: false };
    let mut host = LinuxHost::new(Policy { commands, ..Policy::default() });
    assert!(matches!(host.may_restart(), Err(CommandError::NotAllowed(_))));
    assert!(matches!(host.restart().await, Err(CommandError::NotAllowed(_))));
    let located = host.locate(Some(Duration::from_secs(5))).await;
    assert!(matches!(located, Err(CommandError::NotAllowed(_))));
    assert!(!host.status().await.locating);
}

#[tokio::test(start_paused = true)]
async fn a_light_blinks_for_as_long_as_it_was_asked() {
    let root = tempfile::tempdir().unwrap();
    let led = root.path().join("sys/class/leds/green:status");
    fs::create_dir_all(&led).unwrap();
    fs::write(led.join("trigger"), "[none] timer\n").unwrap();
    fs::write(led.join("brightness"), "1\n").unwrap();
    let trigger = || fs::read_to_string(led.join("trigger")).unwrap();
    let mut host = LinuxHost::with_roots(Policy::default(), Roots::below(root.path()));

    host.locate(Some(Duration::from_secs(30))).await.unwrap();
    assert_eq!(trigger(), "timer");
    assert!(host.status().await.locating);
    // Asked again: the light must not be taken for one that always blinked.
    host.locate(Some(Duration::from_mins(1))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(trigger(), "none");
    assert!(!host.status().await.locating);

    host.locate(Some(Duration::from_mins(1))).await.unwrap();
    host.locate(None).await.unwrap();
    assert_eq!(trigger(), "none");
}
