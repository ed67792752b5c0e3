//! The first boot on a machine of the test's own, and what the daemon makes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;

use super::*;
use crate::seal::Seal;
use crate::store::Store;
use crate::store::tables::{AUDIT, EVENTS, SECRETS, SETTINGS, SealedBytes};

const HASH: &str = "$2y$12$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u";
const KEY: &str = "machine-key";

struct Machine {
    folder: tempfile::TempDir,
    config: Config,
    roots: Roots,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |part: &str| folder.path().join(part);
        let roots = Roots { machine_dir: at("machine"), run_dir: at("run"), sys_dir: at("sys") };
        let config = Config { data_dir: at("data"), ..Config::default() };
        fs::create_dir_all(at("sys/proc/sys/kernel")).unwrap();
        Self { folder, config, roots }
    }

    async fn boot(&self) -> Result<(), FirstBootError> {
        first_boot(&self.config, &self.roots).await
    }

    fn key(&self) -> PathBuf {
        self.roots.machine_dir.join(KEY)
    }

    fn former(&self) -> PathBuf {
        self.config.data_dir.join(KEY)
    }

    fn file(&self) -> PathBuf {
        self.roots.machine_dir.join(media::FILE)
    }

    fn lay(&self, text: &str) {
        fs::create_dir_all(&self.roots.machine_dir).unwrap();
        fs::write(self.file(), text).unwrap();
    }

    fn store(&self) -> Store {
        fs::create_dir_all(&self.config.data_dir).unwrap();
        Store::open(&self.config.data_dir.join("store.redb")).unwrap()
    }

    /// A daemon's life with a key of its own, in which something was sealed.
    async fn seal_something(&self) {
        let store = self.store();
        let sealed = Seal::open(&self.config.data_dir).unwrap().seal("name", b"secret").unwrap();
        let sealed = SealedBytes(sealed);
        store.write(move |writer| writer.put(SECRETS, "name", &sealed)).await.unwrap();
        close(store).await;
    }

    /// What the daemon does before anything else. The faults for the GUI, and the store.
    async fn daemon(&self) -> (Vec<String>, Store) {
        let store = self.store();
        let now = Timestamp::UNIX_EPOCH;
        (provision(&self.config, &store, now, None).await.unwrap(), store)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path().join(path)).unwrap_or_default()
    }
}

async fn close(store: Store) {
    let file = store.file();
    drop(store);
    file.closed().await;
}

async fn events(store: &Store) -> String {
    let events = store.read(|reader| reader.all(EVENTS)).await.unwrap();
    events.into_iter().map(|(_, event)| event.message + "\n").collect()
}

fn whole() -> String {
    format!(
        "host_name = \"net.example.org\"\n[network]\naddress = \"192.0.2.2/24\"\n\
         gateway = \"192.0.2.1\"\ndns = [\"192.0.2.53\"]\n[account]\nusername = \"olga\"\n\
         password_hash = \"{HASH}\"\n[ports]\nhttps = 8443\n[time]\nzone = \"Europe/Vienna\"\n\
         ntp = [\"ntp.example.net\"]\n"
    )
}

#[tokio::test]
async fn a2_the_machine_key_is_made_once_and_is_roots_alone() {
    let machine = Machine::new();
    machine.boot().await.unwrap();
    let key = fs::read(machine.key()).unwrap();
    assert_eq!(key.len(), 32);
    assert_eq!(fs::metadata(machine.key()).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = fs::metadata(&machine.roots.machine_dir).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    machine.boot().await.unwrap();
    assert_eq!(fs::read(machine.key()).unwrap(), key);
    let other = Machine::new();
    other.boot().await.unwrap();
    assert_ne!(fs::read(other.key()).unwrap(), key);
}

#[tokio::test]
async fn a2_the_key_that_sealed_the_store_is_moved() {
    let machine = Machine::new();
    machine.seal_something().await;
    let key = fs::read(machine.former()).unwrap();
    machine.boot().await.unwrap();
    assert_eq!(fs::read(machine.key()).unwrap(), key);
    assert!(!machine.former().exists());
    // The power went after it was copied.
    fs::write(machine.former(), &key).unwrap();
    machine.boot().await.unwrap();
    assert_eq!(fs::read(machine.key()).unwrap(), key);
    assert!(!machine.former().exists());
}

#[tokio::test]
async fn a2_no_key_is_made_where_something_is_sealed() {
    let machine = Machine::new();
    machine.seal_something().await;
    let key = fs::read(machine.former()).unwrap();
    fs::remove_file(machine.former()).unwrap();
    let missing = machine.boot().await.unwrap_err();
    assert!(missing.is_for_people() && missing.to_string().contains("from a backup"), "{missing}");
    assert!(!machine.key().exists());
    for wrong in [vec![7; 32], vec![7; 3]] {
        fs::write(machine.former(), &wrong).unwrap();
        let refused = machine.boot().await.unwrap_err();
        assert!(refused.is_for_people() && refused.to_string().contains("backup"), "{refused}");
        assert!(!machine.key().exists());
        assert_eq!(fs::read(machine.former()).unwrap(), wrong);
    }
    fs::remove_file(machine.former()).unwrap();
    fs::write(machine.key(), &key).unwrap();
    machine.boot().await.unwrap();
}

#[tokio::test]
async fn a2_of_two_keys_the_one_that_opens_the_store_counts() {
    let machine = Machine::new();
    machine.boot().await.unwrap();
    let made = fs::read(machine.key()).unwrap();
    machine.seal_something().await;
    let conflict = machine.boot().await.unwrap_err();
    assert!(matches!(conflict, FirstBootError::OtherKey { .. }) && conflict.is_for_people());
    assert_eq!(fs::read(machine.key()).unwrap(), made);
    fs::rename(machine.former(), machine.key()).unwrap();
    fs::write(machine.former(), &made).unwrap();
    machine.boot().await.unwrap();
    assert_eq!(fs::read(machine.former()).unwrap(), made, "it may be of use elsewhere");
}

#[tokio::test]
async fn a2_a_link_in_the_daemons_directory_leads_nowhere() {
    let machine = Machine::new();
    fs::create_dir_all(&machine.config.data_dir).unwrap();
    let secret = machine.folder.path().join("secret");
    fs::write(&secret, [9; 32]).unwrap();
    std::os::unix::fs::symlink(&secret, machine.former()).unwrap();
    machine.boot().await.unwrap_err();
    assert!(!machine.key().exists());
    assert_eq!(fs::read(&secret).unwrap(), [9; 32]);
}

#[tokio::test]
async fn a2_a_provisioning_file_is_followed_whole_and_wiped() {
    let machine = Machine::new();
    let ports = machine.roots.sys_dir.join("sys/class/net");
    for (name, kind, device) in
        [("lo", "772", false), ("eth1", "1", true), ("eth0", "1", true), ("br0", "1", false)]
    {
        fs::create_dir_all(ports.join(name)).unwrap();
        fs::write(ports.join(name).join("type"), kind).unwrap();
        if device {
            fs::write(ports.join(name).join("device"), "").unwrap();
        }
    }
    machine.lay(&whole());
    machine.boot().await.unwrap();
    assert!(!machine.file().exists());
    let network = machine.read("run/systemd/network/10-aerie.network");
    let file = machine.roots.run_dir.join("systemd/network/10-aerie.network");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let folder = fs::metadata(file.parent().unwrap()).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o755, "others read what is in it");
    for line in ["Name=eth0", "Address=192.0.2.2/24", "Gateway=192.0.2.1", "DNS=192.0.2.53"] {
        assert!(network.lines().any(|one| one == line), "{line}: {network}");
    }
    assert!(machine.read("run/systemd/timesyncd.conf.d/10-aerie.conf").contains("ntp.example"));
    assert_eq!(machine.read("sys/proc/sys/kernel/hostname"), "net.example.org\n");

    let (faults, store) = machine.daemon().await;
    assert!(faults.is_empty());
    let (accounts, ports, host) = store
        .read(|reader| {
            let ports = reader.get(SETTINGS, "ports")?;
            Ok((reader.all(ACCOUNTS)?, ports, reader.get(SETTINGS, "host")?))
        })
        .await
        .unwrap();
    let (_, account) = &accounts[0];
    assert_eq!((accounts.len(), &*account.username, &*account.pepper), (1, "olga", "plain"));
    assert_eq!((&*account.timezone, &*account.role), ("Europe/Vienna", "superadmin"));
    assert!(ports.unwrap().contains("0.0.0.0:8443"));
    assert_eq!(host.as_deref(), Some("\"net.example.org\""));
    let audit = store.read(|reader| reader.all(AUDIT)).await.unwrap();
    let deeds: Vec<&str> = audit.iter().map(|(_, deed)| &*deed.what).collect();
    assert_eq!(deeds, ["set-up", "provisioned"]);
    let told = events(&store).await;
    assert!(told.contains("provisioned from a file: host name net.example.org"), "{told}");
    assert!(!told.contains("could not be wiped") && !told.contains("$2y$"), "{told}");
    close(store).await;
    let left: Vec<_> = [&machine.config.data_dir, &machine.roots.machine_dir]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("provisioning"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    // At the next boot the machine is what it was.
    fs::remove_dir_all(&machine.roots.run_dir).unwrap();
    machine.boot().await.unwrap();
    assert_eq!(machine.read("run/systemd/network/10-aerie.network"), network);
}

#[tokio::test]
async fn a2_a_file_with_faults_changes_nothing_and_is_told() {
    let machine = Machine::new();
    machine.lay(&whole().replace("192.0.2.1\"", "10.0.0.1\"").replace("8443", "0"));
    machine.boot().await.unwrap();
    assert!(machine.file().exists(), "its owner corrects it");
    assert!(!machine.roots.machine_dir.join("host.json").exists());
    assert_eq!(machine.read("run/systemd/network/10-aerie.network"), "");
    let (faults, store) = machine.daemon().await;
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("line 4: [network] gateway"), "{faults:?}");
    assert!(store.read(|reader| reader.all(ACCOUNTS)).await.unwrap().is_empty());
    assert!(events(&store).await.contains("[ports] https"));
    close(store).await;
    // Corrected, or taken away, it is nobody's trouble any more.
    fs::remove_file(machine.file()).unwrap();
    machine.boot().await.unwrap();
    let (faults, store) = machine.daemon().await;
    assert!(faults.is_empty());
    close(store).await;
    machine.lay(&whole());
    machine.boot().await.unwrap();
    let (faults, store) = machine.daemon().await;
    assert!(faults.is_empty());
    assert_eq!(store.read(|reader| reader.all(ACCOUNTS)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a2_a_configured_appliance_leaves_a_file_alone_and_says_so() {
    let machine = Machine::new();
    machine.lay(&whole());
    machine.boot().await.unwrap();
    close(machine.daemon().await.1).await;
    let network = machine.read("run/systemd/network/10-aerie.network");
    let another = whole().replace("olga", "mallory").replace("192.0.2.2", "192.0.2.3");
    machine.lay(&another);
    machine.boot().await.unwrap();
    assert_eq!(fs::read_to_string(machine.file()).unwrap(), another);
    assert_eq!(machine.read("run/systemd/network/10-aerie.network"), network);
    let (faults, store) = machine.daemon().await;
    assert!(faults.is_empty());
    let accounts = store.read(|reader| reader.all(ACCOUNTS)).await.unwrap();
    assert_eq!((accounts.len(), &*accounts[0].1.username), (1, "olga"));
    let told = events(&store).await;
    assert!(told.contains("was left alone") && told.contains("delete it"), "{told}");
}

#[tokio::test]
async fn a2_an_order_that_was_done_is_not_done_again() {
    let machine = Machine::new();
    machine.lay(&whole());
    machine.boot().await.unwrap();
    let word = machine.config.data_dir.join("provisioning.json");
    let order = fs::read(&word).unwrap();
    close(machine.daemon().await.1).await;
    fs::write(&word, &order).unwrap();
    let (faults, store) = machine.daemon().await;
    assert!(faults.is_empty() && !word.exists());
    assert_eq!(store.read(|reader| reader.all(ACCOUNTS)).await.unwrap().len(), 1);
    assert_eq!(events(&store).await.lines().count(), 1);
    close(store).await;
    fs::write(&word, "{").unwrap();
    let (faults, _store) = machine.daemon().await;
    assert!(faults.is_empty(), "what cannot be read keeps nobody out");
}

#[tokio::test]
async fn a2_dhcp_is_for_every_wired_interface_and_goes_when_it_is_not_wanted() {
    let machine = Machine::new();
    machine.lay("[network]\ndhcp = true\n");
    machine.boot().await.unwrap();
    let network = machine.read("run/systemd/network/10-aerie.network");
    assert!(network.contains("Type=ether\nKind=!*\n") && network.contains("DHCP=yes"), "{network}");
    close(machine.daemon().await.1).await;
    machine.lay("host_name = \"a\"\n");
    machine.boot().await.unwrap();
    assert_eq!(machine.read("run/systemd/network/10-aerie.network"), "");
}

#[tokio::test(start_paused = true)]
async fn a2_media_are_waited_for_where_there_may_be_one() {
    let machine = Machine::new();
    let (run, sys) = (&machine.roots.run_dir, &machine.roots.sys_dir);
    let waits = async || {
        let began = tokio::time::Instant::now();
        media::appear(run, sys).await;
        began.elapsed().as_secs()
    };
    let later = async |seconds, act: &dyn Fn()| {
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
        act();
    };
    let device = sys.join("sys/bus/pci/devices/0000:00:14.0");
    fs::create_dir_all(&device).unwrap();
    fs::write(device.join("class"), "0x020000\n").unwrap();
    assert_eq!(waits().await, 0, "a network card takes no stick");

    let queue = run.join("udev/queue");
    fs::create_dir_all(run.join("udev")).unwrap();
    fs::write(&queue, "").unwrap();
    let empty = || fs::remove_file(&queue).unwrap();
    let (waited, ()) = tokio::join!(waits(), later(3, &empty));
    assert_eq!(waited, 3, "udev still gives names");

    fs::write(device.join("class"), "0x0c0330\n").unwrap();
    assert_eq!(waits().await, 6, "nobody plugged a stick in");
    let links = sys.join("dev/disk/by-label");
    fs::create_dir_all(&links).unwrap();
    let plug_in = || fs::write(links.join("AERIE"), "").unwrap();
    let (waited, ()) = tokio::join!(waits(), later(2, &plug_in));
    assert_eq!(waited, 2);
}
