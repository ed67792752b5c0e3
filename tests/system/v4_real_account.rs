//! A real Linux account, a real agent in its two processes, and the machine's own programs for accounts; `/etc` is the
//! test's own. The agent is killed at every point of a change that can be seen from outside.

use aerie_protocol::inform::{
    HeldPassword, HeldPasswords, RefusalReason, Reply, SetPassword, TryPassword, reply::Outcome,
    request::Verb,
};
use aerie_tests::{
    Agent, AgentOptions, Appliance, AtHand, HandAppliance, Owner, id_of, run_tool, until,
    with_own_accounts,
};
use nix::sys::signal::Signal;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const ACCOUNT: &str = "tester";
const FACTORY: &str = "as it came from the factory";
const ROUNDS: u64 = 20;

fn options() -> AgentOptions {
    let AgentOptions { policy } = AgentOptions::without_terminal();
    AgentOptions { policy: format!("{policy}[passwords]\naccounts = [\"{ACCOUNT}\"]\n") }
}

fn password(version: u64) -> String {
    if version == 0 { FACTORY.to_owned() } else { format!("Grün & \"{version}\" 7x$") }
}

fn set(version: u64) -> Verb {
    Verb::SetPassword(SetPassword {
        account: ACCOUNT.to_owned(),
        credential_id: vec![9; 16],
        version,
        password: password(version).into_bytes(),
        sealed: version.to_be_bytes().to_vec(),
    })
}

fn attempt(password: &str) -> Verb {
    Verb::TryPassword(TryPassword { account: ACCOUNT.to_owned(), password: password.into() })
}

fn entry() -> String {
    let shadow = std::fs::read_to_string("/etc/shadow").expect("the test's own shadow");
    let mut fields = shadow.lines().find_map(|line| line.strip_prefix(ACCOUNT)).expect("a line");
    fields = fields.strip_prefix(':').expect("its entry");
    fields.split(':').next().expect("its entry").to_owned()
}

/// Whether OpenSSL makes the account's entry of this password.
async fn openssl_agrees(password: &str) -> bool {
    let entry = entry();
    let (settings, _) =
        entry.strip_prefix("$6$").and_then(|rest| rest.rsplit_once('$')).expect(&entry);
    let mut openssl = Command::new("openssl");
    openssl.args(["passwd", "-6", "-salt", settings, password]);
    run_tool(openssl).await.output.trim() == entry
}

/// Whether PAM's own checker lets the account in.
async fn pam_agrees(password: &str) -> bool {
    let mut command = Command::new("/usr/sbin/unix_chkpwd");
    command.args([ACCOUNT, "nonull"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut checker = command.spawn().expect("unix_chkpwd (package libpam-modules-bin)");
    let mut input = checker.stdin.take().expect("its input");
    input.write_all(format!("{password}\0").as_bytes()).await.expect("it listens");
    drop(input);
    checker.wait().await.expect("it ends").success()
}

/// Which of the passwords that were ever sent the account has, by two programs that are not ours.
async fn holds(sent: u64) -> u64 {
    let mut found = None;
    for version in (0..=sent).rev() {
        if openssl_agrees(&password(version)).await {
            found = Some(version);
            break;
        }
    }
    let version = found.expect("the account has a password that nobody knows");
    assert!(
        pam_agrees(&password(version)).await,
        "version {version} is in the file and does not get in"
    );
    version
}

/// Where the agent is killed, as seen from outside.
#[derive(Clone, Copy, Debug)]
enum Instant {
    Asked,
    Remembered,
    Set,
    Replied,
}

const INSTANTS: [Instant; 4] =
    [Instant::Asked, Instant::Remembered, Instant::Set, Instant::Replied];

fn memory(agent: &Agent) -> PathBuf {
    agent.state().with_file_name("state.passwords").join("passwords.json")
}

/// Looks without a pause: what comes next takes a few milliseconds.
fn wait_for(what: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + aerie_tests::PATIENCE;
    while !what() {
        assert!(std::time::Instant::now() < deadline, "waited in vain");
        std::thread::yield_now();
    }
}

async fn change_and_kill(agent: &mut Agent, device: &mut AtHand, version: u64, at: Instant) {
    let (memory, before) = (memory(agent), entry());
    device.begin_to_ask(set(version)).await.expect("it listens");
    match at {
        Instant::Asked => {}
        Instant::Remembered => wait_for(|| remembers(&memory, version)),
        Instant::Set => wait_for(|| entry() != before),
        Instant::Replied => {
            let reply = device.reply().await.expect("a reply");
            assert_eq!(held(reply)[0].version, version);
        }
    }
    agent.kill().await;
}

/// A killed agent does not take with it what it has started. The next agent changes nothing meanwhile: both hold a lock
/// for it.
async fn what_was_under_way_ends(agent: &Agent) {
    let lock = std::fs::File::open(memory(agent).with_file_name("lock")).expect("a lock");
    let locked = tokio::task::spawn_blocking(move || lock.lock()).await;
    locked.expect("no panic").expect("it is let go of");
}

fn remembers(memory: &Path, version: u64) -> bool {
    let text = std::fs::read_to_string(memory).unwrap_or_default();
    text.contains(&format!("\"version\": {version},"))
}

fn held(reply: Reply) -> Vec<HeldPassword> {
    match reply.outcome {
        Some(Outcome::Passwords(passwords)) => passwords.held,
        other => panic!("{other:?}"),
    }
}

fn refused(reply: Option<Reply>) -> RefusalReason {
    match reply.and_then(|reply| reply.outcome) {
        Some(Outcome::Refusal(refusal)) => refusal.reason(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn v4_a_real_account_never_has_a_password_that_nobody_knows() {
    with_own_accounts(
        "v4_real_account::v4_a_real_account_never_has_a_password_that_nobody_knows",
        ACCOUNT,
        FACTORY,
        async || {
            let appliance = HandAppliance::start().await;
            let mut agent = Agent::start_with(&appliance.key(), &options());
            let (mut device, told) = appliance.device().await;
            assert_eq!(told.len(), 1);
            assert_eq!((told[0].account.as_str(), told[0].version), (ACCOUNT, 0));
            agent.enrols().await;

            println!("round  killed when   newest  holds");
            for (round, at) in (1..=ROUNDS).zip(INSTANTS.into_iter().cycle()) {
                change_and_kill(&mut agent, &mut device, round, at).await;
                agent.start_again();
                let told;
                (device, told) = appliance.device().await;
                what_was_under_way_ends(&agent).await;
                let holds = holds(round).await;
                let asked = device.ask(Verb::HeldPasswords(HeldPasswords {})).await;
                let all = held(asked.expect("a reply"));
                println!(
                    "{round:>5}  {:<12}  {:>6}  {holds:>5}",
                    format!("{at:?}"),
                    told[0].newest
                );
                assert_eq!(all[0].version, holds, "the device says which one holds");
                let sealed = if holds == 0 { Vec::new() } else { holds.to_be_bytes().to_vec() };
                assert_eq!(all[0].sealed, sealed, "it gives back what was sealed with it");
                if matches!(at, Instant::Set | Instant::Replied) {
                    assert_eq!(holds, round);
                }
            }

            let last = ROUNDS + 1;
            assert_eq!(held(device.ask(set(last)).await.expect("a reply"))[0].version, last);
            assert_eq!(holds(last).await, last);
            agent.process().signal(Signal::SIGTERM);
        },
    );
}

#[test]
fn v4_a_real_account_is_tried_and_guarded() {
    with_own_accounts(
        "v4_real_account::v4_a_real_account_is_tried_and_guarded",
        ACCOUNT,
        FACTORY,
        async || {
            let appliance = HandAppliance::start().await;
            let agent = Agent::start_with(&appliance.key(), &options());
            let (mut device, _) = appliance.device().await;
            let right = device.ask(attempt(FACTORY)).await.expect("a reply");
            assert!(matches!(right.outcome, Some(Outcome::Done(_))), "{right:?}");
            held(device.ask(set(5)).await.expect("a reply"));
            assert_eq!(refused(device.ask(set(5)).await), RefusalReason::Outdated);
            for _ in 0..5 {
                assert_eq!(refused(device.ask(attempt(FACTORY)).await), RefusalReason::Wrong);
            }
            assert_eq!(refused(device.ask(attempt(&password(5))).await), RefusalReason::Busy);
            assert!(pam_agrees(&password(5)).await, "trying locks nobody out");

            let other = SetPassword {
                account: "nobody".to_owned(),
                credential_id: vec![1; 16],
                version: 1,
                password: b"mine".to_vec(),
                sealed: Vec::new(),
            };
            let before = std::fs::read("/etc/shadow").expect("the test's own shadow");
            let refusal = refused(device.ask(Verb::SetPassword(other)).await);
            assert_eq!(refusal, RefusalReason::NotAllowed);
            assert_eq!(std::fs::read("/etc/shadow").expect("shadow"), before);

            // What is known of passwords is root's; the process that touches the network owns the state alone.
            let (root, worker) = (memory(&agent), agent.state());
            let owner =
                |path: &Path| std::os::unix::fs::MetadataExt::uid(&path.metadata().expect("it"));
            assert_eq!((owner(&root), owner(&worker)), (0, 65_534));
            for secret in [FACTORY.to_owned(), password(5)] {
                assert!(!std::fs::read_to_string(&root).expect("text").contains(&secret));
                assert!(!agent.printed().contains(&secret), "a password in the log");
            }
        },
    );
}

/// Begins a rotation of the account on every device. The job's id.
async fn rotate(owner: &Owner) -> String {
    owner.step_up().await;
    let body = json!({"all": true, "accounts": [ACCOUNT]});
    id_of(&owner.client.post("/vault/rotations", body).await.expect(201).json())
}

/// Waits until a job is done, and checks that what the vault shows is what the account has.
async fn ends_with_what_the_vault_knows(owner: &Owner, job: &str) -> String {
    until("the account has its new password", async || {
        let job = owner.client.get(&format!("/jobs/{job}")).await.expect(200).json();
        (job["counts"]["done"] == 1 && job["state"] == "done").then_some(())
    })
    .await;
    owner.step_up().await;
    let records = owner.client.get("/vault/records").await.expect(200).json();
    let password = owner.password(&id_of(&records["items"][0])).await;
    assert!(openssl_agrees(&password).await, "the vault shows another password");
    assert!(pam_agrees(&password).await, "the password does not get in");
    password
}

#[test]
fn v4_a_real_account_is_rotated_by_the_appliance_over_kills_of_it() {
    with_own_accounts(
        "v4_real_account::v4_a_real_account_is_rotated_by_the_appliance_over_kills_of_it",
        ACCOUNT,
        FACTORY,
        async || {
            let mut appliance = Appliance::start().await;
            let owner = appliance.set_up().await;
            let key = owner.make_vault().await;
            let agent = Agent::start_with(&owner.key, &options());
            owner.admit_one().await;
            agent.enrols().await;

            // Killed as soon as the account has another password, whether or not the appliance has heard of it.
            let before = entry();
            let job = rotate(&owner).await;
            wait_for(|| entry() != before);
            appliance.kill().await;
            appliance.start_again().await;
            owner.unseal(&key).await;
            let first = ends_with_what_the_vault_knows(&owner, &job).await;
            assert!(!pam_agrees(FACTORY).await, "the old password still gets in");

            // And where it has heard, and stored nothing of it.
            appliance.kill().await;
            appliance.cut_at(Some("rotation-replied:1".to_owned()));
            appliance.start_again().await;
            let job = rotate(&owner).await;
            assert!(appliance.is_cut_within(aerie_tests::PATIENCE).await, "it was not cut");
            appliance.cut_at(None);
            appliance.start_again().await;
            owner.unseal(&key).await;
            let second = ends_with_what_the_vault_knows(&owner, &job).await;
            assert_ne!(first, second);
            assert!(!pam_agrees(&first).await, "the former password still gets in");
        },
    );
}
