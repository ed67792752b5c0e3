//! Wireless signal, as `/proc/net/wireless` tells it.

use aerie_protocol::inform::Wireless;

/// The kernel's word for "unknown" in the level and noise columns.
const UNKNOWN: i32 = -256;

/// What the table says about one interface.
pub(super) fn of_interface(table: &str, name: &str) -> Option<Wireless> {
    table.lines().find_map(|line| {
        let (interface, columns) = line.split_once(':')?;
        (interface.trim() == name).then(|| parse(columns))
    })
}

/// ` 0000   54.  -56.  -256.  0 …`: status, link, level, noise; a trailing dot means "updated".
fn parse(columns: &str) -> Wireless {
    let mut numbers = columns
        .split_whitespace()
        .skip(1)
        .map(|column| column.trim_end_matches('.').parse::<i32>().ok());
    let mut next = || numbers.next().flatten();
    let quality = next().and_then(|quality| u32::try_from(quality).ok());
    // Positive levels are relative numbers of old drivers, not dBm: of no use to anybody.
    let mut decibels = || next().filter(|&level| level < 0 && level != UNKNOWN);
    Wireless { link_quality: quality, signal_dbm: decibels(), noise_dbm: decibels() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   54.  -56.  -256        0      0      0      0      7        0
wlan10: 0000   70.  -40.  -95.        0      0      0      0      0        0
  old0: 0000   12.   30.   17.        0      0      0      0      0        0
";

    #[test]
    fn the_table_is_read_by_interface() {
        let wireless = of_interface(TABLE, "wlan0").unwrap();
        assert_eq!(wireless.signal_dbm, Some(-56));
        assert_eq!(wireless.noise_dbm, None);
        assert_eq!(wireless.link_quality, Some(54));
        assert_eq!(of_interface(TABLE, "wlan10").unwrap().noise_dbm, Some(-95));
    }

    #[test]
    fn relative_levels_are_not_passed_off_as_decibels() {
        let wireless = of_interface(TABLE, "old0").unwrap();
        assert_eq!((wireless.signal_dbm, wireless.noise_dbm), (None, None));
    }

    #[test]
    fn a_wired_interface_has_no_signal() {
        assert!(of_interface(TABLE, "eth0").is_none());
        assert!(of_interface("", "wlan0").is_none());
        assert!(of_interface("wlan0:", "wlan0").is_some_and(|it| it == Wireless::default()));
    }
}
