//! What attempts are aimed at.

use std::fmt::Write as _;
use std::time::Duration;

use crate::network::SourceNetwork;

/// Free attempts on one name from one network.
const FREE_PAIR: u32 = 10;
/// Free attempts from one network: several people may share it.
const FREE_NETWORK: u32 = 50;
/// Attempts a day on one name from networks where its account is a stranger. An account has two
/// names, its user name and its e-mail address: that makes a hundred a day.
pub(super) const DAILY: u32 = 50;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A name as it is kept.
pub(super) type NameHash = [u8; 16];

/// What a count is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// A name from a network.
    Pair(NameHash, SourceNetwork),
    /// A network, whatever the name.
    Network(SourceNetwork),
    /// A name, whatever the network.
    Name(NameHash),
}

impl Target {
    /// Attempts that cost no wait.
    pub(super) fn free(&self) -> u32 {
        match self {
            Self::Pair(..) => FREE_PAIR,
            Self::Network(_) => FREE_NETWORK,
            Self::Name(_) => DAILY,
        }
    }

    /// How long a count is remembered after its last attempt.
    pub(super) fn memory(&self) -> Duration {
        match self {
            Self::Pair(..) => DAY,
            Self::Network(_) => HOUR,
            Self::Name(_) => DAY + HOUR,
        }
    }

    /// The longest wait that it can cost.
    pub(super) fn longest(&self) -> Duration {
        match self {
            Self::Pair(..) | Self::Network(_) => Duration::from_mins(15),
            Self::Name(_) => DAY + HOUR,
        }
    }

    pub(super) fn name(&self) -> Option<&NameHash> {
        match self {
            Self::Pair(name, _) | Self::Name(name) => Some(name),
            Self::Network(_) => None,
        }
    }

    /// The key of its row in the store.
    pub(super) fn row(&self) -> String {
        match self {
            Self::Pair(name, network) => format!("pair {} {network}", hex(name)),
            Self::Network(network) => format!("network {network}"),
            Self::Name(name) => format!("name {}", hex(name)),
        }
    }

    /// What a row is about.
    pub(super) fn from_row(row: &str) -> Option<Self> {
        let mut words = row.split(' ');
        let target = match (words.next()?, words.next()?, words.next()) {
            ("pair", name, Some(network)) => Self::Pair(unhex(name)?, network.parse().ok()?),
            ("network", network, None) => Self::Network(network.parse().ok()?),
            ("name", name, None) => Self::Name(unhex(name)?),
            _ => return None,
        };
        words.next().is_none().then_some(target)
    }
}

fn hex(name: &NameHash) -> String {
    name.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing into a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn unhex(text: &str) -> Option<NameHash> {
    let whole = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_its_target() {
        let network = "2001:db8::/64".parse().unwrap();
        for target in
            [Target::Pair([7; 16], network), Target::Network(network), Target::Name([0xfe; 16])]
        {
            assert_eq!(Target::from_row(&target.row()), Some(target));
        }
        let long = format!("name {} more", "0".repeat(32));
        for bad in ["", "pair", "name +0", "name 00", "network 10.0.0.0/8", &long] {
            assert_eq!(Target::from_row(bad), None, "{bad}");
        }
    }
}
