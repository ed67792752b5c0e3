//! The units, as systemd's own judges see them.

use aerie_tests::run_tool;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

/// The units, and how much of the machine each may reach, in tenths of what systemd calls exposure.
const UNITS: [(&str, &str); 7] = [
    ("aerie-vault.service", "6"),
    ("aerie.service", "15"),
    ("aerie-firstboot.service", "24"),
    ("image/aerie-mark-good.service", "15"),
    ("image/aerie-data-fault.service", "15"),
    // It writes to the consoles.
    ("image/aerie-welcome.service", "12"),
    // It writes to the disk itself.
    ("image/aerie-grow-data.service", "40"),
];

/// A small system with the units, in a folder of the test's own.
fn root() -> TempDir {
    let root = TempDir::new().expect("a folder");
    let units = root.path().join("etc/systemd/system");
    fs::create_dir_all(&units).expect("a folder");
    for program in ["usr/bin/aerie", "usr/lib/aerie/grow-data", "usr/lib/aerie/welcome"] {
        let program = root.path().join(program);
        fs::create_dir_all(program.parent().expect("a folder")).expect("a folder");
        fs::write(&program, "#!/bin/sh\n").expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    }
    // Targets that services depend on, and what every service does without saying so.
    for target in
        ["basic", "local-fs", "multi-user", "network-online", "network-pre", "shutdown", "sysinit"]
    {
        let file = units.join(format!("{target}.target"));
        fs::write(file, "[Unit]\nDescription=There\n").expect("written");
    }
    for (unit, _) in UNITS {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(unit);
        fs::copy(ours, units.join(name(unit))).expect("copied");
    }
    root
}

/// A unit's name, wherever its file lies.
fn name(unit: &str) -> &str {
    unit.rsplit('/').next().expect("a name")
}

/// Whatever ends in `.service` is judged.
#[test]
fn v1_no_unit_is_left_out() {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    for folder in ["", "image/"] {
        for entry in fs::read_dir(ours.join(folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name().into_string().expect("a name");
            let unit = format!("{folder}{name}");
            assert!(
                !name.ends_with(".service") || UNITS.iter().any(|(known, _)| *known == unit),
                "{unit}"
            );
        }
    }
}

#[tokio::test]
async fn v1_systemd_understands_every_line_of_the_units() {
    let root = root();
    for (unit, _) in UNITS {
        let mut command = Command::new("systemd-analyze");
        command.arg("verify").arg("--root").arg(root.path());
        command.arg(root.path().join("etc/systemd/system").join(name(unit)));
        let printed = run_tool(command).await;
        // A key that it does not know is a warning, and exit status 0.
        assert_eq!((printed.code, printed.everything.as_str()), (Some(0), ""), "{unit}");
    }
}

#[tokio::test]
async fn v1_systemd_finds_hardly_anything_that_the_units_could_reach() {
    let root = root();
    for (unit, bound) in UNITS {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=true", "--no-pager"]);
        command.arg(format!("--threshold={bound}")).arg("--root").arg(root.path()).arg(name(unit));
        let printed = run_tool(command).await;
        assert_eq!(printed.code, Some(0), "{unit}: {}", printed.everything);
    }
}
