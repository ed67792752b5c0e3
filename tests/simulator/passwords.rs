//! The accounts of an invented device, and how it fails when their passwords are set.

use crate::cut::Cut;
use aerie_agent::passwords::{Memory, PasswordError, Passwords, Step};
use aerie_protocol::inform::{HeldPassword, SetPassword, TryPassword};
use aerie_tests::Book;
use clap::ValueEnum;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What goes wrong on a device, the first times that a password is set there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// Nothing does.
    Acknowledge,
    /// The agent ends once the request is checked; nothing has changed.
    CutChecked,
    /// The agent ends once the entry is made; nothing has changed.
    CutMade,
    /// The agent ends once the version is remembered; the password is the old one.
    CutRemembered,
    /// The agent ends once the password is set.
    CutSet,
    /// The agent ends once the password was read back.
    CutReadBack,
    /// The agent ends once the password is proven.
    CutProven,
    /// Everything is done, and the reply does not arrive.
    LoseReply,
    /// The device restarts before it has done anything.
    RebootBefore,
    /// The device restarts after it has done everything, before it replies.
    RebootAfter,
    /// The password is set, what is known of it is lost, and the reply too.
    HalfForgotten,
    /// It is remembered, and the account keeps the old password.
    HalfSet,
    /// The device says that it could not.
    Refuse,
    /// The second time: the device replies, and comes back with the firmware, the password and the
    /// memory of before.
    Restored,
    /// The device replies, and comes back without any memory of passwords.
    Wiped,
}

/// What passwords the devices of a crowd really have.
#[derive(Clone, Default)]
pub(crate) struct Truth(Arc<Mutex<BTreeMap<u32, serde_json::Value>>>);

impl Truth {
    /// One JSON line a device; the file is there as a whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let next = path.with_extension("new");
        let mut file = io::BufWriter::new(std::fs::File::create(&next)?);
        for line in lines.values() {
            writeln!(file, "{line}")?;
        }
        file.flush()?;
        std::fs::rename(next, path)
    }
}

/// How the devices of a crowd have passwords.
#[derive(Clone)]
pub(crate) struct PasswordPlan {
    pub(crate) accounts: Vec<String>,
    /// One after the other, by the device's number.
    pub(crate) faults: Vec<Fault>,
    /// How many times each device fails.
    pub(crate) times: u32,
    pub(crate) truth: Truth,
}

/// The passwords of one device.
pub(crate) struct Kept {
    number: u32,
    mac: String,
    plan: PasswordPlan,
    fault: Fault,
    passwords: Passwords<Book>,
    /// How often one was to be set.
    asked: u32,
    failed: u32,
    /// What the device has, and remembers, once it has replied and gone.
    comes_back_with: Option<(BTreeMap<String, String>, Memory)>,
    cut: Cut,
}

impl Kept {
    pub(crate) fn new(number: u32, mac: &[u8], plan: PasswordPlan, cut: Cut) -> Self {
        let book = Book::from_the_factory(&plan.accounts, &format!("{number:05}"));
        let count = u32::try_from(plan.faults.len()).unwrap_or(u32::MAX).max(1);
        let fault =
            plan.faults.get((number % count) as usize).copied().unwrap_or(Fault::Acknowledge);
        let mac = mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
        let passwords = book.kept(Memory::default());
        let kept = Self {
            number,
            mac,
            plan,
            fault,
            passwords,
            asked: 0,
            failed: 0,
            comes_back_with: None,
            cut,
        };
        kept.tell_truth();
        kept
    }

    fn tell_truth(&self) {
        let line = json!({
            "number": self.number,
            "mac": self.mac,
            "fault": format!("{:?}", self.fault),
            "asked": self.asked,
            "failed": self.failed,
            "accounts": self.passwords.accounts().passwords(),
        });
        self.plan.truth.0.lock().unwrap_or_else(PoisonError::into_inner).insert(self.number, line);
    }

    /// What a device tells of. One that has gone meanwhile has nothing to tell any more.
    pub(crate) fn held(&mut self) -> Result<Vec<HeldPassword>, PasswordError> {
        if let Some((entries, memory)) = self.comes_back_with.take() {
            self.reboot();
            self.become_again(entries, memory);
            self.cut.now();
        }
        self.passwords.held()
    }

    pub(crate) async fn set(&mut self, set: &SetPassword) -> Result<HeldPassword, PasswordError> {
        self.asked += 1;
        let due = match self.fault {
            Fault::Acknowledge => false,
            Fault::Restored => self.asked > 1 && self.failed < self.plan.times,
            _ => self.failed < self.plan.times,
        };
        let outcome = if due {
            self.failed += 1;
            self.fail(set).await
        } else {
            self.passwords.set(set).await
        };
        self.tell_truth();
        outcome
    }

    async fn fail(&mut self, set: &SetPassword) -> Result<HeldPassword, PasswordError> {
        let before = self.passwords.accounts().entries.clone();
        let remembered = self.passwords.memory().clone();
        match self.fault {
            Fault::Acknowledge => self.passwords.set(set).await,
            Fault::CutChecked => self.cut_after(set, Step::Checked).await,
            Fault::CutMade => self.cut_after(set, Step::Made).await,
            Fault::CutRemembered => self.cut_after(set, Step::Remembered).await,
            Fault::CutSet => self.cut_after(set, Step::Set).await,
            Fault::CutReadBack => self.cut_after(set, Step::ReadBack).await,
            Fault::CutProven => self.cut_after(set, Step::Proven).await,
            Fault::LoseReply => {
                let held = self.passwords.set(set).await;
                self.cut.now();
                held
            }
            Fault::RebootBefore => {
                self.reboot();
                Err(self.gone())
            }
            Fault::RebootAfter => {
                let held = self.passwords.set(set).await;
                self.reboot();
                self.cut.now();
                held
            }
            Fault::HalfForgotten => {
                let held = self.passwords.set(set).await;
                let entries = self.passwords.accounts().entries.clone();
                self.become_again(entries, remembered);
                self.cut.now();
                held
            }
            Fault::HalfSet => {
                self.passwords.accounts_mut().deaf = true;
                let held = self.passwords.set(set).await;
                self.passwords.accounts_mut().deaf = false;
                held
            }
            Fault::Refuse => {
                Err(PasswordError::Failed("this device does not feel like it".to_owned()))
            }
            Fault::Restored => {
                let held = self.passwords.set(set).await?;
                self.comes_back_with = Some((before, remembered));
                Ok(held)
            }
            Fault::Wiped => {
                let held = self.passwords.set(set).await?;
                let entries = self.passwords.accounts().entries.clone();
                self.comes_back_with = Some((entries, Memory::default()));
                Ok(held)
            }
        }
    }

    async fn cut_after(
        &mut self,
        set: &SetPassword,
        last: Step,
    ) -> Result<HeldPassword, PasswordError> {
        let gone = self.gone();
        let mut after = |step| if step == last { Err(gone.clone()) } else { Ok(()) };
        self.passwords.set_stopping(set, &mut after).await
    }

    /// The connection is gone, and with it whoever would hear this.
    fn gone(&self) -> PasswordError {
        self.cut.now();
        PasswordError::Failed("the agent has ended".to_owned())
    }

    fn reboot(&mut self) {
        self.passwords.accounts_mut().reboot();
    }

    fn become_again(&mut self, entries: BTreeMap<String, String>, memory: Memory) {
        let mut book = self.passwords.accounts().clone();
        book.entries = entries;
        self.passwords = book.kept(memory);
        self.tell_truth();
    }

    pub(crate) async fn try_password(&mut self, tried: &TryPassword) -> Result<(), PasswordError> {
        self.passwords.try_password(tried).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(version: u64) -> SetPassword {
        SetPassword {
            account: "admin".to_owned(),
            credential_id: vec![7; 16],
            version,
            password: format!("secret {version}").into_bytes(),
            sealed: vec![1; 80],
        }
    }

    fn device(fault: Fault) -> (Kept, Cut) {
        let plan = PasswordPlan {
            accounts: vec!["admin".to_owned()],
            faults: vec![fault],
            times: 1,
            truth: Truth::default(),
        };
        let cut = Cut::default();
        (Kept::new(3, &[2, 0, 0, 0, 3, 0x5e], plan, cut.clone()), cut)
    }

    /// Whether the device says that it is done, whether the appliance hears that, what it is told afterwards (the
    /// version that holds, the newest), and what the device has.
    async fn fail_once(fault: Fault, version: u64) -> (bool, bool, u64, u64, String) {
        let (mut kept, cut) = device(fault);
        for earlier in 1..version {
            kept.set(&set(earlier)).await.unwrap();
        }
        let done = kept.set(&set(version)).await.is_ok();
        let heard = !cut.is_cut();
        let held = kept.held().unwrap().remove(0);
        let has = kept.passwords.accounts().passwords()["admin"].to_owned();
        assert_eq!(
            kept.set(&set(9)).await.unwrap().version,
            9,
            "the next one goes well: {fault:?}"
        );
        (done, heard, held.version, held.newest, has)
    }

    #[tokio::test]
    async fn v4_every_fault_is_the_one_that_it_is_called() {
        let (old, new) = ("factory-00003".to_owned(), "secret 1".to_owned());
        for (fault, done, heard, version, newest, has) in [
            (Fault::Acknowledge, true, true, 1, 1, &new),
            (Fault::CutChecked, false, false, 0, 0, &old),
            (Fault::CutMade, false, false, 0, 0, &old),
            (Fault::CutRemembered, false, false, 0, 1, &old),
            (Fault::CutSet, false, false, 1, 1, &new),
            (Fault::CutReadBack, false, false, 1, 1, &new),
            (Fault::CutProven, false, false, 1, 1, &new),
            (Fault::LoseReply, true, false, 1, 1, &new),
            (Fault::RebootBefore, false, false, 0, 0, &old),
            (Fault::RebootAfter, true, false, 1, 1, &new),
            (Fault::HalfForgotten, true, false, 0, 0, &new),
            (Fault::HalfSet, false, true, 0, 1, &old),
            (Fault::Refuse, false, true, 0, 0, &old),
            (Fault::Wiped, true, true, 0, 0, &new),
        ] {
            let expected = (done, heard, version, newest, has.clone());
            assert_eq!(fail_once(fault, 1).await, expected, "{fault:?}");
        }
        assert_eq!(fail_once(Fault::Restored, 2).await, (true, true, 1, 1, new));
        assert_eq!(Fault::value_variants().len(), 15, "a fault without a line above");
    }

    #[tokio::test]
    async fn the_truth_is_written_as_a_whole() {
        let (mut kept, _) = device(Fault::LoseReply);
        kept.set(&set(1)).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.jsonl");
        kept.plan.truth.write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["accounts"], json!({"admin": "secret 1"}));
        assert_eq!(line["number"], 3);
        assert_eq!(line["mac"], "02:00:00:00:03:5e");
    }
}
