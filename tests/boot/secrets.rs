//! Two appliances of one image share no secret.

use crate::{FASTER, set_up, wanted};
use aerie_tests::{Machine, MachineOptions};
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn a2_two_disks_flashed_with_one_image_share_no_secret() {
    if !wanted(FASTER) {
        return;
    }
    let (one, other) = tokio::join!(secrets(), secrets());
    assert!(one.len() >= 7, "{:?}", one.keys());
    for (name, secret) in &one {
        assert!(secret.len() >= 16, "{name}: {secret:?}");
        assert_ne!(Some(secret), other.get(name), "both have the same {name}");
    }
}

/// What a machine has made for itself by the end of its set-up.
async fn secrets() -> BTreeMap<String, String> {
    let mut machine = Machine::boot(MachineOptions::new(FASTER)).await;
    let mut secrets = BTreeMap::new();
    let code = machine.run("cat /var/lib/aerie/setup-code").await;
    secrets.insert("set-up code".to_owned(), code);
    secrets.insert("machine id".to_owned(), machine.run("cat /etc/machine-id").await);
    // Every file that root and the daemon alone may read, by what is in it.
    let files = machine
        .run("find /var/lib/aerie /var/lib/aerie-machine /var/lib/systemd -type f -perm 600 -size +15c")
        .await;
    let keys: Vec<&str> = files.lines().filter(|file| file.contains("key")).collect();
    assert!(keys.iter().any(|file| file.ends_with("machine-key")), "{files}");
    for file in keys {
        let sum = machine.run(&format!("sha256sum < {file}")).await;
        secrets.insert(file.to_owned(), sum);
    }
    let seed = machine.run("sha256sum < /var/lib/systemd/random-seed").await;
    secrets.insert("random seed".to_owned(), seed);
    let (certificate, _) = machine.client().shown_certificate().await;
    secrets.insert("certificate".to_owned(), format!("{certificate:x?}"));
    let owner = set_up(&mut machine).await;
    // wss://HOST:PORT+SECRET+FLAGS: the secret part holds key bytes, key id and the static key's fingerprint.
    let secret = owner.key.split('+').nth(1).expect("a device key").to_owned();
    secrets.insert("device key".to_owned(), secret);
    secrets.insert("token".to_owned(), owner.client.token().expect("a token").to_owned());
    secrets
}
