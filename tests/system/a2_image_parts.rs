//! The scripts that make an image, run on what they can be run on without Buildroot.

use aerie_tests::{Printed, run_tool};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

async fn script(path: &str, arguments: &[&Path]) -> Printed {
    let mut command = Command::new(root().join(path));
    command.args(arguments);
    run_tool(command).await
}

fn write(root: &Path, file: &str, text: &str) {
    let file = root.join(file);
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    fs::write(file, text).expect("written");
}

/// A root file system that has all that a slot has to have, in small.
fn slot() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let root = folder.path();
    for name in ["dev", "efi", "mnt", "proc", "root", "run", "sys", "tmp", "var"] {
        fs::create_dir(root.join(name)).expect("a folder");
    }
    write(
        root,
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\naerie:x:970:970::/:\naerie-vault:x:971:971::/:\n",
    );
    write(root, "etc/shadow", "root:*:::::::\naerie:!*:::::::\naerie-vault:*:::::::\n");
    write(root, "etc/machine-id", "");
    for file in [
        "boot/vmlinuz",
        "boot/initrd",
        "etc/aerie/aerie.toml",
        "usr/bin/aerie",
        "usr/bin/aerie-agent",
        "usr/lib/systemd/systemd",
        "usr/lib/systemd/system/aerie.service",
        "usr/lib/systemd/system/aerie-vault.service",
        "usr/lib/systemd/system/getty@.service",
        "usr/sbin/e2fsck",
    ] {
        write(root, file, "here\n");
    }
    let units = root.join("etc/systemd/system");
    fs::create_dir_all(units.join("multi-user.target.wants")).expect("a folder");
    symlink("/dev/null", units.join("getty@.service")).expect("a link");
    for unit in ["aerie.service", "aerie-vault.service"] {
        let from = units.join("multi-user.target.wants").join(unit);
        symlink(format!("/usr/lib/systemd/system/{unit}"), from).expect("a link");
    }
    folder
}

#[tokio::test]
async fn a2_a_slot_that_nobody_gets_into_passes_inspection() {
    let slot = slot();
    let printed = script("image/inspect.sh", &[slot.path()]).await;
    assert_eq!((printed.code, printed.everything.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a2_what_lets_people_into_a_slot_or_is_secret_is_named() {
    type Spoil = fn(&Path);
    let faults: [(&str, Spoil); 14] = [
        ("the account root in etc/shadow has a password, or needs none", |root| {
            write(root, "etc/shadow", "root::::::::\n");
        }),
        ("the account aerie in etc/shadow has a password", |root| {
            write(root, "etc/shadow", "root:*:::::::\naerie:$6$salt$hash:::::::\n");
        }),
        ("etc/shadow has no line for root", |root| {
            fs::remove_file(root.join("etc/shadow")).expect("removed");
        }),
        ("the account guest in etc/passwd has its password there, or none", |root| {
            write(
                root,
                "etc/passwd",
                "root:x:0:0::/:\nguest::1:1::/:\naerie:x:2:2::/:\naerie-vault:x:3:3::/:\n",
            );
        }),
        ("getty@.service asks for a login", |root| {
            fs::remove_file(root.join("etc/systemd/system/getty@.service")).expect("removed");
        }),
        ("usr/sbin/dropbear lets people in from the network", |root| {
            write(root, "usr/sbin/dropbear", "x");
        }),
        ("authorized_keys is there", |root| write(root, "root/.ssh/authorized_keys", "x")),
        ("etc/machine-id has to be there and empty", |root| {
            write(root, "etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        }),
        ("var/lib/aerie-machine/machine-key is a secret", |root| {
            write(root, "var/lib/aerie-machine/machine-key", "x");
        }),
        ("etc/aerie/key.pem is a secret", |root| {
            write(root, "etc/aerie/key.pem", "-----BEGIN EC PRIVATE KEY-----\n");
        }),
        ("usr/bin/su runs with other rights", |root| {
            write(root, "usr/bin/su", "x");
            let mode = fs::Permissions::from_mode(0o4755);
            fs::set_permissions(root.join("usr/bin/su"), mode).expect("set");
        }),
        ("boot/initrd is missing", |root| {
            fs::remove_file(root.join("boot/initrd")).expect("removed");
        }),
        ("there is no account aerie-vault", |root| {
            write(root, "etc/passwd", "root:x:0:0::/:\naerie:x:2:2::/:\n");
        }),
        ("aerie.service is not enabled", |root| {
            let link = "etc/systemd/system/multi-user.target.wants/aerie.service";
            fs::remove_file(root.join(link)).expect("removed");
        }),
    ];
    for (sentence, spoil) in faults {
        let slot = slot();
        spoil(slot.path());
        let printed = script("image/inspect.sh", &[slot.path()]).await;
        assert_eq!(printed.code, Some(1), "{sentence}: {}", printed.everything);
        assert!(printed.everything.contains(sentence), "{sentence}: {}", printed.everything);
    }
}

#[tokio::test]
async fn a2_an_unknown_board_is_told_which_there_are() {
    for board in ["toaster", "", "../x86_64_efi"] {
        let printed = script("buildroot/image.sh", &[Path::new(board)]).await;
        assert_eq!(printed.code, Some(2), "{}", printed.everything);
        for known in ["aarch64_efi", "x86_64_efi", "qemu_aarch64_virt"] {
            assert!(printed.everything.contains(known), "{}", printed.everything);
        }
    }
}

/// A copy of what fetches Buildroot, with an archive already there; `pinned` is what it has to hash to.
fn fetching(pinned: Option<&str>) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let downloads = folder.path().join("target/buildroot/downloads");
    fs::create_dir_all(&downloads).expect("a folder");
    write(folder.path(), "made/buildroot-1/Makefile", "export BR2_VERSION := 1\n");
    let archive = downloads.join("buildroot-1.tar.xz");
    let mut tar = std::process::Command::new("tar");
    tar.arg("--create").arg("--file").arg(&archive).arg("--directory");
    tar.arg(folder.path().join("made")).arg("buildroot-1");
    assert!(tar.status().expect("tar").success());
    let mut sum = String::new();
    for byte in Sha256::digest(fs::read(&archive).expect("read")) {
        let _ = write!(sum, "{byte:02x}");
    }
    let release = format!(
        "BUILDROOT_VERSION=1\nBUILDROOT_URL=https://buildroot.invalid/buildroot-1.tar.xz\nBUILDROOT_SHA256={}\n\
         BUILDROOT_SIGNED_BY=0000000000000000000000000000000000000000\n",
        pinned.unwrap_or(&sum)
    );
    write(folder.path(), "buildroot/release.env", &release);
    let script = folder.path().join("buildroot/fetch.sh");
    fs::copy(root().join("buildroot/fetch.sh"), script).expect("copied");
    folder
}

/// What was written a moment ago is read by a shell: a file that somebody still has open to write cannot be started.
fn fetch(folder: &Path) -> Command {
    let mut command = Command::new("bash");
    command.arg(folder.join("buildroot/fetch.sh"));
    command
}

#[tokio::test]
async fn a2_the_pinned_release_of_buildroot_is_unpacked() {
    let folder = fetching(None);
    for _ in 0..2 {
        let printed = run_tool(fetch(folder.path())).await;
        assert_eq!(printed.code, Some(0), "{}", printed.everything);
        let there = Path::new(printed.output.trim()).join("Makefile");
        assert!(there.exists(), "{}", printed.everything);
    }
}

#[tokio::test]
async fn a2_a_release_with_another_checksum_is_refused() {
    let folder = fetching(Some(&"0".repeat(64)));
    let printed = run_tool(fetch(folder.path())).await;
    assert_eq!((printed.code, printed.output.as_str()), (Some(1), ""), "{}", printed.everything);
    assert!(printed.everything.contains("is not the release that"), "{}", printed.everything);
    assert!(!folder.path().join("target/buildroot/buildroot-1").exists());
}

#[tokio::test]
async fn a2_a_release_that_cannot_be_fetched_is_told_how_to_bring() {
    let folder = fetching(None);
    fs::remove_file(folder.path().join("target/buildroot/downloads/buildroot-1.tar.xz"))
        .expect("removed");
    let mut command = fetch(folder.path());
    // A proxy that nobody answers at, so that no name is asked for.
    command.env("https_proxy", "http://127.0.0.1:9").env("no_proxy", "");
    let printed = run_tool(command).await;
    assert_eq!(printed.code, Some(1), "{}", printed.everything);
    assert!(printed.everything.contains("BUILDROOT=folder"), "{}", printed.everything);
}

#[tokio::test]
async fn a2_the_initramfs_carries_the_libraries_of_its_shell() {
    let target = TempDir::new().expect("a folder");
    // Any program that needs libraries stands for busybox; they are the machine's own.
    fs::create_dir_all(target.path().join("usr/bin")).expect("a folder");
    fs::copy("/bin/sed", target.path().join("usr/bin/busybox")).expect("copied");
    for folder in ["lib", "lib64", "usr/lib"] {
        symlink(Path::new("/").join(folder), target.path().join(folder)).expect("a link");
    }
    let packed = target.path().join("initrd");
    let again = target.path().join("again");
    for output in [&packed, &again] {
        let printed = script("buildroot/board/initrd.sh", &[target.path(), output]).await;
        assert_eq!((printed.code, printed.everything.as_str()), (Some(0), ""));
    }
    assert_eq!(
        fs::read(&packed).expect("read"),
        fs::read(&again).expect("read"),
        "not the same twice"
    );

    let mut list = Command::new("sh");
    list.arg("-c").arg("gzip -dc \"$0\" | cpio --list --quiet").arg(&packed);
    let printed = run_tool(list).await;
    let names: BTreeSet<&str> = printed.output.lines().collect();
    for name in ["init", "modules", "bin/busybox", "bin/sh", "bin/switch_root", "lib/libc.so.6"] {
        assert!(names.contains(name), "{name}: {}", printed.everything);
    }
    assert!(names.iter().any(|name| name.starts_with("lib/ld-linux-")), "{names:?}");

    fs::remove_file(target.path().join("usr/lib")).expect("removed");
    fs::remove_file(target.path().join("lib")).expect("removed");
    fs::remove_file(target.path().join("lib64")).expect("removed");
    let printed = script("buildroot/board/initrd.sh", &[target.path(), &packed]).await;
    assert_eq!(printed.code, Some(1), "{}", printed.everything);
    assert!(
        printed.everything.contains("which busybox needs, is nowhere"),
        "{}",
        printed.everything
    );
}

#[tokio::test]
async fn a2_a_name_that_a_finished_configuration_lost_is_said() {
    let folder = TempDir::new().expect("a folder");
    write(
        folder.path(),
        "wanted",
        "# a comment\nBR2_A=y\n# BR2_B is not set\nBR2_C=\"two words\"\n",
    );
    let (config, wanted) = (folder.path().join("config"), folder.path().join("wanted"));
    for (text, said) in [
        ("BR2_A=y\nBR2_C=\"two words\"\n", ""),
        ("BR2_C=\"two words\"\n", "does not keep: BR2_A=y"),
        ("BR2_A=y\nBR2_B=y\nBR2_C=\"two words\"\n", "does not keep: # BR2_B is not set"),
        ("BR2_A=y\nBR2_C=\"one\"\n", "does not keep: BR2_C=\"two words\""),
    ] {
        write(folder.path(), "config", text);
        let printed = script("buildroot/resolved.sh", &[&config, &wanted]).await;
        assert_eq!(printed.code, Some(i32::from(!said.is_empty())), "{}", printed.everything);
        assert!(printed.everything.contains(said), "{}", printed.everything);
    }
}

#[tokio::test]
async fn a2_the_list_of_components_names_every_crate_once_and_its_licence() {
    let target = Path::new("aarch64");
    let printed = script("buildroot/sbom.sh", &[target]).await;
    assert_eq!(printed.code, Some(0), "{}", printed.everything);
    let list: Value = serde_json::from_str(&printed.output).expect("JSON");
    assert_eq!(list["bomFormat"], "CycloneDX");
    let components = list["components"].as_array().expect("components");
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let mut references = BTreeSet::from(["aerie".to_owned()]);
    for one in components {
        let reference = one["bom-ref"].as_str().expect("a reference").to_owned();
        assert!(
            one["licenses"][0]["expression"].as_str().is_some_and(|text| !text.is_empty()),
            "{one}"
        );
        if let Some(sum) = one["hashes"][0]["content"].as_str() {
            assert!(lock.contains(&format!("checksum = \"{sum}\"")), "{one}");
        }
        assert!(references.insert(reference), "{one} stands twice");
    }
    for name in ["aerie", "aerie-agent", "tokio", "rustls", "redb", "aws-lc-sys", "svelte", "uplot"]
    {
        assert!(components.iter().any(|one| one["name"] == name), "{name} is missing");
    }
    // What only builds or tests is not inside.
    for name in ["prost-build", "serde_derive", "vitest", "vite", "aerie-tests"] {
        assert!(!components.iter().any(|one| one["name"] == name), "{name} is not inside");
    }
    for one in list["dependencies"].as_array().expect("dependencies") {
        let needs = one["dependsOn"].as_array().expect("a list").iter();
        for reference in needs.chain([&one["ref"]]) {
            assert!(references.contains(reference.as_str().expect("a reference")), "{reference}");
        }
    }
    assert_eq!(script("buildroot/sbom.sh", &[target]).await.output, printed.output);
}
