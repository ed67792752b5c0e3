//! Which addresses and ports are wanted, and what the world sees of them.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::Config;

/// Addresses in one list. A box has a few networks.
const MOST_ADDRESSES: usize = 16;
/// Networks of trusted proxies.
const MOST_PROXIES: usize = 64;

/// What is wrong with wanted ports.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SettingsError {
    /// Nobody could reach the GUI.
    #[error("HTTPS needs at least one address and port: without it nobody could reach the GUI")]
    NoHttps,
    /// One address and port for two purposes, or twice in a list.
    #[error("{0} stands there twice: give each purpose an address and port of its own")]
    Twice(SocketAddr),
    /// A list without end.
    #[error("at most {MOST_ADDRESSES} addresses for each purpose, and {MOST_PROXIES} proxies")]
    TooMany,
    /// A proxy that is everybody.
    #[error("{0} would believe anybody's X-Forwarded-For: name the proxy's own address or network")]
    EverybodyTrusted(IpNet),
    /// The port that devices are told cannot be 0.
    #[error("a public port is between 1 and 65535")]
    PortZero,
}

/// The ports of the appliance. Changed while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSettings {
    /// Plain HTTP: the ACME challenge and a redirect. Empty: off.
    pub http: Vec<SocketAddr>,
    /// GUI and API.
    pub https: Vec<SocketAddr>,
    /// A port of its own for devices. Empty: they use HTTPS.
    pub inform: Vec<SocketAddr>,
    /// The port under which people reach the GUI, where a proxy in front changes it.
    #[serde(default)]
    pub public_port: Option<u16>,
    /// The host name or address under which devices reach the appliance, where it is another one
    /// than that of the GUI.
    #[serde(default)]
    pub inform_host: Option<String>,
    /// The port under which devices reach the appliance, where it is another than the one that
    /// is listened on.
    #[serde(default)]
    pub inform_port: Option<u16>,
    /// Whose `X-Forwarded-For` is believed.
    #[serde(default)]
    pub trusted_proxies: Vec<IpNet>,
}

impl PortSettings {
    /// As the boot file says.
    pub fn of_boot_file(config: &Config) -> Self {
        Self {
            http: config.http.listen.clone(),
            https: config.https.listen.clone(),
            inform: config.inform.as_ref().map(|inform| inform.listen.clone()).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Refuses what cannot be, before anything is opened.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.https.is_empty() {
            return Err(SettingsError::NoHttps);
        }
        let lists = [&self.http, &self.https, &self.inform];
        if lists.iter().any(|list| list.len() > MOST_ADDRESSES)
            || self.trusted_proxies.len() > MOST_PROXIES
        {
            return Err(SettingsError::TooMany);
        }
        let mut taken: Vec<SocketAddr> = Vec::new();
        for address in lists.into_iter().flatten() {
            // Port 0 is a new port each time.
            if address.port() != 0 && taken.contains(address) {
                return Err(SettingsError::Twice(*address));
            }
            taken.push(*address);
        }
        if let Some(all) = self.trusted_proxies.iter().find(|network| network.prefix_len() == 0) {
            return Err(SettingsError::EverybodyTrusted(*all));
        }
        if self.public_port == Some(0) || self.inform_port == Some(0) {
            return Err(SettingsError::PortZero);
        }
        Ok(())
    }

    /// An address or a network, as somebody types it.
    pub fn network(text: &str) -> Option<IpNet> {
        let text = text.trim();
        text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| address.into()))
    }

    /// Where devices are let in.
    pub fn doors(&self) -> &[SocketAddr] {
        if self.inform.is_empty() { &self.https } else { &self.inform }
    }

    /// The port that device keys name.
    pub fn door_port(&self) -> u16 {
        self.inform_port.or_else(|| self.doors().first().map(SocketAddr::port)).unwrap_or(443)
    }

    /// The port that the redirect sends browsers to.
    pub fn gui_port(&self) -> u16 {
        self.public_port.or_else(|| self.https.first().map(SocketAddr::port)).unwrap_or(443)
    }

    /// Whether this source is a proxy in front of us.
    pub(in crate::edge) fn trusts(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(http: &[&str], https: &[&str], inform: &[&str]) -> PortSettings {
        let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        PortSettings {
            http: list(http),
            https: list(https),
            inform: list(inform),
            ..PortSettings::default()
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let good = settings(&["0.0.0.0:80"], &["192.0.2.1:443"], &["198.51.100.1:443"]);
        assert_eq!(good.check(), Ok(()));
        assert_eq!(settings(&[], &[], &[]).check(), Err(SettingsError::NoHttps));
        let twice = settings(&["[::]:443"], &["[::]:443"], &[]);
        assert!(matches!(twice.check(), Err(SettingsError::Twice(_))));
        assert_eq!(settings(&["[::]:0"], &["[::]:0", "[::]:0"], &[]).check(), Ok(()));
        let long: Vec<String> = (1..=17).map(|port| format!("127.0.0.1:{port}")).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        assert_eq!(settings(&[], &long, &[]).check(), Err(SettingsError::TooMany));
        let mut open = good.clone();
        open.trusted_proxies = vec!["0.0.0.0/0".parse().unwrap()];
        assert!(matches!(open.check(), Err(SettingsError::EverybodyTrusted(_))));
        open.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        open.inform_port = Some(0);
        assert_eq!(open.check(), Err(SettingsError::PortZero));
    }

    #[test]
    fn p5_devices_use_the_https_port_until_they_have_their_own() {
        let shared = settings(&[], &["0.0.0.0:8443"], &[]);
        assert_eq!((shared.door_port(), shared.gui_port()), (8443, 8443));
        let mut split = settings(&[], &["0.0.0.0:8443"], &["0.0.0.0:8444"]);
        assert_eq!(split.door_port(), 8444);
        split.inform_port = Some(443);
        split.public_port = Some(444);
        assert_eq!((split.door_port(), split.gui_port()), (443, 444));
    }

    #[test]
    fn a_mapped_proxy_is_the_proxy() {
        let mut settings = settings(&[], &["0.0.0.0:443"], &[]);
        settings.trusted_proxies = vec!["192.0.2.0/28".parse().unwrap()];
        assert!(settings.trusts("192.0.2.7".parse().unwrap()));
        assert!(settings.trusts("::ffff:192.0.2.7".parse().unwrap()));
        assert!(!settings.trusts("192.0.2.16".parse().unwrap()));
    }
}
