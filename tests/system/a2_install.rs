//! What `make install` and `make deb` bring onto a machine.

use aerie_tests::{binary, run_tool};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

fn programs() -> PathBuf {
    binary("aerie").parent().expect("a folder").to_owned()
}

async fn install(to: &Path, more: &[(&str, &str)]) -> String {
    let mut command = Command::new(repository().join("systemd/install.sh"));
    command.env("DESTDIR", to).env("BINARIES", programs()).envs(more.iter().copied());
    let printed = run_tool(command).await;
    assert_eq!(printed.code, Some(0), "{}", printed.everything);
    printed.everything
}

/// Files and links below a folder.
fn files(folder: &Path) -> BTreeSet<String> {
    let (mut found, mut waiting) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("its type").is_dir() {
                waiting.push(entry.path());
            } else {
                let inside = entry.path();
                let inside = inside.strip_prefix(folder).expect("inside").to_string_lossy();
                found.insert(inside.into_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn a2_an_install_brings_what_debian_needs_and_an_image_more_and_keeps_what_an_owner_wrote() {
    let (plain, image) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let config = plain.path().join("etc/aerie/aerie.toml");
    install(plain.path(), &[("PREFIX", "/usr/local")]).await;
    fs::write(&config, "# mine\n").expect("written");
    install(plain.path(), &[("PREFIX", "/usr/local")]).await;
    assert_eq!(fs::read_to_string(&config).expect("the boot file"), "# mine\n");
    let unit = plain.path().join("usr/local/lib/systemd/system/aerie.service");
    let unit = fs::read_to_string(unit).expect("the unit");
    assert!(unit.contains("ExecStart=/usr/local/bin/aerie serve"), "{unit}");
    // Nothing that speaks for the whole machine.
    let of_the_machine = |file: &String| {
        ["conf.d", "grow-data", "mark-good", "data-fault", "welcome", "wait-online"]
            .iter()
            .any(|part| file.contains(part))
    };
    let here = files(plain.path());
    assert!(!here.iter().any(of_the_machine), "{here:#?}");

    install(image.path(), &[("IMAGE", "1")]).await;
    let here = files(image.path());
    assert_eq!(here.iter().filter(|file| of_the_machine(file)).count(), 15, "{here:#?}");
    for wanted in [
        "usr/bin/aerie",
        "usr/bin/aerie-agent",
        "usr/lib/systemd/system/multi-user.target.wants/aerie.service",
        "usr/lib/systemd/system/sysinit.target.wants/aerie-firstboot.service",
        "usr/lib/sysusers.d/aerie.conf",
        "usr/lib/tmpfiles.d/aerie.conf",
        "etc/aerie/aerie.toml",
    ] {
        assert!(here.contains(wanted), "{wanted}: {here:#?}");
    }
    let mut check = Command::new(binary("aerie"));
    check.arg("check-config").arg(image.path().join("etc/aerie/aerie.toml"));
    let printed = run_tool(check).await;
    assert_eq!(printed.code, Some(0), "{}", printed.everything);
}

/// One list says what stays over a restart of the machine; nothing else may.
#[test]
fn a2_whatever_persists_stands_in_one_list() {
    let systemd = repository().join("systemd");
    let list = fs::read_to_string(systemd.join("persistent.list")).expect("the list");
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let kept: BTreeSet<&str> =
        lines.map(|line| line.split_whitespace().next().expect("a path")).collect();
    assert!(kept.iter().all(|path| path.starts_with("/var/")), "{kept:?}");
    let mut used = BTreeSet::new();
    for folder in ["", "image"] {
        for entry in fs::read_dir(systemd.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|end| end != "service") {
                continue;
            }
            let unit = fs::read_to_string(&path).expect("a unit");
            let states = unit.lines().filter_map(|line| line.strip_prefix("StateDirectory="));
            used.extend(states.map(|name| format!("/var/lib/{name}")));
            assert!(!unit.contains("CacheDirectory=") && !unit.contains("LogsDirectory="));
        }
    }
    let tmpfiles = fs::read_to_string(systemd.join("aerie.tmpfiles")).expect("tmpfiles");
    used.extend(
        tmpfiles
            .lines()
            .filter_map(|line| line.strip_prefix("d "))
            .map(|line| line.split(' ').next().expect("a path").to_owned()),
    );
    for path in used {
        assert!(kept.contains(path.as_str()), "{path} stays and stands not in persistent.list");
    }
}

/// On a copy of this machine that nobody sees: its files below, what the package changes above.
#[tokio::test]
async fn a2_the_package_installs_is_updated_removed_and_purged_on_debian_and_keeps_data() {
    if !can_install().await {
        println!(
            "not run: only root can install a package, on a Debian where overlays can be mounted"
        );
        return;
    }
    let mut make = Command::new(repository().join("systemd/debian/deb.sh"));
    make.env("BINARIES", programs()).env("COMPRESSION", "none");
    let printed = run_tool(make).await;
    assert_eq!(printed.code, Some(0), "{}", printed.everything);
    let package = repository().join(printed.output.trim());
    let script = "set -ex\n\
        dpkg --install /package.deb\n\
        [ \"$(id -gn aerie)\" = aerie ] && id aerie-vault\n\
        [ \"$(stat -c %U:%a /var/lib/aerie)\" = aerie:700 ]\n\
        [ -L /etc/systemd/system/multi-user.target.wants/aerie.service ]\n\
        [ -L /etc/systemd/system/sysinit.target.wants/aerie-firstboot.service ]\n\
        aerie check-config\n\
        ldd /usr/bin/aerie /usr/bin/aerie-agent | grep 'not found' && exit 1\n\
        touch /var/lib/aerie/store.redb\n\
        echo '# mine' >> /etc/aerie/aerie.toml\n\
        dpkg --install /package.deb\n\
        grep -q '# mine' /etc/aerie/aerie.toml\n\
        dpkg --remove aerie\n\
        [ ! -e /usr/bin/aerie ] && [ -e /etc/aerie/aerie.toml ] && [ -e /var/lib/aerie/store.redb ]\n\
        dpkg --purge aerie | grep 'data stay'\n\
        [ ! -e /etc/aerie ] && [ -e /var/lib/aerie/store.redb ]\n\
        dpkg --install /package.deb\n\
        AERIE_PURGE_DATA=yes dpkg --purge aerie\n\
        [ ! -e /var/lib/aerie ]\n\
        echo all of it\n";
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("script");
    fs::write(&file, script).expect("written");
    let printed = run_tool(on_a_copy(folder.path(), &file, Some(&package))).await;
    assert!(
        printed.code == Some(0) && printed.output.contains("all of it"),
        "{}",
        printed.everything
    );
}

/// Runs a script as root where everything can be written and nothing stays.
fn on_a_copy(folder: &Path, script: &Path, package: Option<&Path>) -> Command {
    let copy = folder.join("copy");
    let mut lines = format!(
        "set -e\nmkdir -p '{copy}'\ncd '{copy}'\nmount -t tmpfs copy .\nmkdir above work all\n\
         mount -t overlay overlay -o lowerdir=/,upperdir=above,workdir=work all\n\
         mount -t proc proc all/proc\nmount --bind /dev all/dev\ncp '{}' all/script\n",
        script.display(),
        copy = copy.display(),
    );
    if let Some(package) = package {
        lines += "touch all/package.deb\n";
        lines +=
            &["mount --bind '", &package.display().to_string(), "' all/package.deb\n"].concat();
    }
    lines += "exec chroot all bash /script\n";
    let mut command = Command::new("timeout");
    command.args(["-k", "2", "300", "unshare", "--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["bash", "-c", &lines]);
    command
}

async fn can_install() -> bool {
    if !nix::unistd::getuid().is_root() || !Path::new("/var/lib/dpkg/status").exists() {
        return false;
    }
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("script");
    fs::write(&file, "dpkg --audit\n").expect("written");
    run_tool(on_a_copy(folder.path(), &file, None)).await.code == Some(0)
}
