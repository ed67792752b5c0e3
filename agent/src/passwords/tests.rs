//! Every way in which a change can be cut off, over accounts in memory.

use std::collections::BTreeMap;

use aerie_protocol::inform::{HeldPassword, SetPassword, TryPassword};

use super::{Accounts, Home, Memory, Moment, PasswordError, Passwords, Step};
use crate::policy::PasswordPolicy;

/// A machine whose entries tell the password, numbered so that no two are the same.
#[derive(Debug)]
struct Machine {
    entries: BTreeMap<String, String>,
    made: u32,
    now: Moment,
    /// `chpasswd` says that it has done it, and has not.
    lies: bool,
}

impl Accounts for Machine {
    fn entry(&mut self, account: &str) -> Result<Option<String>, String> {
        Ok(self.entries.get(account).cloned())
    }

    fn entry_for(&mut self, password: &str) -> Result<String, String> {
        self.made += 1;
        Ok(format!("{} {password}", self.made))
    }

    async fn set(&mut self, account: &str, entry: &str) -> Result<(), String> {
        if !self.lies {
            self.entries.insert(account.to_owned(), entry.to_owned());
        }
        Ok(())
    }

    async fn authenticates(&mut self, account: &str, password: &str) -> Result<bool, String> {
        let entry = self.entries.get(account).and_then(|entry| entry.split_once(' '));
        Ok(entry.is_some_and(|(_, holds)| holds == password))
    }

    fn now(&self) -> Moment {
        self.now.clone()
    }
}

fn machine() -> Machine {
    let entries = ["admin", "other"].map(|account| (account.to_owned(), "0 factory".to_owned()));
    let now = Moment { boot: "first".to_owned(), seconds: 100 };
    Machine { entries: entries.into(), made: 0, now, lies: false }
}

fn over(machine: Machine, home: Home) -> Passwords<Machine> {
    let accounts = ["admin", "ghost"].map(str::to_owned).into();
    Passwords::new(machine, PasswordPolicy { accounts }, "/etc/policy.toml".into(), home)
}

fn passwords() -> Passwords<Machine> {
    over(machine(), Home::in_memory(Memory::default()))
}

fn of(credential: u8, version: u64) -> SetPassword {
    SetPassword {
        account: "admin".to_owned(),
        credential_id: vec![credential; 16],
        version,
        password: format!("secret {credential}.{version}").into_bytes(),
        sealed: vec![credential; 3],
    }
}

fn holds(passwords: &mut Passwords<Machine>) -> HeldPassword {
    let held = passwords.held().unwrap();
    assert_eq!(held.len(), 1, "the account that the policy names and the machine has: {held:?}");
    held[0].clone()
}

fn tried(password: &str) -> TryPassword {
    TryPassword { account: "admin".to_owned(), password: password.into() }
}

#[tokio::test]
async fn v4_a_password_is_set_proven_and_known_afterwards() {
    let mut passwords = passwords();
    let nothing = HeldPassword { account: "admin".to_owned(), ..HeldPassword::default() };
    assert_eq!(holds(&mut passwords), nothing);
    let answered = passwords.set(&of(1, 3)).await.unwrap();
    let expected = HeldPassword {
        account: "admin".to_owned(),
        credential_id: vec![1; 16],
        version: 3,
        newest: 3,
        sealed: vec![1; 3],
    };
    assert_eq!(holds(&mut passwords), expected);
    assert_eq!(answered, HeldPassword { sealed: Vec::new(), ..expected });
    passwords.try_password(&tried("secret 1.3")).await.unwrap();
}

#[tokio::test]
async fn v4_cut_off_after_any_step_the_device_knows_which_password_holds() {
    for stop in Step::ALL {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut before = over(machine(), Home::beside(&state).unwrap());
        before.set(&of(1, 1)).await.unwrap();
        let cut = PasswordError::Failed("the plug is pulled".to_owned());
        let mut steps = Vec::new();
        let outcome = before
            .set_stopping(&of(1, 2), &mut |step| {
                steps.push(step);
                if step == stop { Err(cut.clone()) } else { Ok(()) }
            })
            .await;
        assert_eq!(outcome, Err(cut));
        assert_eq!(steps, Step::ALL[..steps.len()], "every step, in its order");

        // Another agent finds the machine as it is.
        let mut after = over(before.accounts, Home::beside(&state).unwrap());
        let held = holds(&mut after);
        let set = steps.contains(&Step::Set);
        let remembered = steps.contains(&Step::Remembered);
        assert_eq!(held.version, if set { 2 } else { 1 }, "{stop:?}");
        assert_eq!(held.newest, if remembered { 2 } else { 1 }, "{stop:?}");
        assert_eq!(held.sealed, [1; 3]);
        let password = if set { "secret 1.2" } else { "secret 1.1" };
        after.try_password(&tried(password)).await.unwrap();
        // And the next one goes through.
        assert_eq!(after.set(&of(1, 3)).await.unwrap().version, 3);
    }
}

#[tokio::test]
async fn v4_an_older_version_is_refused_and_another_credential_starts_over() {
    let mut passwords = passwords();
    passwords.set(&of(1, 5)).await.unwrap();
    for version in [0, 1, 4, 5] {
        let error = passwords.set(&of(1, version)).await.unwrap_err();
        assert_eq!(error, PasswordError::Outdated { newest: 5 });
    }
    assert_eq!(holds(&mut passwords).version, 5);
    assert_eq!(passwords.set(&of(2, 1)).await.unwrap().credential_id, [2; 16]);
}

#[tokio::test]
async fn v4_restored_firmware_and_a_password_of_the_devices_own_are_told_apart() {
    let mut passwords = passwords();
    passwords.set(&of(1, 1)).await.unwrap();
    let old = passwords.accounts.entries.clone();
    passwords.set(&of(1, 2)).await.unwrap();
    passwords.accounts.entries = old;
    let held = holds(&mut passwords);
    assert_eq!((held.version, held.newest), (1, 2));
    passwords.accounts.entries.insert("admin".to_owned(), "77 own".to_owned());
    let held = holds(&mut passwords);
    assert_eq!((held.credential_id.len(), held.version, held.newest), (0, 0, 2));
    assert!(held.sealed.is_empty());
}

#[tokio::test]
async fn what_the_account_has_is_never_forgotten_and_of_the_others_eight_are_kept() {
    let mut passwords = passwords();
    passwords.set(&of(1, 1)).await.unwrap();
    passwords.accounts.lies = true;
    for version in 2..30 {
        let error = passwords.set(&of(1, version)).await.unwrap_err();
        assert!(error.to_string().contains("has another one"), "{error}");
    }
    let held = holds(&mut passwords);
    assert_eq!((held.version, held.newest), (1, 29));
    let longest = super::memory::encode(passwords.memory()).unwrap().len();
    assert!(longest < 3000, "{longest}");
}

#[tokio::test]
async fn v4_what_the_policy_does_not_name_is_refused_with_the_lines_to_write() {
    let mut passwords = passwords();
    let mut set = of(1, 1);
    set.account = "other".to_owned();
    let error = passwords.set(&set).await.unwrap_err();
    let PasswordError::NotAllowed(advice) = &error else { panic!("{error}") };
    assert!(advice.contains("`[passwords]`") && advice.contains("/etc/policy.toml"), "{advice}");
    assert!(advice.contains("`accounts = [\"other\"]`"), "{advice}");
    let other = TryPassword { account: "other".to_owned(), password: b"factory".to_vec() };
    assert!(matches!(passwords.try_password(&other).await, Err(PasswordError::NotAllowed(_))));
    assert_eq!(passwords.accounts.entries["other"], "0 factory");
    set.account = "ghost".to_owned();
    let error = passwords.set(&set).await.unwrap_err();
    assert!(error.to_string().contains("no account `ghost`"), "{error}");
}

#[tokio::test]
async fn a_password_that_nobody_can_type_changes_nothing() {
    let mut passwords = passwords();
    for password in [&b""[..], b"a\nb", b"a\0", b"\x7f", b"\xff", &[b'x'; 257]] {
        let mut set = of(1, 1);
        set.password = password.to_vec();
        assert!(matches!(passwords.set(&set).await, Err(PasswordError::Failed(_))));
    }
    assert_eq!(*passwords.memory(), Memory::default());
    let mut umlauts = of(1, 1);
    umlauts.password = "grün & 漢字".into();
    passwords.set(&umlauts).await.unwrap();
}

#[tokio::test]
async fn v4_five_wrong_tries_a_quarter_of_an_hour_and_no_restart_of_the_agent_gives_more() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut passwords = over(machine(), Home::beside(&state).unwrap());
    for _ in 0..20 {
        passwords.try_password(&tried("factory")).await.unwrap();
    }
    for round in 0..5 {
        passwords = over(passwords.accounts, Home::beside(&state).unwrap());
        let outcome = passwords.try_password(&tried("guess")).await;
        assert_eq!(outcome, Err(PasswordError::Wrong), "{round}");
    }
    passwords = over(passwords.accounts, Home::beside(&state).unwrap());
    for guess in ["guess", "factory"] {
        let outcome = passwords.try_password(&tried(guess)).await;
        assert!(matches!(outcome, Err(PasswordError::Busy(_))), "{outcome:?}");
    }
    passwords.accounts.now.seconds += 15 * 60;
    passwords.try_password(&tried("factory")).await.unwrap();
}

#[tokio::test]
async fn a_damaged_memory_is_reported_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    over(machine(), Home::beside(&state).unwrap()).set(&of(1, 1)).await.unwrap();
    let file = folder.path().join("state.passwords/passwords.json");
    let whole = std::fs::read_to_string(&file).unwrap();
    for damaged in [&whole[..whole.len() / 2], "{}", "{\"format\":2,\"accounts\":{}}"] {
        std::fs::write(&file, damaged).unwrap();
        let error = Home::beside(&state).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), damaged);
    }
}

#[test]
fn the_directory_is_private_and_nobody_elses() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    Home::beside(&folder.path().join("state")).unwrap();
    assert_eq!(mode(&folder.path().join("state.passwords")) & 0o7777, 0o700);

    symlink(folder.path().join("state.passwords"), folder.path().join("link.passwords")).unwrap();
    Home::beside(&folder.path().join("link")).unwrap_err();

    let open = folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = Home::beside(&open.join("state")).unwrap_err();
    assert!(error.to_string().contains("can change"), "{error}");
}
