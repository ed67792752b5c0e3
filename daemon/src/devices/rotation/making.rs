//! New secrets, asked of the vault for many devices at once: who comes while a question is on its
//! way goes into the next one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::vault::protocol::{AT_ONCE, Form, Made, Refusal};
use crate::vault::{Vault, VaultError};

/// Who waits for a secret.
struct Wish {
    credential: Uuid,
    version: u64,
    form: Form,
    made: oneshot::Sender<Result<Made, VaultError>>,
}

/// Those that wait, by job.
#[derive(Default)]
pub(super) struct Making {
    wishes: Mutex<HashMap<Uuid, Vec<Wish>>>,
    asking: tokio::sync::Mutex<()>,
}

impl Making {
    /// A new secret of this version, within the job's grant.
    pub(super) async fn make(
        &self,
        vault: &Vault,
        job: Uuid,
        wanted: (Uuid, u64),
        form: Form,
    ) -> Result<Made, VaultError> {
        let (made, mut hears) = oneshot::channel();
        let (credential, version) = wanted;
        let wish = Wish { credential, version, form, made };
        self.lock().entry(job).or_default().push(wish);
        let asking = self.asking.lock().await;
        if let Ok(made) = hears.try_recv() {
            return made;
        }
        self.ask(vault, job).await;
        drop(asking);
        // More waited than go into one question, or who asked for us was dropped.
        hears
            .try_recv()
            .unwrap_or_else(|_| Err(VaultError::Gone(std::io::ErrorKind::Interrupted.into())))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Vec<Wish>>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, vault: &Vault, job: Uuid) {
        let wishes = self.lock().remove(&job).unwrap_or_default();
        let (mut together, mut others) = (Vec::new(), Vec::new());
        let form = wishes.first().map(|wish| wish.form);
        for wish in wishes {
            let fits = Some(wish.form) == form && together.len() < AT_ONCE;
            if fits { &mut together } else { &mut others }.push(wish);
        }
        if !others.is_empty() {
            self.lock().entry(job).or_default().extend(others);
        }
        let Some(form) = form else { return };
        let wanted = together.iter().map(|wish| (wish.credential, wish.version)).collect();
        match vault.make(job, wanted, form).await {
            Ok(made) => {
                for (wish, made) in together.into_iter().zip(made) {
                    // Who was dropped meanwhile needs none.
                    wish.made.send(Ok(made)).ok();
                }
            }
            // One of them may have had all that was granted for it: each for itself.
            Err(VaultError::Refused(Refusal::NoGrant)) if together.len() > 1 => {
                for wish in together {
                    let one = vault.make(job, vec![(wish.credential, wish.version)], form).await;
                    let one =
                        one.and_then(|made| made.into_iter().next().ok_or(VaultError::Nonsense));
                    wish.made.send(one).ok();
                }
            }
            Err(error) => {
                for wish in together {
                    wish.made.send(Err(same(&error))).ok();
                }
            }
        }
    }
}

fn same(error: &VaultError) -> VaultError {
    match error {
        VaultError::Refused(refusal) => VaultError::Refused(refusal.clone()),
        VaultError::Gone(cause) => VaultError::Gone(cause.kind().into()),
        VaultError::Nonsense => VaultError::Nonsense,
    }
}
