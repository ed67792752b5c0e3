//! Row V2: the master password and its key file, asked of the real process.

use aerie::vault::protocol::{Key, Refusal, Unsealing};
use aerie::vault::{SecretText, Vault, VaultError};
use aerie_tests::{VaultUnit, until};

fn file(text: &str) -> Key {
    Key::File(SecretText::new(text.to_owned()))
}

fn words(text: &str) -> Key {
    Key::Words(SecretText::new(text.to_owned()))
}

async fn told(vault: &Vault, key: Key) -> String {
    match vault.unseal(key).await {
        Err(VaultError::Refused(Refusal::Key(told))) => told,
        Err(error) => panic!("it says: {error}"),
        Ok(_) => panic!("it opened"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_a_wrong_file_is_told_as_what_it_is_and_nothing_changes() {
    let (unit, other) = (VaultUnit::start().await, VaultUnit::start().await);
    let vault = unit.vault();
    let key = vault.create("Hilltop".to_owned()).await.expect("made");
    let foreign = other.vault().create("Valley".to_owned()).await.expect("made");
    vault.seal_now().await.expect("sealed");
    let before = vault.status().await.expect("a status");
    let text = key.file.expose();
    let truncated: String =
        text.lines().filter(|line| !line.contains("AERIE KEY FILE-----")).take(20).collect();
    assert!(told(vault, file(&truncated)).await.contains("key file"));
    let damaged = text.replace("Key-Pair: 1", "Key-Pair: 7");
    assert!(told(vault, file(&damaged)).await.contains("damaged in line"));
    assert!(told(vault, file("my shopping list")).await.contains("no key file"));
    let (first, rest) = key.words.expose().split_once(' ').expect("24 words");
    let misspelt = told(vault, words(&format!("{first}x {rest}"))).await;
    assert!(misspelt.contains("word 1,") && misspelt.contains(first), "{misspelt}");
    let swapped = rest.split_once(' ').map(|(second, rest)| format!("{second} {first} {rest}"));
    assert!(told(vault, words(&swapped.expect("words"))).await.contains("do not belong together"));
    assert!(told(vault, file(foreign.file.expose())).await.contains("of the appliance \"Valley\""));
    assert!(told(vault, words(foreign.words.expose())).await.contains("not this vault's"));
    assert_eq!(vault.status().await.expect("a status"), before);
    assert_eq!(vault.unseal(file(text)).await.expect("open"), Unsealing::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_the_first_three_wrong_files_cost_nothing_and_a_kill_shortens_no_wait() {
    let (mut unit, other) = (VaultUnit::start().await, VaultUnit::start().await);
    let key = unit.vault().create("Hilltop".to_owned()).await.expect("made");
    let foreign = other.vault().create("Valley".to_owned()).await.expect("made");
    unit.vault().seal_now().await.expect("sealed");
    for _ in 0..4 {
        assert!(told(unit.vault(), file(foreign.file.expose())).await.contains("Valley"));
    }
    // Four more, waited for: the next wait is so long that the machine's speed does not decide.
    for _ in 0..4 {
        until("another try is possible", async || {
            match unit.vault().unseal(file(foreign.file.expose())).await {
                Err(VaultError::Refused(Refusal::Wait { .. })) => None,
                Err(VaultError::Refused(Refusal::Key(_))) => Some(()),
                other => panic!("{:?}", other.map_err(|error| error.to_string())),
            }
        })
        .await;
    }
    unit.kill_and_start_again().await;
    let again = unit.vault().unseal(file(key.file.expose())).await;
    assert!(
        matches!(again, Err(VaultError::Refused(Refusal::Wait { .. }))),
        "the right file has to wait too: {:?}",
        again.map_err(|error| error.to_string())
    );
}
