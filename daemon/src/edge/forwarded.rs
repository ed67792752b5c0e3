//! Who is behind a proxy in front of us.
//!
//! `X-Forwarded-For` is a list that everybody on the way may add to, and anybody may begin. Only
//! the listed proxies are believed, from the last entry backwards: the first address that is not a
//! trusted proxy is who asks.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderMap;

use super::ports::PortSettings;

const HEADER: &str = "x-forwarded-for";
/// Entries that are looked at. A chain of proxies is short.
const MOST_ENTRIES: usize = 16;

/// The proxies that are believed now. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies(Arc<RwLock<PortSettings>>);

impl Proxies {
    /// From now on the ones of these settings.
    pub(super) fn follow(&self, settings: &PortSettings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings.clone();
    }

    /// Who asks, when `peer` opened the connection and sent these headers.
    pub(super) fn source(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let settings = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if !settings.trusts(peer.ip()) {
            return peer;
        }
        let entries = headers.get_all(HEADER).into_iter().filter_map(|value| value.to_str().ok());
        let mut entries: Vec<&str> = entries.flat_map(|text| text.split(',')).collect();
        entries.reverse();
        let mut source = peer;
        for entry in entries.into_iter().take(MOST_ENTRIES) {
            // What is no address was not written by a proxy of ours: the one before wrote it.
            let Some(address) = address(entry.trim()) else { break };
            source = SocketAddr::new(address, 0);
            if !settings.trusts(address) {
                break;
            }
        }
        source
    }
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|full: SocketAddr| full.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn source(peer: &str, forwarded: &[&'static str]) -> String {
        let proxies = Proxies::default();
        let trusted_proxies = ["10.0.0.0/8", "2001:db8::/64"].map(|text| text.parse().unwrap());
        let trusted_proxies = trusted_proxies.to_vec();
        proxies.follow(&PortSettings { trusted_proxies, ..PortSettings::default() });
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(HEADER, HeaderValue::from_static(value));
        }
        proxies.source(SocketAddr::new(peer.parse().unwrap(), 5), &headers).ip().to_string()
    }

    #[test]
    fn the_header_is_believed_from_listed_proxies_only() {
        assert_eq!(source("192.0.2.9", &["203.0.113.5"]), "192.0.2.9");
        assert_eq!(source("10.0.0.1", &["203.0.113.5"]), "203.0.113.5");
        assert_eq!(source("2001:db8::1", &["[2001:db8:1::7]:443"]), "2001:db8:1::7");
        assert_eq!(source("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_client_wrote_itself_does_not_count() {
        assert_eq!(source("10.0.0.1", &["127.0.0.1, 203.0.113.5"]), "203.0.113.5");
        assert_eq!(source("10.0.0.1", &["127.0.0.1", "203.0.113.5"]), "203.0.113.5");
        assert_eq!(source("10.0.0.1", &["203.0.113.5, 10.0.0.2"]), "203.0.113.5");
        assert_eq!(source("10.0.0.1", &["203.0.113.5, nonsense"]), "10.0.0.1");
        assert_eq!(source("10.0.0.1", &["203.0.113.5, nonsense, 10.0.0.2"]), "10.0.0.2");
    }
}
