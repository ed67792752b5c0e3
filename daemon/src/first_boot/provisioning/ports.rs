//! The section `[ports]`: numbers, or lists of addresses as in the boot file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::fault::Faults;
use super::table::{At, Listed, Section};
use crate::config::Config;
use crate::edge::ports::{PortSettings, SettingsError};

/// Reads the section. What it leaves out is as the boot file says.
pub(super) fn read(
    mut section: Section<'_>,
    config: &Config,
    faults: &mut Faults<'_>,
) -> Option<PortSettings> {
    let mut settings = PortSettings::of_boot_file(config);
    let mut sound = true;
    let mut places = Vec::new();
    for (key, example) in
        [("http", "http = 80"), ("https", "https = 443"), ("inform", "inform = 8444")]
    {
        let Some((listed, place)) = section.listed(key, example, faults) else {
            sound &= !section.has(key);
            continue;
        };
        places.push((key, place));
        let Some(addresses) = addresses(&section, (key, place), listed, faults) else {
            sound = false;
            continue;
        };
        match key {
            "http" => settings.http = addresses,
            "https" => settings.https = addresses,
            _ => settings.inform = addresses,
        }
    }
    if sound && let Err(error) = settings.check() {
        let (key, place) = at(&error, &places, &settings, section.place());
        let fix = "Ports that stand not here are as the boot file says.";
        section.fault(faults, (key, place), &error.to_string(), fix);
        sound = false;
    }
    section.finish(faults);
    sound.then_some(settings)
}

/// `None`: it was told what is wrong.
fn addresses(
    section: &Section<'_>,
    at: At<&str>,
    listed: Listed<'_>,
    faults: &mut Faults<'_>,
) -> Option<Vec<SocketAddr>> {
    match listed {
        Listed::Port(Some(port)) if port != 0 => Some(everywhere(port)),
        Listed::Port(_) => {
            let fix = "Take another number, or an empty list [] for none.";
            section.fault(faults, at, "a port is a number from 1 to 65535", fix);
            None
        }
        Listed::Texts(texts) => {
            let mut all = Vec::with_capacity(texts.len());
            for (text, place) in &texts {
                match text.parse() {
                    Ok(address) => all.push(address),
                    Err(_) => section.fault(
                        faults,
                        (at.0, *place),
                        "it is no address with a port",
                        "Write an address and a port like this: \"192.0.2.1:443\" or \"[::]:443\"",
                    ),
                }
            }
            (all.len() == texts.len()).then_some(all)
        }
    }
}

fn everywhere(port: u16) -> Vec<SocketAddr> {
    let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    all.map(|address| SocketAddr::new(address, port)).to_vec()
}

/// Which key an error is about: of one that stands there twice, the last that names it.
fn at<'k>(
    error: &SettingsError,
    places: &[At<&'k str>],
    settings: &PortSettings,
    section: usize,
) -> At<&'k str> {
    let is_about = |key: &str| match (error, key) {
        (SettingsError::NoHttps, key) => key == "https",
        (SettingsError::Twice(address), "http") => settings.http.contains(address),
        (SettingsError::Twice(address), "https") => settings.https.contains(address),
        (SettingsError::Twice(address), _) => settings.inform.contains(address),
        _ => true,
    };
    let found = places.iter().rev().find(|(key, _)| is_about(key));
    found.copied().unwrap_or(("http", section))
}
