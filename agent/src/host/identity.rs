//! Who the machine says it is.

use std::{fs, path::Path};

use aerie_protocol::{
    inform::{DeviceRole, Hello, Interface},
    text::DeviceText,
};

use super::linux::Roots;

/// Bytes of any one text in the identity.
const LONGEST_TEXT: usize = 128;

/// Everything but `terminal_allowed` and `pinned`, which are not the hardware's.
pub(super) fn read(roots: &Roots, interfaces: &[Interface]) -> Hello {
    let main = main_interface(roots, interfaces);
    let (vendor, model) = vendor_and_model(roots);
    Hello {
        mac: main.map(|interface| interface.mac.clone()).unwrap_or_default(),
        hostname: text(&roots.proc.join("sys/kernel/hostname")).unwrap_or_default(),
        model,
        vendor,
        firmware_version: firmware_version(roots),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        serial_number: serial_number(roots),
        architecture: architecture(),
        addresses: addresses(main, interfaces),
        role: role(roots).into(),
        ..Hello::default()
    }
}

/// What the maker wrote on the box; of a PC root alone can read it.
pub(crate) fn serial_number(roots: &Roots) -> String {
    first_text(&[
        roots.sys.join("class/dmi/id/product_serial"),
        roots.sys.join("firmware/devicetree/base/serial-number"),
    ])
}

/// The interface of the default route; else the first that has a cable in and a MAC.
fn main_interface<'a>(roots: &Roots, interfaces: &'a [Interface]) -> Option<&'a Interface> {
    let table = fs::read_to_string(roots.proc.join("net/route")).unwrap_or_default();
    let routed = default_route(&table)
        .and_then(|name| interfaces.iter().find(|interface| interface.name == name));
    let has_mac = |interface: &&Interface| {
        interface.kind != "loopback" && interface.mac.iter().any(|&byte| byte != 0)
    };
    routed
        .filter(has_mac)
        .or_else(|| interfaces.iter().filter(has_mac).find(|interface| interface.plugged))
        .or_else(|| interfaces.iter().find(has_mac))
}

/// `/proc/net/route`: interface, destination, gateway, flags …; the default one has destination 0.
fn default_route(table: &str) -> Option<&str> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace();
        let name = columns.next()?;
        (columns.next()? == "00000000").then_some(name)
    })
}

/// The main interface's first; no loopback, nothing twice.
fn addresses(main: Option<&Interface>, interfaces: &[Interface]) -> Vec<String> {
    let mut addresses: Vec<String> = Vec::new();
    let others = interfaces.iter().filter(|interface| interface.kind != "loopback");
    for address in main.into_iter().chain(others).flat_map(|interface| &interface.addresses) {
        if addresses.len() < 16 && !addresses.contains(address) {
            addresses.push(address.clone());
        }
    }
    addresses
}

fn vendor_and_model(roots: &Roots) -> (String, String) {
    let board = text(&roots.sys.join("firmware/devicetree/base/model"));
    if let Some(model) = board {
        // "vendor,board", the most exact one first.
        let compatible = fs::read_to_string(roots.sys.join("firmware/devicetree/base/compatible"));
        let compatible = compatible.unwrap_or_default();
        let vendor = compatible.split_once(',').map(|(vendor, _)| vendor).unwrap_or_default();
        return (clean(vendor), model);
    }
    let dmi = roots.sys.join("class/dmi/id");
    (
        first_text(&[dmi.join("sys_vendor"), dmi.join("board_vendor")]),
        first_text(&[dmi.join("product_name"), dmi.join("board_name")]),
    )
}

/// The name that the system gives itself in `os-release`; else the kernel's.
fn firmware_version(roots: &Roots) -> String {
    let release = fs::read_to_string(roots.etc.join("os-release")).unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    match name.map(|name| clean(name.trim().trim_matches(['"', '\'']))) {
        Some(name) if !name.is_empty() => name,
        _ => {
            let kernel = text(&roots.proc.join("sys/kernel/osrelease")).unwrap_or_default();
            clean(&format!("Linux {kernel}"))
        }
    }
}

fn architecture() -> String {
    let machine = nix::sys::utsname::uname().ok();
    machine.map_or_else(String::new, |name| clean(&name.machine().to_string_lossy()))
}

/// A guess that an admin can overrule: what forwards packets is a router, the rest a server.
fn role(roots: &Roots) -> DeviceRole {
    let forwards = text(&roots.proc.join("sys/net/ipv4/ip_forward")).is_some_and(|on| on == "1");
    if forwards || roots.etc.join("openwrt_release").exists() {
        DeviceRole::Router
    } else {
        DeviceRole::Server
    }
}

fn first_text(files: &[std::path::PathBuf]) -> String {
    files.iter().find_map(|file| text(file)).unwrap_or_default()
}

/// A one-line file's text; `None` without one, or with what board makers forget to fill in.
fn text(file: &Path) -> Option<String> {
    let text = clean(&String::from_utf8_lossy(&fs::read(file).ok()?));
    let placeholder = ["", "none", "default string", "to be filled by o.e.m.", "not specified"];
    (!placeholder.contains(&text.to_lowercase().as_str())).then_some(text)
}

fn clean(text: &str) -> String {
    DeviceText::clean(text, LONGEST_TEXT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, kind: &str, last: u8) -> Interface {
        Interface {
            name: name.to_owned(),
            kind: kind.to_owned(),
            mac: vec![2, 0, 0, 0, 0, last],
            addresses: vec![format!("192.0.2.{last}/24")],
            ..Interface::default()
        }
    }

    /// A machine made of files.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Roots) {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let roots = Roots::below(folder.path());
        (folder, roots)
    }

    #[test]
    fn a_router_board_is_described_by_its_device_tree() {
        let (_folder, roots) = machine(&[
            ("sys/firmware/devicetree/base/model", "Acme WiFi 6 Router\0"),
            ("sys/firmware/devicetree/base/compatible", "acme,wifi6\0mediatek,mt7622\0"),
            ("sys/firmware/devicetree/base/serial-number", "SN-0042\0"),
            ("etc/os-release", "NAME=\"OpenWrt\"\nPRETTY_NAME=\"OpenWrt 24.10.1\"\n"),
            ("etc/openwrt_release", ""),
            ("proc/sys/kernel/hostname", "mast-7\n"),
            ("proc/net/route", "Iface Destination\nlan 000200C0 0\nwan 00000000 0\n"),
        ]);
        let interfaces = [interface("lan", "bridge", 1), interface("wan", "ethernet", 2)];
        let hello = read(&roots, &interfaces);
        assert_eq!(hello.mac, [2, 0, 0, 0, 0, 2]);
        assert_eq!(hello.addresses, ["192.0.2.2/24", "192.0.2.1/24"]);
        assert_eq!((hello.vendor.as_str(), hello.model.as_str()), ("acme", "Acme WiFi 6 Router"));
        assert_eq!(hello.firmware_version, "OpenWrt 24.10.1");
        assert_eq!((hello.serial_number.as_str(), hello.hostname.as_str()), ("SN-0042", "mast-7"));
        assert_eq!(hello.role, i32::from(DeviceRole::Router));
    }

    #[test]
    fn a_servers_makers_placeholders_are_left_out() {
        let (_folder, roots) = machine(&[
            ("sys/class/dmi/id/sys_vendor", "Acme\n"),
            ("sys/class/dmi/id/product_name", "To Be Filled By O.E.M.\n"),
            ("sys/class/dmi/id/board_name", "B550\n"),
            ("sys/class/dmi/id/product_serial", "Default string\n"),
            ("proc/sys/kernel/osrelease", "6.1.0\n"),
        ]);
        let interfaces = [interface("lo", "loopback", 0), interface("eth0", "ethernet", 3)];
        let hello = read(&roots, &interfaces);
        assert_eq!((hello.vendor.as_str(), hello.model.as_str()), ("Acme", "B550"));
        assert_eq!(hello.serial_number, "");
        assert_eq!(hello.firmware_version, "Linux 6.1.0");
        assert_eq!(hello.mac, [2, 0, 0, 0, 0, 3]);
        assert_eq!(hello.role, i32::from(DeviceRole::Server));
    }

    #[test]
    fn a_machine_without_anything_still_has_an_identity() {
        let (_folder, roots) = machine(&[]);
        let hello = read(&roots, &[]);
        assert!(hello.mac.is_empty() && hello.addresses.is_empty());
        assert!(!hello.agent_version.is_empty() && !hello.architecture.is_empty());
    }
}
