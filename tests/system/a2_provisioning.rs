//! An integrator's provisioning file: followed whole, once, and wiped; with faults it changes nothing.

use aerie::cut::{FIRST_BOOT_POINTS, PROVISION_POINTS};
use aerie_tests::{Appliance, ApplianceOptions, PASSWORD, Printed, Process, binary, run_tool};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

const IN_TIME: Duration = Duration::from_secs(30);

/// A machine of the test's own, whose data an appliance then gets.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(TempDir::new().expect("a folder"));
        std::fs::create_dir_all(machine.at("sys/proc/sys/kernel")).expect("a folder");
        std::fs::create_dir_all(machine.at("machine")).expect("a folder");
        std::fs::create_dir_all(machine.at("data")).expect("a folder");
        let data = machine.at("data").display().to_string();
        let any = "listen = [\"127.0.0.1:0\"]";
        let config = format!(
            "data_dir = {data:?}\n[http]\n{any}\n[https]\n{any}\n[accounts]\nbcrypt_cost = 6\n"
        );
        std::fs::write(machine.at("aerie.toml"), config).expect("a config file");
        machine
    }

    fn at(&self, part: &str) -> PathBuf {
        self.0.path().join(part)
    }

    fn file(&self) -> PathBuf {
        self.at("machine/aerie-provisioning.toml")
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(binary("aerie"));
        command.arg(verb).arg("--config").arg(self.at("aerie.toml"));
        command.env("CREDENTIALS_DIRECTORY", self.at("machine"));
        command
    }

    fn first_boot(&self) -> Command {
        let mut command = self.command("first-boot");
        for (option, part) in
            [("--machine-dir", "machine"), ("--run-dir", "run"), ("--sys-dir", "sys")]
        {
            command.arg(option).arg(self.at(part));
        }
        command
    }

    async fn boot(&self) -> Printed {
        let printed = run_tool(self.first_boot()).await;
        assert_eq!(printed.code, Some(0), "{}", printed.everything);
        printed
    }

    async fn serve(self) -> Appliance {
        let credentials = Some(self.at("machine"));
        let options = ApplianceOptions { credentials, ..ApplianceOptions::default() };
        Appliance::start_in(self.0, options).await
    }
}

/// A file that asks for everything but a network, with the hash that `aerie hash-password` makes.
async fn whole(machine: &Machine) -> String {
    let mut command = machine.command("hash-password");
    let mut typed = tempfile::tempfile().expect("a file");
    writeln!(typed, "{PASSWORD}").expect("written");
    std::io::Seek::rewind(&mut typed).expect("rewound");
    let output = command.stdin(Stdio::from(typed)).output().await.expect("it runs");
    let hash = String::from_utf8(output.stdout).expect("text");
    assert!(hash.starts_with("$2b$06$") && hash.trim().len() == 60, "{hash}");
    format!(
        "host_name = \"box.example\"\n\n[account]\nusername = \"owner\"\npassword_hash = \"{}\"\n\n\
         [ports]\nhttps = [\"127.0.0.1:0\"]\ninform = [\"127.0.0.1:0\"]\n\n\
         [time]\nzone = \"Europe/Vienna\"\n",
        hash.trim()
    )
}

async fn setup(appliance: &Appliance) -> Value {
    appliance.client().get("/nms/setup").await.expect(200).json()
}

/// What the owner's log and the audit log say of provisioning.
async fn told(appliance: &Appliance) -> (Vec<String>, Vec<String>) {
    let owner = appliance.log_in().await;
    let mut events = owner.log_lines().await;
    events.retain(|event| event.contains("provision"));
    let path = "/nms/audit?what=set-up&what=provisioned";
    let page = owner.client.get(path).await.expect(200).json();
    let items = page["items"].as_array().expect("a list");
    let what = |item: &Value| item["what"].as_str().expect("a text").to_owned();
    (events, items.iter().map(what).collect())
}

/// Nothing is left to be set up, nothing was done twice, and nothing of the file is left.
async fn is_provisioned(appliance: &Appliance) {
    assert_eq!(setup(appliance).await["isConfigured"], true);
    assert!(!appliance.data().join("setup-code").exists());
    assert_ne!(appliance.inform(), appliance.https(), "the file gives devices a port");
    let owner = appliance.log_in().await;
    assert!(owner.key.starts_with("wss://box.example:"), "{}", owner.key);
    let user = owner.client.get("/user").await.expect(200).json();
    assert_eq!(user["username"], "owner");
    assert_eq!(user["aerie"]["timezone"], "Europe/Vienna");
    let vault = owner.client.get("/vault/credentials").await.expect(200).json();
    assert_eq!(vault["isVaultGenerated"], false, "{vault}");
    let (events, deeds) = told(appliance).await;
    assert_eq!((events.len(), deeds.len()), (1, 2), "{events:?} {deeds:?}");
    for folder in [appliance.folder().join("machine"), appliance.data()] {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            assert!(!name.to_string_lossy().contains("provisioning"), "{} is left", name.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_provisioning_leaves_nothing_to_set_up_and_nothing_behind() {
    let machine = Machine::new();
    std::fs::write(machine.file(), whole(&machine).await).expect("written");
    machine.boot().await;
    let key = std::fs::read(machine.at("machine/machine-key")).expect("a machine key");
    assert_eq!(key.len(), 32);
    let mut appliance = machine.serve().await;
    is_provisioned(&appliance).await;
    appliance.terminate().await;
    appliance.start_again().await;
    is_provisioned(&appliance).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_provisioning_goes_on_after_a_power_cut_at_each_step() {
    let text = whole(&Machine::new()).await;
    for point in FIRST_BOOT_POINTS.into_iter().chain(PROVISION_POINTS) {
        let machine = Machine::new();
        std::fs::write(machine.file(), &text).expect("written");
        let cut = format!("{point}:1");
        if FIRST_BOOT_POINTS.contains(&point) {
            let mut boot = machine.first_boot();
            boot.env("AERIE_CUT", cut);
            assert_eq!(run_tool(boot).await.code, None, "{point}: it was not cut");
            if point != "provision-ordered" {
                // Pulled out with the power.
                drop(std::fs::remove_file(machine.file()));
            }
        } else {
            machine.boot().await;
            let mut daemon = machine.command("serve");
            daemon.env("AERIE_CUT", cut);
            let mut daemon = Process::start("aerie", daemon, &machine.at("cut.log"));
            assert_eq!(daemon.ended(IN_TIME).await.code(), None, "{point}: it was not cut");
        }
        machine.boot().await;
        let appliance = machine.serve().await;
        is_provisioned(&appliance).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_provisioning_with_faults_changes_nothing_and_names_each_of_them() {
    let machine = Machine::new();
    let text = whole(&machine).await;
    let text = text.replace("box.example", "box_").replace("inform =", "informs =") + "x = = 1\n";
    std::fs::write(machine.file(), &text).expect("written");
    let wanted = ["line 1: host_name: ", "line 9: [ports] informs: ", "line 13: "];
    let printed = machine.boot().await.everything;
    let mut check = machine.command("check-provisioning");
    check.arg(machine.file());
    let checked = run_tool(check).await;
    assert_eq!(checked.code, Some(78));
    for fault in wanted {
        assert!(printed.contains(fault), "{fault}: {printed}");
        assert!(checked.everything.contains(fault), "{fault}: {}", checked.everything);
    }
    let appliance = machine.serve().await;
    let state = setup(&appliance).await;
    let faults = state["provisioningFaults"].as_array().expect("a list");
    assert_eq!((&state["isConfigured"], faults.len()), (&json!(false), 3), "{state}");
    assert_eq!(appliance.inform(), appliance.https());
    // The wizard works, and then nobody needs to know any more.
    let owner = appliance.set_up().await;
    assert_eq!(setup(&appliance).await["provisioningFaults"], json!([]));
    owner.logged("has faults").await;
    let file = appliance.folder().join("machine/aerie-provisioning.toml");
    assert_eq!(std::fs::read_to_string(file).expect("it is there"), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_provisioning_is_refused_once_the_appliance_is_set_up() {
    let machine = Machine::new();
    let text = whole(&machine).await.replace("owner", "mallory");
    let appliance = machine.serve().await;
    appliance.set_up().await;
    let machine = Machine(appliance.into_folder().await);
    std::fs::write(machine.file(), &text).expect("written");
    let printed = machine.boot().await.everything;
    assert!(printed.contains("set up already"), "{printed}");
    assert_eq!(std::fs::read_to_string(machine.file()).expect("it is there"), text);
    let appliance = machine.serve().await;
    let (events, deeds) = told(&appliance).await;
    assert!(events.len() == 1 && events[0].contains("was left alone"), "{events:?}");
    assert_eq!(deeds, ["set-up"]);
    let login = json!({"username": "mallory", "password": PASSWORD});
    appliance.client().post("/user/login", login).await.expect(401);
}

fn provision(file: &Path) -> ApplianceOptions {
    let arguments = vec!["--provision".to_owned(), file.display().to_string()];
    ApplianceOptions { arguments, ..ApplianceOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_provisioning_by_the_command_line_goes_the_same_way() {
    let machine = Machine::new();
    let file = machine.at("wanted.toml");
    let text = whole(&machine).await;
    let refused = async |text: Option<&str>, named: &str| {
        drop(std::fs::remove_file(&file));
        if let Some(text) = text {
            std::fs::write(&file, text).expect("written");
        }
        let mut command = machine.command("serve");
        command.arg("--provision").arg(&file);
        let printed = run_tool(command).await;
        assert_eq!(printed.code, Some(78), "{}", printed.everything);
        assert!(printed.everything.contains(named), "{named}: {}", printed.everything);
    };
    refused(None, "cannot be read").await;
    refused(Some("host_name = \"a_\""), "line 1: host_name").await;
    refused(Some("[network]\ndhcp = true"), "aerie first-boot").await;
    std::fs::write(&file, &text).expect("written");
    let mut appliance = Appliance::start_in(machine.0, provision(&file)).await;
    is_provisioned(&appliance).await;
    assert!(!file.exists());
    // The same command line again; and with a file that comes too late.
    appliance.terminate().await;
    appliance.start_again().await;
    is_provisioned(&appliance).await;
    appliance.terminate().await;
    std::fs::write(&file, &text).expect("written");
    appliance.start_again().await;
    let (events, _) = told(&appliance).await;
    assert!(events.iter().any(|event| event.contains("was left alone")), "{events:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), text);
}
