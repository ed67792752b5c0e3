//! The br2-external tree in `buildroot/`, as far as files tell: Buildroot itself cannot be fetched everywhere, so what its
//! own check would say about style stands here again, and `buildroot/check.sh` asks it where it is.

use aerie_tests::run_tool;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use tokio::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder of the repository, by its path in it.
fn files(folder: &str) -> Vec<String> {
    let mut waiting = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(
                    path.strip_prefix(root()).expect("inside").to_string_lossy().into_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

fn defconfigs() -> Vec<String> {
    let found: Vec<String> = files("buildroot/configs")
        .into_iter()
        .filter(|file| file.ends_with("_defconfig"))
        .collect();
    assert_eq!(found.len(), 3, "{found:?}");
    found
}

/// The settings of a configuration, by name; none for one that is switched off. A name may stand once.
fn settings(path: &str, prefix: &str) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    for line in read(path).lines() {
        let (name, value) = if let Some(off) = line.strip_suffix(" is not set") {
            (off.trim_start_matches("# "), None)
        } else if line.is_empty() || line.starts_with("# ") {
            continue;
        } else {
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{path}: {line}"));
            (name, Some(value.trim_matches('"').to_owned()))
        };
        let spelt = name.strip_prefix(prefix).is_some_and(|rest| {
            !rest.is_empty() && rest.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
        });
        assert!(spelt, "{path}: `{name}` is no name of a setting");
        assert!(found.insert(name.to_owned(), value).is_none(), "{path}: {name} stands twice");
    }
    found
}

#[tokio::test]
async fn a2_the_boards_are_what_their_fragments_give() {
    let mut command = Command::new(root().join("buildroot/defconfigs.sh"));
    command.arg("--check");
    let printed = run_tool(command).await;
    assert_eq!((printed.code, printed.everything.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a2_a_board_that_was_changed_by_hand_is_found() {
    let copy = tempfile::TempDir::new().expect("a folder");
    for file in files("buildroot/configs") {
        let to = copy.path().join(file.strip_prefix("buildroot/").expect("inside"));
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(root().join(file), to).expect("copied");
    }
    let script = copy.path().join("defconfigs.sh");
    fs::copy(root().join("buildroot/defconfigs.sh"), &script).expect("copied");
    let board = copy.path().join("configs/aerie_x86_64_efi_defconfig");
    let changed = fs::read_to_string(&board)
        .expect("read")
        .replace("# BR2_TARGET_ENABLE_ROOT_LOGIN is not set", "BR2_TARGET_ENABLE_ROOT_LOGIN=y");
    fs::write(&board, changed).expect("written");

    let mut command = Command::new("bash");
    command.arg(&script).arg("--check");
    let printed = run_tool(command).await;
    assert_eq!(printed.code, Some(1), "{}", printed.everything);
    assert!(
        printed.everything.contains("aerie_x86_64_efi_defconfig is not what its fragments give"),
        "{}",
        printed.everything
    );
}

#[test]
fn a2_nobody_can_log_in_to_any_board() {
    for file in defconfigs() {
        let settings = settings(&file, "BR2_");
        for off in [
            "BR2_TARGET_ENABLE_ROOT_LOGIN",
            "BR2_TARGET_GENERIC_GETTY",
            "BR2_TARGET_GENERIC_REMOUNT_ROOTFS_RW",
        ] {
            assert_eq!(settings.get(off), Some(&None), "{file}: {off} has to be switched off");
        }
        for on in [
            "BR2_DOWNLOAD_FORCE_CHECK_HASHES",
            "BR2_REPRODUCIBLE",
            "BR2_INIT_SYSTEMD_VAR_NONE",
            "BR2_TARGET_ROOTFS_SQUASHFS",
        ] {
            assert_eq!(settings.get(on), Some(&Some("y".to_owned())), "{file}: {on} has to be on");
        }
        for name in settings.keys() {
            let opens = ["ROOT_PASSWD", "OPENSSH", "DROPBEAR", "TINYSSH", "TELNET", "USERS_TABLES"];
            assert!(!opens.iter().any(|word| name.contains(word)), "{file}: {name} lets people in");
        }
    }
    let busybox = settings("buildroot/board/busybox.fragment", "CONFIG_");
    for off in ["CONFIG_TELNETD", "CONFIG_LOGIN", "CONFIG_SU", "CONFIG_GETTY", "CONFIG_INETD"] {
        assert_eq!(busybox.get(off), Some(&None), "busybox: {off} has to be switched off");
    }
}

/// `kernel/a.fragment kernel/b.fragment` of a board, by path in the repository.
fn kernel_fragments(settings: &BTreeMap<String, Option<String>>) -> Vec<String> {
    let list = settings.get("BR2_LINUX_KERNEL_CONFIG_FRAGMENT_FILES").cloned().flatten();
    let list = list.expect("kernel fragments");
    list.split(' ').map(|file| file.replace("$(BR2_EXTERNAL_AERIE_PATH)", "buildroot")).collect()
}

#[test]
fn a2_every_setting_of_the_kernel_has_one_topic() {
    let mut used = BTreeSet::new();
    for file in defconfigs() {
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        for fragment in kernel_fragments(&settings(&file, "BR2_")) {
            for name in settings(&fragment, "CONFIG_").into_keys() {
                if let Some(other) = owners.insert(name.clone(), fragment.clone()) {
                    panic!("{file}: {name} stands in {other} and in {fragment}");
                }
            }
            used.insert(fragment);
        }
        for needed in ["CONFIG_SQUASHFS", "CONFIG_EXT4_FS", "CONFIG_WATCHDOG", "CONFIG_VIRTIO_BLK"]
        {
            assert!(owners.contains_key(needed), "{file}: {needed} is nowhere");
        }
    }
    let there: BTreeSet<String> = files("buildroot/kernel").into_iter().collect();
    assert_eq!(used, there, "a kernel fragment that no board uses, or one that is missing");
}

#[test]
fn a2_every_file_that_the_tree_names_is_there() {
    let mut checked = 0;
    for file in files("buildroot") {
        let text = read(&file);
        let beside = Path::new(&file).parent().expect("a folder");
        for (start, base) in [
            ("$(BR2_EXTERNAL_AERIE_PATH)/", PathBuf::from("buildroot")),
            ("$BR2_EXTERNAL_AERIE_PATH/", PathBuf::from("buildroot")),
            ("$here/", beside.to_owned()),
            ("$image/", PathBuf::from("image")),
            ("$initramfs/", PathBuf::from("image/initramfs")),
        ] {
            for (place, _) in text.match_indices(start) {
                let rest = &text[place + start.len()..];
                let name: String = rest
                    .chars()
                    .take_while(|one| one.is_ascii_alphanumeric() || "/._-".contains(*one))
                    .collect();
                // What is made while it is built is below target/; a pattern names no file.
                if name.starts_with("../target/") || rest[name.len()..].starts_with('*') {
                    continue;
                }
                checked += 1;
                let named = root().join(&base).join(&name);
                assert!(named.exists(), "{file} names {}, which is not there", named.display());
            }
        }
    }
    assert!(checked > 40, "only {checked} names were found");
}

#[test]
fn a2_what_has_to_agree_agrees() {
    let package = read("buildroot/package/aerie/aerie.mk");
    let version = read("Cargo.toml");
    let version = version.lines().find_map(|line| line.strip_prefix("version = ")).expect("one");
    let version = version.trim_matches('"');
    assert!(package.contains(&format!("AERIE_VERSION = {version}\n")), "aerie.mk is not {version}");

    // Who the units run as: what systemd makes on a Debian, Buildroot makes in the image.
    for line in read("systemd/aerie.sysusers").lines() {
        let mut words = line.split_whitespace();
        let (Some("u"), Some(user)) = (words.next(), words.next()) else { continue };
        let line = package.lines().find(|line| line.starts_with(&format!("\t{user} ")));
        let line = line.unwrap_or_else(|| panic!("AERIE_USERS does not make {user}"));
        let words: Vec<&str> = line.split_whitespace().collect();
        let number: u32 = words[1].parse().expect("a fixed number: the data outlives the slot");
        assert!((100..1000).contains(&number) && words[4] == "*", "{line}");
    }

    let hashes = read("buildroot/patches/linux/linux.hash");
    for file in defconfigs() {
        let settings = settings(&file, "BR2_");
        let kernel = settings.get("BR2_LINUX_KERNEL_CUSTOM_VERSION_VALUE").cloned().flatten();
        let kernel = kernel.expect("a version");
        assert!(hashes.contains(&format!("  linux-{kernel}.tar.xz\n")), "{file}: {kernel}");
        let series: Vec<&str> = kernel.split('.').take(2).collect();
        let headers = format!("BR2_PACKAGE_HOST_LINUX_HEADERS_CUSTOM_{}", series.join("_"));
        assert!(settings.contains_key(&headers), "{file}: {headers} is not set");
    }

    let release = read("buildroot/release.env");
    let value = |name: &str| {
        let found = release.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        found.unwrap_or_else(|| panic!("release.env: {name}")).to_owned()
    };
    let hex = |text: &str| text.chars().all(|one| one.is_ascii_hexdigit());
    assert!(value("BUILDROOT_URL").ends_with(&format!("-{}.tar.xz", value("BUILDROOT_VERSION"))));
    assert!(value("BUILDROOT_URL").starts_with("https://"));
    assert!(value("BUILDROOT_SHA256").len() == 64 && hex(&value("BUILDROOT_SHA256")));
    assert!(value("BUILDROOT_SIGNED_BY").len() == 40 && hex(&value("BUILDROOT_SIGNED_BY")));
}

#[test]
fn a2_the_shell_of_the_initramfs_has_what_its_init_calls() {
    let busybox = settings("buildroot/board/busybox.fragment", "CONFIG_");
    let applets = read("image/initramfs/applets");
    let applets: Vec<&str> = applets.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(applets.is_sorted(), "{applets:?}");
    for applet in &applets {
        let name = if *applet == "sh" { "ASH".to_owned() } else { applet.to_uppercase() };
        let name = format!("CONFIG_{name}");
        assert_eq!(busybox.get(&name), Some(&Some("y".to_owned())), "busybox has no {applet}");
    }
}

#[tokio::test]
async fn a2_buildroot_itself_judges_the_tree_where_it_is_there() {
    let printed = run_tool(Command::new(root().join("buildroot/check.sh"))).await;
    assert_eq!(printed.code, Some(0), "{}", printed.everything);
    println!("{}", printed.everything);
}

/// What Buildroot's `utils/check-package` asks of every file.
fn check_any(file: &str, text: &str) {
    assert!(text.ends_with('\n'), "{file}: no newline at the end");
    assert!(!text.ends_with("\n\n"), "{file}: an empty line at the end");
    assert!(!text.contains("\n\n\n"), "{file}: two empty lines");
    for (number, line) in text.lines().enumerate() {
        let shown = format!("{file}:{}: {line}", number + 1);
        assert_eq!(line, line.trim_end(), "{shown}: blanks at the end");
        assert!(line.is_ascii(), "{shown}: not ASCII");
    }
}

/// Attributes by one tab, in their order; help by a tab and two blanks, 62 characters at most.
fn check_config(file: &str, text: &str) {
    let order = ["bool", "string", "prompt", "default", "depends", "select", "help"];
    let mut last = 0;
    for (number, line) in text.lines().enumerate() {
        let shown = format!("{file}:{}: {line}", number + 1);
        if let Some(help) = line.strip_prefix("\t  ") {
            assert!(help.len() <= 62, "{shown}: longer than 62");
        } else if let Some(attribute) = line.strip_prefix('\t') {
            let word = attribute.split(' ').next().unwrap_or_default();
            let place = order.iter().position(|known| *known == word);
            let place = place.unwrap_or_else(|| panic!("{shown}: unknown, or not by one tab"));
            assert!(place >= last, "{shown}: type, default, depends on, select, help");
            assert!(attribute != "default n", "{shown}: n is the default");
            last = place;
        } else {
            assert!(!line.starts_with(' '), "{shown}: by a tab");
            last = 0;
        }
    }
}

/// The header, tabs inside `define` and after a backslash only, names with the package's prefix, no braces.
fn check_makefile(file: &str, text: &str) {
    let name = Path::new(file).file_stem().expect("a name").to_string_lossy().into_owned();
    let hashes = "#".repeat(80);
    let header = format!("{hashes}\n#\n# {name}\n#\n{hashes}\n\n");
    assert!(text.starts_with(&header), "{file}: its header");
    let (mut inside, mut continued) = (false, false);
    for (number, line) in text.lines().enumerate() {
        let shown = format!("{file}:{}: {line}", number + 1);
        let first = line.split([' ', '=']).next().unwrap_or_default();
        if line.starts_with("define ") {
            inside = true;
        } else if line == "endef" {
            inside = false;
        } else if !line.is_empty() && !line.starts_with('#') {
            assert_eq!(line.starts_with('\t'), inside || continued, "{shown}: tabs");
            assert!(first != "ifdef" && first != "ifndef", "{shown}: use ifeq");
        }
        let names = line.trim_start_matches("define ").split([' ', '=', '+', ':']).next();
        let names = names.unwrap_or_default();
        if names.contains('_') && names.chars().all(|one| one.is_ascii_uppercase() || one == '_') {
            let prefix = format!("{}_", name.to_uppercase());
            assert!(names.starts_with(&prefix), "{shown}: not {prefix}…");
        }
        assert!(!line.contains("${"), "{shown}: $() and not ${{}}");
        assert!(!line.contains("  \\") && !line.contains("\t\\"), "{shown}: one blank before \\");
        continued = line.ends_with('\\');
    }
}

#[test]
fn a2_the_tree_keeps_buildroots_own_style() {
    let mut checked = 0;
    for file in files("buildroot") {
        let text = read(&file);
        let end = Path::new(&file).extension().unwrap_or_default().to_string_lossy();
        if file.ends_with("Config.in") {
            check_config(&file, &text);
        } else if end == "mk" && !file.ends_with("external.mk") {
            check_makefile(&file, &text);
        } else if end == "hash" {
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let fields: Vec<&str> = line.split("  ").collect();
                assert!(
                    fields.len() == 3 && fields[0] == "sha256" && fields[1].len() == 64,
                    "{file}: {line}"
                );
            }
        } else if file.ends_with("_defconfig") {
            assert!(text.contains("\nBR2_DOWNLOAD_FORCE_CHECK_HASHES=y\n"), "{file}");
        } else {
            continue;
        }
        check_any(&file, &text);
        checked += 1;
    }
    assert!(checked >= 8, "only {checked} files were looked at");
    let name = read("buildroot/external.desc");
    assert!(name.starts_with("name: AERIE\ndesc: "), "{name}");
}
