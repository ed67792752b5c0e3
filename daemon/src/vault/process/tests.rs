use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::files::Folder;
use super::keeper::Keeper;
use crate::clock::{Clock, ClockHand};
use crate::vault::SecretText;
use crate::vault::protocol::{
    Alphabet, Answer, Enrolment, Form, Key, LogEntry, Made, MasterKey, Pass, Plain, Proof,
    ProofKind, Question, Refusal, Sealed, Status, Unsealing,
};

const FORM: Form = Form { length: 20, alphabet: Alphabet::Readable };

/// A vault in a directory of its own.
struct Bench {
    data: tempfile::TempDir,
    folder: Folder,
    clock: Clock,
    hand: ClockHand,
    keeper: Keeper,
}

fn text(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

impl Bench {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::open(&data.path().join("vault")).unwrap();
        let (clock, hand) = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
        let keeper = Keeper::open(folder.clone(), clock.clone(), true, true).unwrap();
        Self { data, folder, clock, hand, keeper }
    }

    fn made() -> (Self, MasterKey) {
        let bench = Self::new();
        let key = bench.create().unwrap();
        (bench, key)
    }

    /// The process ends and starts anew.
    fn restart(&mut self) {
        let keeper = Keeper::open(self.folder.clone(), self.clock.clone(), true, true);
        self.keeper = keeper.unwrap();
    }

    fn ask(&self, question: Question) -> Result<Answer, Refusal> {
        match self.keeper.answer(question) {
            Answer::Refused(refusal) => Err(refusal),
            answer => Ok(answer),
        }
    }

    fn done(&self, question: Question) -> Result<(), Refusal> {
        self.ask(question).map(|answer| assert!(matches!(answer, Answer::Done)))
    }

    fn status(&self) -> Status {
        let Ok(Answer::Status(status)) = self.ask(Question::Status) else { panic!("no status") };
        status
    }

    fn create(&self) -> Result<MasterKey, Refusal> {
        self.ask(Question::Create { appliance: "Hill".to_owned() }).map(|answer| match answer {
            Answer::Made(key) => key,
            _ => panic!("something else"),
        })
    }

    fn unseal(&self, key: Key) -> Result<Unsealing, Refusal> {
        self.ask(Question::Unseal(key)).map(|answer| match answer {
            Answer::Unsealing(unsealing) => unsealing,
            _ => panic!("something else"),
        })
    }

    fn store(&self, credential: u128, version: u64, secret: &str) -> Result<Sealed, Refusal> {
        let plain = Plain { credential: id(credential), version, secret: text(secret) };
        self.ask(Question::Store(vec![plain])).map(|answer| match answer {
            Answer::Sealed(mut sealed) => sealed.remove(0),
            _ => panic!("something else"),
        })
    }

    fn open(&self, pass: Option<&Pass>, sealed: &Sealed) -> Result<String, Refusal> {
        let (pass, reason) = (pass.cloned(), "a look".to_owned());
        let question = Question::Open { pass, reason, sealed: sealed.clone() };
        opened(self.ask(question)).map(|mut opened| opened.remove(0))
    }

    fn grant(&self, job: u128, credentials: &[u128], each: u32) -> Result<(), Refusal> {
        let credentials = credentials.iter().copied().map(id).collect();
        let reason = "owner".to_owned();
        self.done(Question::Grant { pass: None, reason, job: id(job), credentials, each })
    }

    fn make(&self, job: u128, wanted: &[(u128, u64)]) -> Result<Vec<Made>, Refusal> {
        let wanted = wanted.iter().map(|(number, version)| (id(*number), *version)).collect();
        self.ask(Question::Make { job: id(job), wanted, form: FORM }).map(|answer| match answer {
            Answer::MadeSecrets(made) => made,
            _ => panic!("something else"),
        })
    }

    fn log(&self) -> Vec<LogEntry> {
        let Ok(Answer::Log(log)) = self.ask(Question::Log { from: 0 }) else { panic!("no log") };
        log
    }

    fn logged(&self) -> Vec<String> {
        self.log().into_iter().map(|entry| entry.what).collect()
    }
}

fn opened(answer: Result<Answer, Refusal>) -> Result<Vec<String>, Refusal> {
    answer.map(|answer| match answer {
        Answer::Opened(opened) => opened.iter().map(|text| text.expose().to_owned()).collect(),
        _ => panic!("something else"),
    })
}

fn words(key: &MasterKey) -> Key {
    Key::Words(key.words.clone())
}

fn file(key: &MasterKey) -> Key {
    Key::File(key.file.clone())
}

#[test]
fn v1_a_vault_is_made_open_sealed_by_a_restart_and_writes_while_sealed() {
    let mut bench = Bench::new();
    assert!(!bench.status().made);
    assert_eq!(bench.store(1, 1, "secret").unwrap_err(), Refusal::NotMade);
    let key = bench.create().unwrap();
    let status = bench.status();
    let expected = (true, false, false, 1);
    let told = (status.made, status.sealed, status.key_file_proven, status.epoch);
    assert_eq!(told, expected, "{}", status.public_key);
    let one = bench.store(1, 1, "first secret").unwrap();
    assert_eq!(bench.open(None, &one).unwrap(), "first secret");
    assert_eq!(bench.create().map(|_| ()).unwrap_err(), Refusal::AlreadyMade);
    bench.restart();
    assert!(bench.status().sealed);
    assert_eq!(bench.open(None, &one).unwrap_err(), Refusal::Sealed);
    let two = bench.store(2, 7, "while sealed").unwrap();
    for key in [words(&key), file(&key)] {
        assert_eq!(bench.unseal(key).unwrap(), Unsealing::Open);
        assert_eq!(bench.open(None, &one).unwrap(), "first secret");
        assert_eq!(bench.open(None, &two).unwrap(), "while sealed");
        bench.done(Question::SealNow).unwrap();
        assert_eq!(bench.open(None, &two).unwrap_err(), Refusal::Sealed);
    }
    assert_eq!(bench.status().opened, 5);
    assert_eq!(bench.create().map(|_| ()).unwrap_err(), Refusal::AlreadyMade);
    logged_all_of_it(&bench);
}

fn logged_all_of_it(bench: &Bench) {
    assert_eq!(
        bench.logged(),
        [
            "created",
            "opened",
            "unsealed",
            "opened",
            "opened",
            "sealed",
            "unsealed",
            "key-file-proven",
            "opened",
            "opened",
            "sealed"
        ]
    );
}

#[test]
fn v1_what_is_sealed_for_one_record_opens_for_no_other() {
    let (bench, _) = Bench::made();
    let sealed = bench.store(1, 1, "secret").unwrap();
    let others = [
        Sealed { version: 2, ..sealed.clone() },
        Sealed { credential: id(2), ..sealed.clone() },
        Sealed { bytes: vec![], ..sealed.clone() },
        Sealed { bytes: sealed.bytes[..sealed.bytes.len() - 1].to_vec(), ..sealed.clone() },
    ];
    for other in others {
        assert_eq!(bench.open(None, &other).unwrap_err(), Refusal::Seal);
    }
    assert_eq!(bench.status().opened, 0, "what does not open does not count");
    let long = "x".repeat(65_536);
    assert!(matches!(bench.store(1, 2, &long), Err(Refusal::Form(_))));
}

#[test]
fn v1_a_vault_that_was_never_used_nor_given_to_anybody_can_be_made_again() {
    let (mut bench, first) = Bench::made();
    bench.restart();
    let second = bench.create().unwrap();
    assert!(matches!(bench.unseal(file(&first)), Err(Refusal::Key(_))));
    bench.done(Question::ProveKeyFile(second.file.clone())).unwrap();
    bench.restart();
    assert_eq!(bench.create().map(|_| ()).unwrap_err(), Refusal::AlreadyMade);
    bench.unseal(words(&second)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn v2_wrong_keys_are_told_apart_and_only_guesses_cost_waits() {
    let (mut bench, key) = Bench::made();
    let (other, foreign) = Bench::made();
    drop(other);
    bench.done(Question::SealNow).unwrap();
    let told = |key: Key| match bench.unseal(key).unwrap_err() {
        Refusal::Key(told) => told,
        other => panic!("{other}"),
    };
    // Slips of the pen cost nothing, however many.
    let misspelt = key.words.expose().replacen(' ', "x ", 3);
    let cut = &key.file.expose()[..key.file.expose().find("Password:").unwrap()];
    let damaged = key.file.expose().replace("Key-Pair: 1", "Key-Pair: 2");
    for _ in 0..5 {
        assert!(told(Key::Words(text(&misspelt))).contains("word 1,"));
        assert!(told(Key::File(text("something"))).contains("no key file"));
        assert!(told(Key::File(text(&damaged))).contains("damaged in line"));
        assert!(told(Key::Share(text("something"))).contains("not split"));
    }
    assert!(told(file(&foreign)).contains("another vault: of the appliance \"Hill\""));
    assert!(told(words(&foreign)).contains("not this vault's"));
    assert!(told(words(&foreign)).contains("not this vault's"));
    assert!(told(words(&foreign)).contains("not this vault's"));
    assert_eq!(bench.unseal(words(&foreign)).unwrap_err(), Refusal::Wait { seconds: 2 });
    assert_eq!(bench.unseal(file(&key)).unwrap_err(), Refusal::Wait { seconds: 2 });
    // Neither a restart nor the clock shortens it.
    bench.hand.advance(Duration::from_secs(1));
    bench.restart();
    assert!(matches!(bench.unseal(file(&key)).unwrap_err(), Refusal::Wait { seconds: 1..=2 }));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(bench.unseal(file(&key)).unwrap(), Unsealing::Open);
    assert!(matches!(bench.unseal(words(&foreign)).unwrap_err(), Refusal::Key(_)), "free again");
    // What is left of a file with all its words still does.
    assert_eq!(bench.unseal(Key::File(text(cut))).unwrap(), Unsealing::Open);
}

#[tokio::test(start_paused = true)]
async fn v1_an_hour_has_its_openings_also_over_a_restart_and_a_clock_set_back() {
    let (mut bench, key) = Bench::made();
    let sealed = bench.store(1, 1, "secret").unwrap();
    for limit in [0, 1_001] {
        let question = Question::Limit { key: words(&key), an_hour: limit };
        assert!(matches!(bench.done(question), Err(Refusal::Form(_))));
    }
    bench.done(Question::Limit { key: words(&key), an_hour: 2 }).unwrap();
    bench.open(None, &sealed).unwrap();
    tokio::time::advance(Duration::from_mins(10)).await;
    bench.open(None, &sealed).unwrap();
    assert_eq!(bench.open(None, &sealed).unwrap_err(), Refusal::Limit { seconds: 3_000 });
    assert_eq!(bench.status().left, 0);
    bench.restart();
    bench.unseal(words(&key)).unwrap();
    assert!(matches!(bench.open(None, &sealed), Err(Refusal::Limit { .. })));
    // An hour back: it is as if no time had passed.
    let (clock, hand) = Clock::manual(Timestamp::from_second(1_600_000_000).unwrap());
    (bench.clock, bench.hand) = (clock, hand);
    bench.restart();
    bench.unseal(words(&key)).unwrap();
    assert!(matches!(bench.open(None, &sealed), Err(Refusal::Limit { .. })));
    tokio::time::advance(Duration::from_mins(50)).await;
    bench.open(None, &sealed).unwrap();
    assert_eq!(bench.status().opened, 3);
}

#[test]
fn v1_a_grant_makes_and_opens_for_its_job_alone_and_outlasts_a_restart() {
    let (mut bench, key) = Bench::made();
    assert_eq!(bench.make(1, &[(10, 1)]).map(|_| ()).unwrap_err(), Refusal::NoGrant);
    bench.grant(1, &[10, 20], 2).unwrap();
    bench.restart();
    // Sealed: it makes, and opens nothing.
    let made = bench.make(1, &[(10, 1), (20, 5)]).unwrap();
    let (one, two) = (&made[0], &made[1]);
    assert_eq!((one.sealed.credential, two.sealed.version), (id(10), 5));
    assert_ne!(one.secret.expose(), two.secret.expose());
    let ask = |sealed: &Sealed| {
        let (job, sealed) = (id(1), vec![sealed.clone()]);
        opened(bench.ask(Question::OpenForJob { job, sealed }))
    };
    assert_eq!(ask(&one.sealed).unwrap_err(), Refusal::Sealed);
    bench.unseal(words(&key)).unwrap();
    assert_eq!(ask(&one.sealed).unwrap(), [one.secret.expose()]);
    assert_eq!(ask(&one.sealed).unwrap_err(), Refusal::NoGrant, "made once, opened once");
    assert_eq!(bench.make(1, &[(20, 6), (30, 1)]).map(|_| ()).unwrap_err(), Refusal::NoGrant);
    bench.make(1, &[(20, 6)]).unwrap();
    bench.grant(2, &[10], 1).unwrap();
    bench.done(Question::EndGrant { job: id(2) }).unwrap();
    assert_eq!(bench.make(2, &[(10, 2)]).map(|_| ()).unwrap_err(), Refusal::NoGrant);
    for job in 10..17 {
        bench.grant(job, &[1], 1).unwrap();
    }
    assert!(matches!(bench.grant(17, &[1], 1), Err(Refusal::Form(_))));
    assert_eq!(bench.status().opened, 0, "jobs have grants instead of the hour's openings");
}

#[tokio::test(start_paused = true)]
async fn v1_who_enrolled_a_pin_opens_nothing_without_it() {
    let (mut bench, key) = Bench::made();
    let sealed = bench.store(1, 1, "secret").unwrap();
    let pin = |pin: &str| Enrolment::Pin(text(pin));
    let enrol = |enrolment| bench.ask(Question::Enrol { key: words(&key), enrolment }).map(|_| ());
    assert!(matches!(enrol(pin("12345")), Err(Refusal::Form(_))));
    enrol(pin("a pin 246")).unwrap();
    assert_eq!(bench.status().proofs, [ProofKind::Pin]);
    assert_eq!(bench.open(None, &sealed).unwrap_err(), Refusal::ProofDue);
    assert_eq!(bench.grant(1, &[1], 1).unwrap_err(), Refusal::ProofDue);
    let prove = |bench: &Bench, pin: &str| match bench.ask(Question::Prove(Proof::Pin(text(pin)))) {
        Ok(Answer::Passed(pass)) => Ok(pass),
        Ok(_) => panic!("something else"),
        Err(refusal) => Err(refusal),
    };
    let pass = prove(&bench, "a pin 246").ok().unwrap();
    assert_eq!(bench.open(Some(&pass), &sealed).unwrap(), "secret");
    let forged = Pass(text(&"0".repeat(64)));
    assert_eq!(bench.open(Some(&forged), &sealed).unwrap_err(), Refusal::ProofDue);
    tokio::time::advance(Duration::from_mins(5)).await;
    assert_eq!(bench.open(Some(&pass), &sealed).unwrap_err(), Refusal::ProofDue, "five minutes");
    for left in [4, 3, 2, 1] {
        let Err(Refusal::ProofWrong(told)) = prove(&bench, "wrong") else { panic!("no") };
        assert!(told.contains(&format!("{left} more")), "{told}");
    }
    assert!(matches!(prove(&bench, "wrong"), Err(Refusal::ProofWrong(_))));
    assert!(matches!(prove(&bench, "a pin 246"), Err(Refusal::Wait { seconds: 30 })));
    bench.restart();
    assert!(matches!(prove(&bench, "a pin 246"), Err(Refusal::Wait { .. })));
    tokio::time::advance(Duration::from_secs(30)).await;
    prove(&bench, "a pin 246").ok().unwrap();
    let question = Question::Unenrol { key: file(&key), kind: ProofKind::Pin };
    bench.done(question).unwrap();
    assert!(matches!(prove(&bench, "a pin 246"), Err(Refusal::ProofWrong(_))));
}

#[test]
fn v1_an_authenticator_app_counts_once_a_code_has_confirmed_it_and_takes_each_code_once() {
    let (bench, key) = Bench::made();
    let sealed = bench.store(1, 1, "secret").unwrap();
    let enrol = |enrolment| bench.ask(Question::Enrol { key: words(&key), enrolment });
    let Ok(Answer::Enrolled(Some(app))) = enrol(Enrolment::Totp { name: "olga".to_owned() }) else {
        panic!("no app")
    };
    bench.open(None, &sealed).unwrap();
    let secret = totp_rs::Secret::try_from_base32(app.key.expose()).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret.as_bytes().to_vec()).build().unwrap();
    let code = |seconds: u64| text(&totp.generate(seconds).to_string());
    assert!(enrol(Enrolment::TotpCode(text("000000"))).is_err());
    enrol(Enrolment::TotpCode(code(1_700_000_000))).unwrap();
    assert_eq!(bench.open(None, &sealed).unwrap_err(), Refusal::ProofDue);
    let prove = |seconds| bench.ask(Question::Prove(Proof::Totp(code(seconds))));
    assert!(matches!(prove(1_700_000_000), Err(Refusal::ProofWrong(_))), "used up");
    let Ok(Answer::Passed(pass)) = prove(1_700_000_030) else { panic!("no pass") };
    assert_eq!(bench.open(Some(&pass), &sealed).unwrap(), "secret");
    assert!(matches!(prove(1_700_000_030), Err(Refusal::ProofWrong(_))), "each once");
}

#[tokio::test(start_paused = true)]
async fn v2_shares_open_the_vault_together_within_a_quarter_of_an_hour() {
    let (mut bench, key) = Bench::made();
    let split = |bench: &Bench, needed, total| match bench.ask(Question::Split {
        key: words(&key),
        needed,
        total,
    }) {
        Ok(Answer::Shares(shares)) => Ok(shares),
        Ok(_) => panic!("something else"),
        Err(refusal) => Err(refusal),
    };
    assert!(matches!(split(&bench, 1, 2).map(|_| ()), Err(Refusal::Form(_))));
    let old = split(&bench, 2, 3).ok().unwrap();
    let shares = split(&bench, 2, 3).ok().unwrap();
    bench.restart();
    assert_eq!((bench.status().needed, bench.status().total), (2, 3));
    let share = |share: &SecretText| Key::Share(share.clone());
    assert!(
        matches!(bench.unseal(share(&old[0])), Err(Refusal::Key(told)) if told.contains("set"))
    );
    let missing = Unsealing::Missing { given: 1, needed: 2 };
    assert_eq!(bench.unseal(share(&shares[0])).unwrap(), missing);
    assert_eq!(bench.unseal(share(&shares[0])).unwrap(), missing, "the same one twice");
    tokio::time::advance(Duration::from_mins(15)).await;
    assert_eq!(bench.status().given, 0);
    assert_eq!(bench.unseal(share(&shares[2])).unwrap(), missing);
    assert_eq!(bench.unseal(share(&shares[1])).unwrap(), Unsealing::Open);
    // 1 of 1 ends it.
    assert!(split(&bench, 1, 1).ok().unwrap().is_empty());
    bench.done(Question::SealNow).unwrap();
    assert!(matches!(bench.unseal(share(&shares[1])), Err(Refusal::Key(_))));
}

#[test]
fn v2_a_new_key_pair_loses_nothing_wherever_it_is_cut_off() {
    let (mut bench, old) = Bench::made();
    let sealed = bench.store(1, 1, "secret").unwrap();
    let rekey = |bench: &Bench, key: Key| match bench.ask(Question::BeginRekey { key }) {
        Ok(Answer::Made(key)) => key,
        _ => panic!("no new key"),
    };
    // This answer reaches nobody: the old key begins it once more.
    drop(rekey(&bench, words(&old)));
    bench.restart();
    assert!(bench.status().rekeying && bench.status().epoch == 2);
    let new = rekey(&bench, file(&old));
    for key in [words(&old), words(&new)] {
        bench.restart();
        bench.unseal(key).unwrap();
        assert_eq!(bench.open(None, &sealed).unwrap(), "secret");
    }
    let Ok(Answer::Sealed(again)) = bench.ask(Question::Reseal(vec![sealed.clone()])) else {
        panic!("not sealed again")
    };
    assert_ne!(again[0].bytes, sealed.bytes);
    // Nobody has given the new key file back: the old key still opens everything.
    bench.done(Question::EndRekey).unwrap();
    bench.restart();
    assert!(bench.status().rekeying);
    bench.unseal(file(&old)).unwrap();
    assert_eq!(bench.open(None, &again[0]).unwrap(), "secret");
    let file_again = Question::ProveKeyFile(old.file.clone());
    assert!(matches!(bench.done(file_again), Err(Refusal::Key(_))));
    bench.done(Question::ProveKeyFile(new.file.clone())).unwrap();
    assert!(!bench.status().rekeying && bench.status().epoch == 2);
    assert_eq!(bench.open(None, &sealed).unwrap_err(), Refusal::Seal);
    assert_eq!(bench.open(None, &again[0]).unwrap(), "secret");
    bench.done(Question::SealNow).unwrap();
    let Err(Refusal::Key(told)) = bench.unseal(file(&old)) else { panic!("it opened") };
    assert!(told.contains("key pair 1"), "{told}");
    assert!(matches!(bench.unseal(words(&old)), Err(Refusal::Key(_))));
    bench.unseal(file(&new)).unwrap();
}

#[test]
fn v1_an_export_wants_the_master_password_and_counts_for_no_limit() {
    let (bench, key) = Bench::made();
    let sealed = vec![bench.store(1, 1, "one").unwrap(), bench.store(2, 1, "two").unwrap()];
    let ask = |key| {
        let reason = "olga".to_owned();
        opened(bench.ask(Question::Export { key, reason, sealed: sealed.clone() }))
    };
    assert!(matches!(ask(Key::Words(text("nothing"))), Err(Refusal::Key(_))));
    for _ in 0..3 {
        assert_eq!(ask(file(&key)).unwrap(), ["one", "two"]);
    }
    assert_eq!((bench.status().opened, bench.status().left), (0, 60));
    assert_eq!(bench.logged().iter().filter(|what| *what == "exported").count(), 3);
    bench.done(Question::SealNow).unwrap();
    assert_eq!(ask(file(&key)).unwrap_err(), Refusal::Sealed);
}

#[test]
fn v1_a_directory_that_cannot_be_written_to_refuses_and_changes_nothing() {
    let (bench, key) = Bench::made();
    let sealed = bench.store(1, 1, "secret").unwrap();
    for name in ["counter.new", "state.new"] {
        std::fs::create_dir(bench.folder.path(name)).unwrap();
    }
    let before = bench.status();
    assert!(matches!(bench.open(None, &sealed), Err(Refusal::Failed(_))));
    let question = Question::Limit { key: words(&key), an_hour: 7 };
    assert!(matches!(bench.done(question), Err(Refusal::Failed(_))));
    assert_eq!(bench.status(), before);
    for name in ["counter.new", "state.new"] {
        std::fs::remove_dir(bench.folder.path(name)).unwrap();
    }
    assert_eq!(bench.open(None, &sealed).unwrap(), "secret");
}

#[test]
fn v1_a_damaged_state_is_refused_and_left_alone() {
    let (bench, _) = Bench::made();
    let path = bench.folder.path("state");
    let whole = std::fs::read(&path).unwrap();
    for place in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        Keeper::open(bench.folder.clone(), bench.clock.clone(), true, true)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), damaged);
    }
}

/// What is cut off at each of its steps on the disk, and what has to hold afterwards.
struct Cut<'a> {
    name: &'a str,
    act: &'a dyn Fn(&Bench),
    holds: &'a dyn Fn(&Bench),
}

/// The power goes at the first step on the disk, at the second, and so on until it is done.
fn cut_everywhere(prepared: &Bench, cut: &Cut<'_>) -> u32 {
    for steps in 0.. {
        let bench = prepared.copy();
        bench.folder.steps.store(steps, std::sync::atomic::Ordering::SeqCst);
        (cut.act)(&bench);
        let gone = bench.folder.steps.load(std::sync::atomic::Ordering::SeqCst) == 0;
        let mut bench = bench;
        bench.folder = Folder::open(&bench.data.path().join("vault")).unwrap();
        bench.restart();
        let numbers: Vec<u64> = bench.log().iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "{}", cut.name);
        (cut.holds)(&bench);
        if !gone {
            return steps;
        }
    }
    0
}

impl Bench {
    /// The same directory once more.
    fn copy(&self) -> Self {
        let mut copy = Self::new();
        for name in self.folder.names().unwrap() {
            std::fs::copy(self.folder.path(&name), copy.folder.path(&name)).unwrap();
        }
        copy.restart();
        copy
    }
}

#[test]
fn v1_wherever_the_power_goes_the_vault_is_the_old_one_or_the_new_one() {
    let (made, key) = Bench::made();
    let sealed = made.store(1, 1, "secret").unwrap();
    made.grant(1, &[1], 2).unwrap();
    let reads = |bench: &Bench| {
        bench.unseal(words(&key)).unwrap();
        assert_eq!(bench.open(None, &sealed).unwrap(), "secret");
    };
    let open = |bench: &Bench| drop(bench.unseal(words(&key)));
    let cuts = [
        Cut { name: "unseal", act: &open, holds: &reads },
        Cut {
            name: "open",
            act: &|bench| {
                open(bench);
                drop(bench.open(None, &sealed));
            },
            holds: &reads,
        },
        Cut {
            name: "grant",
            act: &|bench| drop(bench.grant(2, &[1, 2], 1)),
            holds: &|bench| {
                reads(bench);
                bench.make(1, &[(1, 2)]).unwrap();
                let granted = bench.make(2, &[(2, 1)]).is_ok();
                assert!(bench.make(2, &[(2, 2)]).is_err(), "granted: {granted}");
            },
        },
        Cut {
            name: "make",
            act: &|bench| {
                // Whatever was answered is counted.
                if bench.make(1, &[(1, 2)]).is_ok() {
                    std::fs::write(bench.data.path().join("answered"), "").unwrap();
                }
            },
            holds: &|bench| {
                let answered = bench.data.path().join("answered").exists();
                let left = (0..3).filter(|version| bench.make(1, &[(1, *version)]).is_ok()).count();
                assert!(left == 1 || (left == 2 && !answered), "{left}, {answered}");
                reads(bench);
            },
        },
        Cut {
            name: "re-key",
            act: &|bench| drop(bench.ask(Question::BeginRekey { key: words(&key) })),
            holds: &reads,
        },
    ];
    for cut in &cuts {
        let steps = cut_everywhere(&made, cut);
        assert!(steps > 5, "{}", cut.name);
    }
}

#[test]
fn v1_wherever_the_power_goes_while_a_vault_is_made_one_can_be_made() {
    let create = Cut {
        name: "create",
        act: &|bench| drop(bench.create()),
        holds: &|bench| {
            let again = bench.create().unwrap();
            bench.done(Question::SealNow).unwrap();
            bench.unseal(file(&again)).unwrap();
        },
    };
    assert!(cut_everywhere(&Bench::new(), &create) > 5);
}
