//! The machine's name, network and time, as its `host.json` says: put into place at each boot, in
//! memory alone, since the system itself cannot be written.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::sethostname;

use super::provisioning::{Addressing, Host, Network, StaticAddress};
use super::{FirstBootError, Roots, files, machine_file};
use crate::seal;

/// What the machine is to be, in its directory.
const FILE: &str = "host.json";
/// Bytes of it.
const BOUND: usize = 64 * 1024;
/// For systemd-networkd, below `/run`.
const NETWORK: &str = "systemd/network/10-aerie.network";
/// For systemd-timesyncd, below `/run`.
const TIME: &str = "systemd/timesyncd.conf.d/10-aerie.conf";
/// Where the kernel takes its name.
const NAME: &str = "proc/sys/kernel/hostname";
/// Where the kernel lists interfaces.
const INTERFACES: &str = "sys/class/net";
/// What the kernel calls a wired interface (`ARPHRD_ETHER`).
const ETHERNET: &str = "1";

/// Remembers what the machine is to be: durable when it returns.
pub(super) fn keep(host: &Host, machine_dir: &Path) -> Result<(), FirstBootError> {
    let path = machine_dir.join(FILE);
    let failed = |error| machine_file(&path, error);
    let bytes = serde_json::to_vec_pretty(host).map_err(|error| failed(error.into()))?;
    Ok(seal::write_private(&path, &bytes)?)
}

/// Puts into place what was kept; nothing where nothing was.
pub(super) fn apply(roots: &Roots) -> Result<(), FirstBootError> {
    let path = roots.machine_dir.join(FILE);
    let failed = |error| machine_file(&path, error);
    let Some(bytes) = files::read(&path, BOUND).map_err(failed)? else { return Ok(()) };
    let host: Host = serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
    if let Some(name) = &host.name {
        set_name(name, &roots.sys_dir)?;
    }
    let network = host.network.as_ref().map(|network| network_file(network, &roots.sys_dir));
    put(&roots.run_dir.join(NETWORK), network)?;
    let servers = host.ntp.join(" ");
    let time = (!servers.is_empty()).then(|| format!("{HEAD}[Time]\nNTP={servers}\n"));
    put(&roots.run_dir.join(TIME), time)
}

/// The kernel's own call, since the unit may write to none of its files; in tests a file.
fn set_name(name: &str, sys_dir: &Path) -> Result<(), FirstBootError> {
    let path = sys_dir.join(NAME);
    let set = if sys_dir == Path::new("/") {
        sethostname(name).map_err(Into::into)
    } else {
        fs::write(&path, format!("{name}\n"))
    };
    set.map_err(|source| FirstBootError::Host { path, source })
}

/// The first line of each file.
const HEAD: &str = "# Written at each boot, from host.json in /var/lib/aerie-machine.\n";

/// Writes a file that everybody may read, or takes it away. systemd's daemons read as users of their
/// own, whatever mask this process has.
fn put(path: &Path, text: Option<String>) -> Result<(), FirstBootError> {
    let write = || match text {
        Some(text) => {
            let folder = files::folder_of(path);
            fs::create_dir_all(folder)?;
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
            fs::write(path, text)?;
            fs::set_permissions(path, Permissions::from_mode(0o644))
        }
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    };
    write().map_err(|source| FirstBootError::Host { path: path.to_owned(), source })
}

fn network_file(network: &Network, sys_dir: &Path) -> String {
    let mut text = format!("{HEAD}[Match]\n");
    match &network.interface {
        Some(name) => line(&mut text, "Name", name),
        None => match (&network.addressing, wired(sys_dir)) {
            // One address is for one interface.
            (Addressing::Static(_), Some(name)) => line(&mut text, "Name", &name),
            // Wired, and no bridge or tunnel.
            _ => text.push_str("Type=ether\nKind=!*\n"),
        },
    }
    text.push_str("\n[Network]\n");
    match &network.addressing {
        Addressing::Dhcp => line(&mut text, "DHCP", "yes"),
        Addressing::Static(StaticAddress { address, prefix, gateway }) => {
            line(&mut text, "DHCP", "no");
            line(&mut text, "Address", &format!("{address}/{prefix}"));
            if let Some(gateway) = gateway {
                line(&mut text, "Gateway", &gateway.to_string());
            }
        }
    }
    for server in &network.dns {
        line(&mut text, "DNS", &server.to_string());
    }
    text
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a text does not fail.
    writeln!(text, "{key}={value}").ok();
}

/// The first interface that is a wired device of this machine, by name.
fn wired(sys_dir: &Path) -> Option<String> {
    let folder: PathBuf = sys_dir.join(INTERFACES);
    let is_wired = |name: &str| {
        let of = |part: &str| folder.join(name).join(part);
        let kind = fs::read_to_string(of("type")).unwrap_or_default();
        kind.trim() == ETHERNET && of("device").exists() && !of("wireless").exists()
    };
    let names = fs::read_dir(&folder).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| is_wired(name)).min()
}
