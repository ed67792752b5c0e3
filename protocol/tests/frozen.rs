//! The bytes of every message of version 1, as released devices send and expect them.
//!
//! When a test here fails, revert the change that made it fail, or add a new field with a new
//! number. Never edit a file in `frozen/v1/`: the devices out there will not be edited either.
//!
//! A new message gets its file once, by `AERIE_FREEZE=new cargo test --package aerie-protocol
//! frozen`, which writes the files that are missing and touches no other.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use aerie_protocol::inform::{
    self, Address, DeviceRole, Done, Enrolled, Forget, FromAppliance, FromDevice, Goodbye,
    GoodbyeReason, HeldPassword, HeldPasswords, Hello, Interface, KeepAlive, Locate, Passwords,
    Refusal, RefusalReason, Rename, Reply, ReportNow, Reporting, Request, Restart, SetPassword,
    Status, TerminalClose, TerminalClosed, TerminalCredit, TerminalData, TerminalOpen,
    TerminalOpened, TerminalResize, TryPassword, Waiting, Wireless, from_appliance, from_device,
    reply, request,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/v1")
}

fn refusal(reason: RefusalReason) -> Refusal {
    Refusal { reason: reason.into(), detail: "the device's own file says no".to_owned() }
}

fn goodbye() -> Goodbye {
    Goodbye { reason: GoodbyeReason::Rehandshake.into(), retry_after_seconds: 5 }
}

fn hello() -> Hello {
    Hello {
        mac: vec![0x02, 0, 0x5E, 0x10, 0, 0x07],
        hostname: "tower-7".to_owned(),
        model: "APU2".to_owned(),
        vendor: "PC Engines".to_owned(),
        firmware_version: "Debian 12.5".to_owned(),
        agent_version: "0.1.0".to_owned(),
        serial_number: "1234567".to_owned(),
        architecture: "x86_64".to_owned(),
        addresses: vec!["192.0.2.7/24".to_owned(), "2001:db8::7/64".to_owned()],
        role: DeviceRole::Router.into(),
        terminal_allowed: true,
        pinned: true,
        dialled: None,
        passwords: Vec::new(),
    }
}

/// What an account has that the appliance has set, and one that it has not.
fn held(sealed: &[u8]) -> Vec<HeldPassword> {
    let set = HeldPassword {
        account: "admin".to_owned(),
        credential_id: (16..32).collect(),
        version: 3,
        newest: 300,
        sealed: sealed.to_vec(),
    };
    vec![set, HeldPassword { account: "root".to_owned(), ..HeldPassword::default() }]
}

fn address() -> Address {
    Address { host: "aerie.example".to_owned(), port: 8444 }
}

fn status() -> Status {
    let wired = Interface {
        name: "eth0".to_owned(),
        index: 2,
        kind: "ethernet".to_owned(),
        mac: vec![0x02, 0, 0x5E, 0x10, 0, 0x07],
        addresses: vec!["192.0.2.7/24".to_owned()],
        mtu: 1500,
        enabled: true,
        plugged: true,
        speed_mbps: Some(1000),
        rx_bytes: 1 << 40,
        tx_bytes: 2,
        rx_errors: 3,
        tx_errors: 4,
        rx_dropped: 5,
        tx_dropped: 6,
        wireless: None,
    };
    let radio = Wireless { signal_dbm: Some(-61), noise_dbm: Some(-95), link_quality: Some(70) };
    let wireless = Interface { name: "wlan0".to_owned(), wireless: Some(radio), ..wired.clone() };
    Status {
        cpu_permille: 125,
        ram_total_bytes: 4 << 30,
        ram_used_bytes: 1 << 30,
        uptime_seconds: 86_400,
        load1_centi: 12,
        load5_centi: 34,
        load15_centi: 56,
        temperature_milli_celsius: Some(-4_500),
        interfaces: vec![wired, wireless],
        locating: true,
    }
}

fn from_devices() -> Vec<(&'static str, from_device::Body)> {
    use from_device::Body;
    let done = reply::Outcome::Done(Done {});
    let refused = reply::Outcome::Refusal(refusal(RefusalReason::NotAllowed));
    let told = reply::Outcome::Passwords(Passwords { held: held(b"sealed for the vault") });
    let never_started = Some(refusal(RefusalReason::Busy));
    vec![
        ("hello", Body::Hello(hello())),
        ("hello_dialled", Body::Hello(Hello { dialled: Some(address()), ..hello() })),
        ("hello_passwords", Body::Hello(Hello { passwords: held(&[]), ..hello() })),
        ("status", Body::Status(status())),
        ("keep_alive", Body::KeepAlive(KeepAlive { sequence: 300 })),
        ("reply_done", Body::Reply(Reply { request_id: 77, outcome: Some(done) })),
        ("reply_refusal", Body::Reply(Reply { request_id: 78, outcome: Some(refused) })),
        ("reply_passwords", Body::Reply(Reply { request_id: 79, outcome: Some(told) })),
        ("terminal_opened", Body::TerminalOpened(TerminalOpened { channel: 1, credit: 65_536 })),
        ("terminal_data", Body::TerminalData(TerminalData { channel: 1, data: "$ ".into() })),
        ("terminal_credit", Body::TerminalCredit(TerminalCredit { channel: 1, bytes: 4096 })),
        (
            "terminal_closed",
            Body::TerminalClosed(TerminalClosed {
                channel: 1,
                exit_status: Some(-1),
                refusal: None,
            }),
        ),
        (
            "terminal_closed_refused",
            Body::TerminalClosed(TerminalClosed {
                channel: 1,
                exit_status: None,
                refusal: never_started,
            }),
        ),
        ("goodbye", Body::Goodbye(goodbye())),
    ]
}

fn from_appliances() -> Vec<(&'static str, from_appliance::Body)> {
    use from_appliance::Body;
    let request = |verb| Body::Request(Request { request_id: 77, verb: Some(verb) });
    let device_id = (0..16).collect();
    vec![
        ("waiting", Body::Waiting(Waiting {})),
        ("enrolled", Body::Enrolled(Enrolled { device_id, name: "Tower 7".to_owned() })),
        ("forget", Body::Forget(Forget {})),
        ("keep_alive", Body::KeepAlive(KeepAlive { sequence: 300 })),
        ("request_restart", request(request::Verb::Restart(Restart {}))),
        ("request_locate", request(request::Verb::Locate(Locate { seconds: 60 }))),
        ("request_rename", request(request::Verb::Rename(Rename { name: "Tower 8".to_owned() }))),
        ("request_report_now", request(request::Verb::ReportNow(ReportNow {}))),
        (
            "request_set_password",
            request(request::Verb::SetPassword(SetPassword {
                account: "admin".to_owned(),
                credential_id: (16..32).collect(),
                version: 300,
                password: b"correct horse".to_vec(),
                sealed: b"sealed for the vault".to_vec(),
            })),
        ),
        ("request_held_passwords", request(request::Verb::HeldPasswords(HeldPasswords {}))),
        (
            "request_try_password",
            request(request::Verb::TryPassword(TryPassword {
                account: "admin".to_owned(),
                password: b"correct horse".to_vec(),
            })),
        ),
        ("reporting", Body::Reporting(Reporting { interval_seconds: 30 })),
        (
            "terminal_open",
            Body::TerminalOpen(TerminalOpen { channel: 1, rows: 24, columns: 80, credit: 65_536 }),
        ),
        ("terminal_data", Body::TerminalData(TerminalData { channel: 1, data: "ls\n".into() })),
        ("terminal_credit", Body::TerminalCredit(TerminalCredit { channel: 1, bytes: 4096 })),
        (
            "terminal_resize",
            Body::TerminalResize(TerminalResize { channel: 1, rows: 50, columns: 132 }),
        ),
        ("terminal_close", Body::TerminalClose(TerminalClose { channel: 1 })),
        ("goodbye", Body::Goodbye(goodbye())),
        ("refusal", Body::Refusal(refusal(RefusalReason::NotAuthorized))),
        ("address", Body::Address(address())),
    ]
}

/// What is pinned for this name. A name without a file fails, unless files are being added.
fn pinned(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = folder().join(name);
    if !path.exists() && std::env::var_os("AERIE_FREEZE").is_some_and(|value| value == "new") {
        File::create_new(&path).unwrap().write_all(bytes).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn d2_what_a_device_says_keeps_its_bytes() {
    let mut bytes = Vec::new();
    for (name, body) in from_devices() {
        let message = FromDevice::from(body);
        inform::encode_from_device(&message, &mut bytes).unwrap();
        let pinned = pinned(&format!("from_device_{name}.bin"), &bytes);
        assert_eq!(bytes, pinned, "{name}: revert the change, never edit the file");
        assert_eq!(inform::decode_from_device(&pinned).unwrap(), message, "{name}");
    }
}

#[test]
fn d2_what_an_appliance_says_keeps_its_bytes() {
    let mut bytes = Vec::new();
    for (name, body) in from_appliances() {
        let message = FromAppliance::from(body);
        inform::encode_from_appliance(&message, &mut bytes).unwrap();
        let pinned = pinned(&format!("from_appliance_{name}.bin"), &bytes);
        assert_eq!(bytes, pinned, "{name}: revert the change, never edit the file");
        assert_eq!(inform::decode_from_appliance(&pinned).unwrap(), message, "{name}");
    }
}

#[test]
fn every_message_and_nothing_else_is_pinned() {
    let device = from_devices().into_iter().map(|(name, _)| format!("from_device_{name}.bin"));
    let appliance =
        from_appliances().into_iter().map(|(name, _)| format!("from_appliance_{name}.bin"));
    let listed: BTreeSet<_> = device.chain(appliance).collect();
    let stored = fs::read_dir(folder()).unwrap();
    let stored: BTreeSet<_> =
        stored.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(listed, stored);
    // The first byte of a message holds the number of its body, times eight.
    let numbers = |prefix: &str| -> BTreeSet<u8> {
        let names = stored.iter().filter(|name| name.starts_with(prefix));
        names.map(|name| fs::read(folder().join(name)).unwrap()[0] >> 3).collect()
    };
    assert_eq!(numbers("from_device_"), (1..=9).collect());
    assert_eq!(numbers("from_appliance_"), (1..=14).collect());
}
