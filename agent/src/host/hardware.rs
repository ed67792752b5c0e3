//! Temperature, as `/sys` tells it.

use std::{fs, path::Path};

/// What a chip can be, in thousandths of a degree; the rest is a broken sensor.
const PLAUSIBLE: std::ops::RangeInclusive<i32> = -40_000..=150_000;

/// The temperature of the CPU, else of the board, in thousandths of a degree Celsius.
pub(super) fn temperature_milli_celsius(sys: &Path) -> Option<i32> {
    thermal_zone(&sys.join("class/thermal")).or_else(|| monitor(&sys.join("class/hwmon")))
}

/// `thermal_zone*/temp`; zones that name a processor go first.
fn thermal_zone(folder: &Path) -> Option<i32> {
    let zones = subfolders(folder).filter_map(|zone| {
        let celsius = reading(&zone.join("temp"))?;
        let kind = fs::read_to_string(zone.join("type")).unwrap_or_default().to_lowercase();
        let processor = ["cpu", "x86_pkg", "soc", "core"].iter().any(|name| kind.contains(name));
        Some((processor, celsius))
    });
    zones.max().map(|(_, celsius)| celsius)
}

/// `hwmon*/temp1_input`, the first one there is.
fn monitor(folder: &Path) -> Option<i32> {
    subfolders(folder).filter_map(|monitor| reading(&monitor.join("temp1_input"))).max()
}

fn subfolders(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).take(64)
}

fn reading(file: &Path) -> Option<i32> {
    let celsius: i32 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    PLAUSIBLE.contains(&celsius).then_some(celsius)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_processors_zone_goes_before_a_warmer_board() {
        let sys = tempfile::tempdir().unwrap();
        let zones = sys.path().join("class/thermal");
        for (zone, kind, celsius) in
            [(0, "acpitz", "61000"), (1, "x86_pkg_temp", "47500"), (2, "cpu-thermal", "-274000")]
        {
            write(&zones.join(format!("thermal_zone{zone}/type")), kind);
            write(&zones.join(format!("thermal_zone{zone}/temp")), &format!("{celsius}\n"));
        }
        assert_eq!(temperature_milli_celsius(sys.path()), Some(47_500));
    }

    #[test]
    fn a_monitor_chip_stands_in_and_nothing_is_invented() {
        let sys = tempfile::tempdir().unwrap();
        assert_eq!(temperature_milli_celsius(sys.path()), None);
        write(&sys.path().join("class/hwmon/hwmon0/temp1_input"), "38000\n");
        assert_eq!(temperature_milli_celsius(sys.path()), Some(38_000));
    }
}
