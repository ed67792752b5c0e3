//! Questions over the socket and on the store, and what they leave behind.

use std::path::Path;

use tokio::net::UnixStream;

use super::*;
use crate::accounts::{ClientInfo, NewAccount};
use crate::clock::Clock;
use crate::config::Config;
use crate::seal::Seal;
use crate::store::Store;
use crate::store::records::{FactorsRecord, TotpRecord};
use crate::store::tables::{AUDIT, FACTORS};
use crate::supervisor::Supervisor;

const PASSWORD: &str = "a mast in the meadow";
const ANOTHER: &str = "a meadow without masts";

fn client() -> ClientInfo {
    ClientInfo { address: [198, 51, 100, 7].into(), agent: "test".to_owned() }
}

async fn set_up(data: &Path, store: Store) -> (Accounts, Supervisor) {
    let seal = Seal::open(data).unwrap();
    let supervisor = Supervisor::new();
    let accounts = Accounts::start(store, &seal, Clock::system(), data, &supervisor).await.unwrap();
    accounts.set_bcrypt_cost(4);
    let code = std::fs::read_to_string(data.join("setup-code")).unwrap();
    let olga = NewAccount {
        username: "Olga".to_owned(),
        email: "olga@example.net".to_owned(),
        timezone: String::new(),
        country: String::new(),
    };
    accounts.set_up(&code, olga, PASSWORD, &client()).await.map(|_| ()).unwrap();
    (accounts, supervisor)
}

fn reset(name: &str, password: &str) -> Question {
    Question::ResetPassword { name: name.to_owned(), password: password.to_owned() }
}

#[tokio::test]
async fn l3_a_reset_ends_every_login_and_lets_the_owner_in_whatever_was_guessed() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::memory().unwrap();
    let (accounts, _supervisor) = set_up(data.path(), store.clone()).await;
    let logins = accounts.login("olga", PASSWORD, None, &client()).await.unwrap();
    while !matches!(
        accounts.login("olga", "wrong", None, &client()).await,
        Err(AccountError::TooMany(_))
    ) {}
    let done = answer(&accounts, &reset("OLGA@example.net", ANOTHER)).await;
    assert!(matches!(&done, Answer::Done(text) if text.contains("Olga")), "{done:?}");
    assert!(accounts.authenticate(logins.1.expose()).await.is_err());
    let (account, _) = accounts.login("olga", ANOTHER, None, &client()).await.unwrap();
    assert!(accounts.login("olga", PASSWORD, None, &client()).await.is_err());
    let told = accounts.notices(account.id).await.unwrap();
    assert!(told.iter().any(|notice| notice.message.contains("console")), "{told:?}");
    let entries = store.read(|reader| reader.all(AUDIT)).await.unwrap();
    let reset = entries.iter().find(|(_, entry)| entry.what == "password-reset").unwrap();
    assert_eq!((reset.1.who.as_str(), reset.1.about.as_str()), ("console", "Olga"));
}

#[tokio::test]
async fn l3_what_cannot_be_is_refused_with_what_to_do_and_lists_nobody() {
    let data = tempfile::tempdir().unwrap();
    let (accounts, _supervisor) = set_up(data.path(), Store::memory().unwrap()).await;
    for question in [reset("oleg", ANOTHER), Question::DisableFactors { name: "oleg".to_owned() }] {
        let Answer::Refused(told) = answer(&accounts, &question).await else { panic!("done") };
        assert!(told.contains("aerie account list") && !told.contains("Olga"), "{told}");
    }
    for (password, word) in [("short", "at least 15"), ("passwordpassword", "common")] {
        let Answer::Refused(told) = answer(&accounts, &reset("olga", password)).await else {
            panic!("{password} was taken")
        };
        assert!(told.contains(word) && !told.contains(password), "{told}");
    }
    accounts.login("olga", PASSWORD, None, &client()).await.map(|_| ()).unwrap();
}

#[tokio::test]
async fn l3_with_a_second_factor_a_shorter_password_will_do_and_the_factor_can_be_switched_off() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::memory().unwrap();
    let (accounts, _supervisor) = set_up(data.path(), store.clone()).await;
    let id = accounts.login("olga", PASSWORD, None, &client()).await.map(|(olga, _)| olga.id);
    let id = id.unwrap();
    let write = move |writer: &crate::store::Writer<'_>| {
        let totp = TotpRecord { sealed: Vec::new(), confirmed: 0, last_step: 0 };
        writer.put(FACTORS, &id, &FactorsRecord { totp: Some(totp), ..FactorsRecord::default() })
    };
    store.write(write).await.unwrap();
    let Answer::Done(told) = answer(&accounts, &reset("olga", "kvx7 grau")).await else {
        panic!("refused")
    };
    assert!(told.contains("disable-2fa"), "{told}");
    let off = Question::DisableFactors { name: "Olga".to_owned() };
    let Answer::Done(told) = answer(&accounts, &off).await else { panic!("refused") };
    assert!(told.contains("are off"), "{told}");
    assert!(!accounts.has_factor(id).await.unwrap());
    let Answer::Done(told) = answer(&accounts, &off).await else { panic!("refused") };
    assert!(told.contains("no second factor"), "{told}");
    let refused = answer(&accounts, &reset("olga", "kvx7 grau")).await;
    assert!(matches!(refused, Answer::Refused(_)), "one factor needs a longer one");
}

#[tokio::test]
async fn the_socket_is_private_bounded_and_gone_at_the_end() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempfile::tempdir().unwrap();
    let (accounts, supervisor) = set_up(data.path(), Store::memory().unwrap()).await;
    let path = data.path().join(SOCKET);
    // What a daemon that was killed left behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let running = Running {
        version: "1.2.3".to_owned(),
        certificate: "AB:CD".to_owned(),
        fault: Some("the task \"ports\" hangs".to_owned()),
        urls: vec!["https://192.0.2.7".to_owned()],
    };
    let telling = running.clone();
    serve(accounts, Box::new(move || telling.clone()), data.path(), &supervisor);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    tokio::io::AsyncWriteExt::write_u32(&mut stream, u32::MAX).await.unwrap();
    frame::read::<Answer>(&mut stream, frame::ANSWER_BYTES).await.unwrap_err();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    frame::write(&mut stream, &Question::Accounts, frame::QUESTION_BYTES).await.unwrap();
    let answer: Answer = frame::read(&mut stream, frame::ANSWER_BYTES).await.unwrap();
    let listed = "Olga\tolga@example.net\tsuperadmin\tenabled\tone factor\n";
    assert_eq!(answer, Answer::Done(listed.to_owned()));
    let config = Config { data_dir: data.path().to_owned(), ..Config::default() };
    assert_eq!(super::running(&config).await.unwrap(), running);
    supervisor.shutdown(std::time::Duration::from_secs(10)).await;
    assert!(!path.exists());
    let gone = super::running(&config).await.unwrap_err();
    assert!(matches!(gone, ConsoleError::NotRunning(_)), "{gone}");
}

#[test]
fn without_a_daemon_the_store_is_asked_and_a_missing_one_is_not_made() {
    let data = tempfile::tempdir().unwrap();
    let config = Config { data_dir: data.path().to_owned(), ..Config::default() };
    let refused = ask(&config, &Question::Accounts).unwrap_err();
    assert!(refused.to_string().contains("--config"), "{refused}");
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Store::open(&data.path().join("store.redb")).unwrap();
    let (file, opened) = (store.file(), store.clone());
    runtime.block_on(async {
        let (accounts, supervisor) = set_up(data.path(), store).await;
        drop(accounts);
        supervisor.shutdown(std::time::Duration::from_secs(10)).await;
    });
    let busy = ask(&config, &Question::Accounts).unwrap_err();
    assert!(matches!(busy, ConsoleError::Silent(_)), "{busy}");
    drop(opened);
    runtime.block_on(file.closed());
    assert!(ask(&config, &Question::Accounts).unwrap().contains("Olga"));
    ask(&config, &reset("olga", ANOTHER)).unwrap();
    assert!(ask(&config, &reset("oleg", ANOTHER)).is_err());
}
