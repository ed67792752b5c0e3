//! Row V1: the vault's process, asked over its socket as the daemon asks it.

use aerie::vault::protocol::{Alphabet, Form, Key, Plain, Refusal, Unsealing};
use aerie::vault::{SecretText, Vault, VaultError};
use aerie_tests::{VaultUnit, answers, vault_child};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

const FORM: Form = Form { length: 20, alphabet: Alphabet::Readable };

fn plain(number: u128, secret: &str) -> Plain {
    let secret = SecretText::new(secret.to_owned());
    Plain { credential: Uuid::from_u128(number), version: 1, secret }
}

fn refusal<T>(answer: Result<T, VaultError>) -> Refusal {
    match answer {
        Err(VaultError::Refused(refusal)) => refusal,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was done"),
    }
}

/// What every vault does, wherever its process runs.
async fn works(vault: &Vault) -> Key {
    assert!(!vault.status().await.expect("a status").made);
    let key = vault.create("Hilltop".to_owned()).await.expect("made");
    let watch = vault.watch();
    assert!(watch.borrow().as_ref().is_some_and(|status| status.made && !status.sealed));
    let sealed = vault.store(vec![plain(1, "one"), plain(2, "two")]).await.expect("sealed");
    vault.seal_now().await.expect("closed");
    assert!(watch.borrow().as_ref().is_some_and(|status| status.sealed));
    let look = |place: usize| vault.open(None, "a look".to_owned(), sealed[place].clone());
    assert_eq!(refusal(look(0).await), Refusal::Sealed);
    let more = vault.store(vec![plain(3, "three")]).await.expect("sealed while closed");
    let unsealed = vault.unseal(Key::Words(key.words.clone())).await.expect("open");
    assert_eq!(unsealed, Unsealing::Open);
    assert_eq!(look(1).await.expect("opened").expose(), "two");
    let three = vault.open(None, "a look".to_owned(), more[0].clone()).await;
    assert_eq!(three.expect("opened").expose(), "three");
    let (job, credential) = (Uuid::from_u128(9), Uuid::from_u128(1));
    vault.grant(None, "owner".to_owned(), job, vec![credential], 2).await.expect("granted");
    let made = vault.make(job, vec![(credential, 2)], FORM).await.expect("made");
    let opened = vault.open_for_job(job, vec![made[0].sealed.clone()]).await.expect("opened");
    assert_eq!(opened[0].expose(), made[0].secret.expose());
    assert_eq!(refusal(vault.make(job, vec![(credential, 3)], FORM).await), Refusal::NoGrant);
    Key::Words(key.words)
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_a_child_works_and_its_end_seals() {
    let folder = TempDir::new().expect("a folder");
    let directory = folder.path().join("vault");
    let (supervisor, vault) = vault_child(&directory).await;
    let key = works(&vault).await;
    assert!(!vault.status().await.expect("a status").own_unit);
    assert!(supervisor.shutdown(Duration::from_secs(10)).await);
    let (_supervisor, vault) = vault_child(&directory).await;
    assert!(vault.status().await.expect("a status").sealed);
    assert_eq!(vault.unseal(key).await.expect("open"), Unsealing::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_a_unit_stays_open_while_the_daemon_restarts_and_is_sealed_by_its_own_end() {
    let mut unit = VaultUnit::start().await;
    let key = works(unit.vault()).await;
    unit.reconnect().await;
    let status = answers(unit.vault()).await;
    assert!(!status.sealed && status.own_unit && status.memory_locked);
    unit.kill_and_start_again().await;
    assert!(answers(unit.vault()).await.sealed);
    unit.vault().unseal(key).await.expect("open");
}
